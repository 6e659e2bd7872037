"""SIGTERM and Ctrl-C: health first, then what is in flight, then a clean end."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from client import RANK_SERVICE, Client, refusal
from expected import column
from server import TEST_MODELS, Server
from slow import rounds_for, slow

QUICK: dict[str, Any] = {
    "model": {"name": "nan-ranker"},
    "candidates": {"ids": ["a"], "columns": [column("price", [1])]},
}
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_server_ends_with_zero(log: Path, number: signal.Signals) -> None:
    with Server(TEST_MODELS, log) as server:
        server.process.send_signal(number)
        assert server.wait(20) == 0, server.output()


@pytest.mark.parametrize("service", ["", RANK_SERVICE, "model/slow-ranker"])
def test_what_is_in_flight_is_finished_after_health_says_not_serving(log: Path, service: str) -> None:
    with Server(TEST_MODELS, log) as server:
        client = Client(server.address)
        stub: Any = health_pb2_grpc.HealthStub(client.channel)
        updates = iter(stub.Watch(health_pb2.HealthCheckRequest(service=service), timeout=60))
        next(updates)
        running = client.rank_later(**slow(rounds_for(client, 2)), timeout=60)
        time.sleep(0.3)
        server.terminate()
        assert next(updates).status == NOT_SERVING
        assert not running.done()
        assert len(running.result().items) == 2
        client.close()
        assert server.wait(20) == 0, server.output()


def test_a_request_in_a_stream_is_finished_too(log: Path) -> None:
    with Server(TEST_MODELS, log) as server:
        client = Client(server.address)
        rounds = rounds_for(client, 1.5)
        answers = client.rank_stream([slow(rounds, request_id="last")], timeout=60)
        time.sleep(0.5)
        server.terminate()
        assert [(answer.request_id, answer.HasField("error")) for answer in answers] == [("last", False)]
        client.close()
        assert server.wait(20) == 0, server.output()


def test_new_requests_are_refused_as_unavailable_while_draining(log: Path) -> None:
    with Server(TEST_MODELS, log) as server:
        client = Client(server.address)
        running = client.rank_later(**slow(rounds_for(client, 3)), timeout=60)
        time.sleep(0.3)
        server.terminate()
        time.sleep(0.7)
        failed = refusal(lambda: client.rank(**QUICK, timeout=2))
        assert failed.code.name == "UNAVAILABLE", failed
        assert len(running.result().items) == 2
        client.close()
        assert server.wait(20) == 0, server.output()


def test_the_drain_is_bounded(log: Path) -> None:
    with Server(TEST_MODELS, log, {"PODIUM_SERVER__DRAIN_TIMEOUT": "1s"}) as server:
        client = Client(server.address)
        running = client.rank_later(**slow(rounds_for(client, 20)), timeout=60)
        time.sleep(0.3)
        started = time.monotonic()
        server.terminate()
        server.wait(15)
        assert time.monotonic() - started < 10
        assert running.exception() is not None
        client.close()


def test_an_idle_connection_does_not_hold_up_the_end(log: Path) -> None:
    with Server(TEST_MODELS, log) as server:
        client = Client(server.address)
        client.rank(**QUICK)
        started = time.monotonic()
        server.terminate()
        assert server.wait(20) == 0
        assert time.monotonic() - started < 8
        client.close()
