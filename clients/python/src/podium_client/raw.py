"""The generated messages and stubs, for what has no method of its own: `raw.ModelServiceStub(client.channel)`.

gRPC generates stubs without types, so they are `Any` here; the messages have types. `podium_client.call_error` turns
what their calls raise into this package's exceptions.
"""

from __future__ import annotations

from typing import Any

from podium_client._pb import (
    info_pb2,
    info_pb2_grpc,
    model_pb2,
    model_pb2_grpc,
    rank_pb2,
    rank_pb2_grpc,
    telemetry_pb2,
    telemetry_pb2_grpc,
    user_pb2,
    user_pb2_grpc,
)

__all__ = [
    "InfoServiceStub",
    "ModelServiceStub",
    "RankServiceStub",
    "TelemetryServiceStub",
    "UserServiceStub",
    "info_pb2",
    "model_pb2",
    "rank_pb2",
    "telemetry_pb2",
    "user_pb2",
]

InfoServiceStub: Any = info_pb2_grpc.InfoServiceStub
ModelServiceStub: Any = model_pb2_grpc.ModelServiceStub
RankServiceStub: Any = rank_pb2_grpc.RankServiceStub
TelemetryServiceStub: Any = telemetry_pb2_grpc.TelemetryServiceStub
UserServiceStub: Any = user_pb2_grpc.UserServiceStub
