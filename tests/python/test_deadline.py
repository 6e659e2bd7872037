"""Deadlines: one for each request, enforced by the server itself, with the stage that it passed in."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import wire
from client import Client
from server import TEST_MODELS, Server
from slow import rounds_for, slow


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that other tests do not wait for."""
    with Server(TEST_MODELS, tmp_path_factory.mktemp("deadline") / "log") as running:
        yield running


def slow_bytes(client: Client, rounds: int) -> bytes:
    """Returns a slow request as bytes."""
    body: bytes = client.message("RankRequest", **slow(rounds)).SerializeToString()
    return body


def test_a_run_that_takes_too_long_answers_deadline_exceeded(own_server: Server) -> None:
    # grpcio gives up by itself at the deadline, so that only raw frames show what the server answers.
    client = Client(own_server.address)
    body = slow_bytes(client, rounds_for(client, 3))
    started = time.monotonic()
    status = wire.call(own_server.port, "/podium.v1.RankService/Rank", body, timeout="300m")
    took = time.monotonic() - started
    client.close()
    assert status.code == wire.DEADLINE_EXCEEDED, status
    assert status.reason() == "EXPIRED_IN_RUN"
    assert 0.25 < took < 2


def test_waiting_too_long_for_the_model_names_the_queue(own_server: Server) -> None:
    client = Client(own_server.address)
    rounds = rounds_for(client, 2)
    instances = next(model.instances for model in client.info().models if model.name == "slow-ranker")
    running = [client.rank_later(**slow(rounds)) for _ in range(instances)]
    time.sleep(0.5)
    status = wire.call(own_server.port, "/podium.v1.RankService/Rank", slow_bytes(client, 1), timeout="300m")
    for call in running:
        call.result()
    client.close()
    assert status.code == wire.DEADLINE_EXCEEDED, status
    assert status.reason() == "EXPIRED_IN_QUEUE"


def test_a_deadline_that_has_passed_on_arrival_says_so(own_server: Server) -> None:
    client = Client(own_server.address)
    body = slow_bytes(client, 1)
    client.close()
    status = wire.call(own_server.port, "/podium.v1.RankService/Rank", body, timeout="1n")
    assert status.code == wire.DEADLINE_EXCEEDED, status
    assert status.reason() in ("EXPIRED_ON_ARRIVAL", "EXPIRED_IN_RECEIVING")


@pytest.mark.parametrize("timeout", ["0m", "1n", "1u", "100u", "400u", "700u", "1m", "2m", "5m"])
def test_no_deadline_is_too_short_to_be_called_one(own_server: Server, timeout: str) -> None:
    client = Client(own_server.address)
    body = slow_bytes(client, 50)
    client.close()
    for _ in range(20):
        status = wire.call(own_server.port, "/podium.v1.RankService/Rank", body, timeout=timeout)
        # A machine on which the run takes longer than that says so at the door.
        refused = status.code not in (wire.OK, wire.DEADLINE_EXCEEDED)
        assert not refused or status.reason() == "DEADLINE_TOO_SHORT", status


def test_a_deadline_in_the_stream_answers_its_request(own_server: Server) -> None:
    client = Client(own_server.address)
    body = slow_bytes(client, rounds_for(client, 3))
    status = wire.call(own_server.port, "/podium.v1.RankService/RankStream", body, timeout="300m")
    client.close()
    assert status.code != wire.CANCELLED, status
    assert status.code == wire.DEADLINE_EXCEEDED or status.messages, status


def test_a_call_without_a_deadline_gets_the_servers(own_server: Server, log: Path) -> None:
    unhurried = Client(own_server.address)
    body = slow_bytes(unhurried, rounds_for(unhurried, 6))
    unhurried.close()
    with Server(TEST_MODELS, log, {"PODIUM_SERVER__MAX_DEADLINE": "700ms"}) as server:
        client = Client(server.address)
        assert client.info().limits.max_deadline_ms == 700
        client.close()
        for timeout in (None, "3600S"):
            started = time.monotonic()
            status = wire.call(server.port, "/podium.v1.RankService/Rank", body, timeout=timeout)
            assert status.code == wire.DEADLINE_EXCEEDED, (timeout, status)
            assert time.monotonic() - started < 4


@pytest.mark.parametrize("timeout", ["", "abc", "5", "-1S", "123456789S", "1X"])
def test_a_malformed_deadline_breaks_nothing(own_server: Server, timeout: str) -> None:
    client = Client(own_server.address)
    status = wire.call(own_server.port, "/podium.v1.RankService/Rank", slow_bytes(client, 1), timeout=timeout)
    client.close()
    assert status.code in (wire.OK, wire.INVALID_ARGUMENT), status
