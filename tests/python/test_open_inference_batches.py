"""Callers by tensors and callers of Rank share batches, turns and figures."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client import Client
from expected import column
from metrics_page import scrape
from server import TEST_MODELS, Server
from slow import rounds_for, slow
from triton import check, collected, connected, expected, golden, inputs_of, outputs_of, slow_inputs, tiny

ONE_INSTANCE = {"PODIUM_BATCHING__INSTANCES": "1"}


@pytest.fixture
def alone(log: Path) -> Iterator[Server]:
    """A server whose models have one instance each."""
    with Server(TEST_MODELS, log, ONE_INSTANCE) as running:
        yield running


def request(count: int) -> dict[str, Any]:
    """Returns a Rank of the tiny ranker that needs no shopper."""
    ids = [f"item-{number:02}" for number in range(count)]
    return {
        "model": {"name": "tiny-ranker"},
        "candidates": {"ids": ids, "columns": [column("price", [1.0] * count)]},
    }


def occupied(client: Client, seconds: float) -> list[Any]:
    """Has slow runs take every turn on the device, each for about so long; returns their calls."""
    rounds = rounds_for(client, seconds)
    calls = [client.rank_later(**slow(rounds)) for _ in range(2 * (os.cpu_count() or 1))]
    time.sleep(0.2)
    return calls


def test_a_rank_and_runs_by_tensors_share_a_batch(server: Server, client: Client) -> None:
    """While the device is busy, one Rank and twelve runs by tensors wait; the Rank's batch then has others in it."""
    before = client.run_counters("tiny-ranker")
    with connected(server.port) as caller:
        busy = occupied(client, 1.0)
        ranked = client.rank_later(**request(3))
        callback, answers = collected()
        for number in range(12):
            tensors = inputs_of(tiny(2, 1 + number % 2, seed=number))
            caller.async_infer("tiny-ranker", tensors, callback, request_id=str(number))
        results = [answers.get(timeout=20) for _ in range(12)]
        for call in busy:
            call.result()
    assert ranked.result().timings.batch.requests > 1, "the only Rank of this model ran by itself"
    for result, error in results:
        assert error is None
        number = int(result.get_response().id)
        check(outputs_of(result), expected("tiny-ranker", tiny(2, 1 + number % 2, seed=number), version=2))
    after = client.run_counters("tiny-ranker")
    assert after.rows - before.rows == 3 + 12 * 2
    assert after.batches - before.batches < 13


def history(users: int, length: int, seed: int) -> dict[str, Any]:
    """Returns made-up inputs of the tiny encoder, shorter histories padded."""
    random = np.random.default_rng(seed)
    lengths = random.integers(1, length + 1, users)
    lengths[0] = length
    mask = (np.arange(length) < lengths[:, None]).astype(np.float32)
    items = random.integers(2, 52, (users, length)) * mask.astype(np.int64)
    return {"item": items, "gap": random.uniform(0, 3, (users, length)).astype(np.float32) * mask, "mask": mask}


def test_users_of_several_requests_share_a_run(server: Server, client: Client) -> None:
    made = [history(1 + number % 3, 1 + number % 7, number) for number in range(20)]
    before = client.run_counters("tiny-encoder")
    with connected(server.port) as caller:
        busy = occupied(client, 0.7)
        callback, answers = collected()
        for number, tensors in enumerate(made):
            caller.async_infer("tiny-encoder", inputs_of(tensors), callback, request_id=str(number))
        for _ in made:
            result, error = answers.get(timeout=20)
            assert error is None
            check(outputs_of(result), expected("tiny-encoder", made[int(result.get_response().id)]))
        for call in busy:
            call.result()
    after = client.run_counters("tiny-encoder")
    assert after.rows - before.rows == sum(len(tensors["item"]) for tensors in made)
    assert after.batches - before.batches < len(made)


def test_what_is_urgent_goes_first(alone: Server) -> None:
    """Of requests that wait, those of the highest priority are run before those of the lowest."""
    client = Client(alone.address)
    rounds = rounds_for(client, 0.15)
    callback, answers = collected()
    with connected(alone.port) as caller:
        for number in range(12):
            name, priority = ("urgent", 1) if number >= 6 else ("later", 8)
            tensors = inputs_of(slow_inputs(rounds))
            caller.async_infer("slow-ranker", tensors, callback, request_id=name, priority=priority)
            if number == 5:
                time.sleep(0.1)
        results = [answers.get(timeout=30) for _ in range(12)]
    assert [error for _, error in results if error is not None] == []
    ended = [result.get_response().id for result, _ in results]
    first_half = ended[:8]
    assert first_half.count("urgent") >= 5, ended
    client.close()


def test_statistics_tell_what_was_counted(alone: Server) -> None:
    client = Client(alone.address)
    with connected(alone.port) as caller:
        tried = caller.get_inference_statistics("tiny-ranker", "1").model_stats[0]  # what its rehearsal has run
        assert not tried.inference_stats.success.count
        begun = time.time()
        for number in range(5):
            caller.infer("tiny-ranker", inputs_of(tiny(4, seed=number)), "1")
        for _ in range(2):
            with pytest.raises(Exception, match="price"):
                caller.infer("tiny-ranker", inputs_of(tiny(4))[3:], "1")
        client.rank(**(request(3) | {"model": {"name": "tiny-ranker", "version": 1}}))
        caller.infer("tiny-encoder", inputs_of(golden("tiny-encoder")[0]))
        told = {(one.name, one.version): one for one in caller.get_inference_statistics().model_stats}
        own = caller.get_inference_statistics("tiny-ranker", "1").model_stats
        both = caller.get_inference_statistics("tiny-ranker").model_stats
    assert set(told) >= {("tiny-ranker", "1"), ("tiny-ranker", "2"), ("tiny-encoder", "1"), ("slow-ranker", "1")}
    assert [one.version for one in both] == ["1", "2"]
    assert own[0] == told["tiny-ranker", "1"]
    counters = [info.run_counters for info in client.info().models if (info.name, info.version) == ("tiny-ranker", 1)]
    assert (own[0].inference_count, own[0].execution_count) == (counters[0].rows, counters[0].batches)
    assert own[0].inference_count - tried.inference_count == 5 * 4 + 3
    assert own[0].execution_count - tried.execution_count == 6
    stats = own[0].inference_stats
    assert (stats.success.count, stats.fail.count) == (6, 2)
    assert stats.queue.count == stats.compute_infer.count == 6
    parts = (stats.queue, stats.compute_input, stats.compute_infer, stats.compute_output)
    assert all(part.ns > 0 for part in parts)
    assert sum(part.ns for part in parts) < stats.success.ns + stats.fail.ns
    assert not own[0].batch_stats
    assert begun - 0.001 <= own[0].last_inference / 1000 <= time.time()
    encoder = told["tiny-encoder", "1"].inference_stats
    assert encoder.success.count == 1
    client.close()


def test_metrics_count_calls_and_requests(alone: Server) -> None:
    with connected(alone.port) as caller:
        for _ in range(3):
            caller.infer("tiny-ranker", inputs_of(tiny(4)), "2", request_id="nobody-shall-see-this-id")
        with pytest.raises(Exception, match="nobody"):
            caller.infer("nobody", inputs_of(tiny(4)))
        caller.is_server_live()
    page = scrape(alone)
    calls = {"rpc_method": "inference.GRPCInferenceService/ModelInfer"}
    assert page.total("rpc_server_call_duration_seconds_count", rpc_response_status_code="OK", **calls) == 3
    assert page.total("rpc_server_call_duration_seconds_count", rpc_response_status_code="NOT_FOUND", **calls) == 1
    live = {"rpc_method": "inference.GRPCInferenceService/ServerLive"}
    assert page.total("rpc_server_call_duration_seconds_count", **live) == 1
    version = {"model": "tiny-ranker", "version": "2"}
    assert page.total("podium_request_duration_seconds_count", code="OK", **version) == 3
    assert page.total("podium_request_candidates_sum", **version) == 12
