"""What the server refuses when it has too much to do, and how it says so."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from google.rpc import error_details_pb2

from client import Client, refusal
from expected import column
from server import TEST_MODELS, Server
from slow import rounds_for, slow

QUICK: dict[str, Any] = {
    "model": {"name": "nan-ranker"},
    "candidates": {"ids": ["a"], "columns": [column("price", [1])]},
}


def test_requests_over_the_in_flight_limit_are_refused_over_all_connections(log: Path) -> None:
    with Server(TEST_MODELS, log, {"PODIUM_SERVER__MAX_IN_FLIGHT": "2"}) as server:
        first, second = Client(server.address), Client(f"localhost:{server.port}")
        assert first.info().limits.max_in_flight == 2
        rounds = rounds_for(first, 2)
        running = [first.rank_later(**slow(rounds)) for _ in range(2)]
        time.sleep(0.5)
        failed = refusal(lambda: second.rank(**QUICK))
        assert failed.code.name == "RESOURCE_EXHAUSTED", failed
        assert failed.reason() == "TOO_MANY_IN_FLIGHT"
        retry = failed.detail(error_details_pb2.RetryInfo).retry_delay
        assert retry.seconds or retry.nanos
        for call in running:
            assert len(call.result().items) == 2
        assert len(second.rank(**QUICK).items) == 1
        first.close()
        second.close()


def test_a_full_queue_refuses_at_once(log: Path) -> None:
    settings = {"PODIUM_BATCHING__MAX_QUEUE_SIZE": "1"}
    with Server(TEST_MODELS, log, settings) as server:
        client = Client(server.address)
        rounds = rounds_for(client, 1)
        calls = [client.rank_later(**slow(rounds)) for _ in range(6)]
        codes = [call.code().name for call in calls]
        client.close()
    assert codes.count("RESOURCE_EXHAUSTED") >= 2, codes
    assert codes.count("OK") >= 1, codes
    assert set(codes) == {"OK", "RESOURCE_EXHAUSTED"}


def test_other_models_answer_while_one_is_busy(log: Path) -> None:
    with Server(TEST_MODELS, log) as server:
        client = Client(server.address)
        busy = client.rank_later(**slow(rounds_for(client, 3)))
        time.sleep(0.3)
        started = time.monotonic()
        client.rank(**QUICK)
        assert time.monotonic() - started < 1
        assert not busy.done()
        busy.cancel()
        client.close()
