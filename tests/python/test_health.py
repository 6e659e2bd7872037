"""The standard health service: Check and Watch, overall, for the service and for each model."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from client import RANK_SERVICE, TIMEOUT, Client, refusal

SERVED = ["", RANK_SERVICE, "model/tiny-ranker", "model/tiny-encoder", "model/list-ranker"]
UNKNOWN = ["podium.v1.NoSuchService", "model/no-such-model", "tiny-ranker"]
Response = health_pb2.HealthCheckResponse


def stub(client: Client) -> Any:
    """Returns a stub of the health service."""
    return health_pb2_grpc.HealthStub(client.channel)


@pytest.mark.parametrize("service", SERVED)
def test_check_says_serving(client: Client, service: str) -> None:
    answer = stub(client).Check(health_pb2.HealthCheckRequest(service=service), timeout=TIMEOUT)
    assert answer.status == Response.SERVING


@pytest.mark.parametrize("service", UNKNOWN)
def test_check_of_the_unknown_is_not_found(client: Client, service: str) -> None:
    request = health_pb2.HealthCheckRequest(service=service)
    assert refusal(lambda: stub(client).Check(request, timeout=TIMEOUT)).code == grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("service", SERVED)
def test_watch_begins_with_serving(client: Client, service: str) -> None:
    updates = stub(client).Watch(health_pb2.HealthCheckRequest(service=service), timeout=TIMEOUT)
    assert next(iter(updates)).status == Response.SERVING
    updates.cancel()


@pytest.mark.parametrize("service", UNKNOWN)
def test_watch_of_the_unknown_says_so_and_stays_open(client: Client, service: str) -> None:
    updates = iter(stub(client).Watch(health_pb2.HealthCheckRequest(service=service), timeout=2))
    assert next(updates).status == Response.SERVICE_UNKNOWN
    assert refusal(lambda: next(updates)).code == grpc.StatusCode.DEADLINE_EXCEEDED
