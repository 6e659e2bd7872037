"""The generated messages and stubs, for what has no method of its own: `raw.ModelServiceStub(client.channel)`.

`podium_client.call_error` turns what their calls raise into this package's exceptions.
"""

from podium_client._pb import info_pb2, model_pb2, rank_pb2, telemetry_pb2, user_pb2
from podium_client._pb.info_pb2_grpc import InfoServiceStub
from podium_client._pb.model_pb2_grpc import ModelServiceStub
from podium_client._pb.rank_pb2_grpc import RankServiceStub
from podium_client._pb.telemetry_pb2_grpc import TelemetryServiceStub
from podium_client._pb.user_pb2_grpc import UserServiceStub

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
