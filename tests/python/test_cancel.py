"""Callers that leave: the work is dropped and the server goes on."""

from __future__ import annotations

import time
from pathlib import Path

import grpc
import pytest

import wire
from client import Client
from server import TEST_MODELS, Server
from slow import rounds_for, slow


@pytest.mark.parametrize("how", ["cancel", "vanish"])
def test_a_caller_that_leaves_stops_nobody_else(log: Path, how: str) -> None:
    with Server(TEST_MODELS, log) as server:
        client = Client(server.address)
        rounds = rounds_for(client, 2)
        if how == "cancel":
            leaving = [client.rank_later(**slow(rounds)) for _ in range(10)]
            time.sleep(0.3)
            for call in leaving:
                call.cancel()
            assert {call.code() for call in leaving} == {grpc.StatusCode.CANCELLED}
        else:
            body = client.message("RankRequest", **slow(rounds)).SerializeToString()
            for _ in range(10):
                connection = wire.Connection(server.port)
                connection.send(connection.open("/podium.v1.RankService/Rank"), body)
                connection.close()
        started = time.monotonic()
        assert len(client.rank(**slow(1), timeout=30).items) == 2
        took = time.monotonic() - started
        counters = client.run_counters("slow-ranker")
        client.close()
        assert server.process.poll() is None, server.output()
    assert counters.abandoned_rows <= 2 * 2, "more ran than the instances had begun"
    # Ten runs of two seconds would take twenty: those whose caller left never ran.
    assert took < 12


def test_a_stream_that_is_left_frees_its_requests(log: Path) -> None:
    with Server(TEST_MODELS, log, {"PODIUM_SERVER__MAX_IN_FLIGHT": "4"}) as server:
        client = Client(server.address)
        rounds = rounds_for(client, 1)
        answers = client.rank_stream(slow(rounds, request_id=f"r{number}") for number in range(50))
        next(answers)
        answers.cancel()
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            calls = [client.rank_later(**slow(1)) for _ in range(4)]
            if {call.code() for call in calls} == {grpc.StatusCode.OK}:
                break
        else:
            pytest.fail("the left stream still holds the server's places")
        client.close()
