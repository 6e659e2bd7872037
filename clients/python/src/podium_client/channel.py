"""Channels: how a client is connected."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import grpc

Options: TypeAlias = Sequence[tuple[str, Any]]

DEFAULTS: dict[str, Any] = {
    # Retries are this package's: gRPC's own, or those of a service config in the DNS, would multiply with them.
    "grpc.enable_retries": 0,
    "grpc.service_config_disable_resolution": 1,
    # All servers of a name are used (dns:///podium:50051), and one that has gone is left out.
    "grpc.lb_policy_name": "round_robin",
    # A connection that has died without a word is noticed within 25 s, while something waits for it.
    "grpc.keepalive_time_ms": 20_000,
    "grpc.keepalive_timeout_ms": 5_000,
    # A server that comes back is found within a second, and not after the two minutes that gRPC may let pass.
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.max_reconnect_backoff_ms": 1_000,
    # Orders of many candidates may be larger than the 4 MiB that gRPC takes; requests are bounded by the server.
    "grpc.max_receive_message_length": 64 << 20,
    "grpc.max_send_message_length": -1,
    # Typed errors come as metadata, of 8 KiB at most; beyond its soft limit gRPC drops an answer now and then.
    "grpc.max_metadata_size": 16_384,
    "grpc.absolute_max_metadata_size": 16_384,
}


def options(more: Options = ()) -> list[tuple[str, Any]]:
    """Returns the channel's options; those given replace the defaults of the same names."""
    return list((DEFAULTS | dict(more)).items())


def credentials_of(tls: bool, credentials: grpc.ChannelCredentials | None) -> grpc.ChannelCredentials | None:
    """Returns the credentials of a channel; `None` for one in plain text."""
    if credentials is None and tls:
        return grpc.ssl_channel_credentials()
    return credentials
