"""Requests that share runs: rows come back to their own request, and the answer tells the batch."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

import tiny
from client import Client, refusal
from expected import TinyRequest, check_scores, inline_history, tiny_request
from server import TEST_MODELS, Server

ONE_INSTANCE = {"PODIUM_BATCHING__INSTANCES": "1", "PODIUM_BATCHING__PREFERRED_BATCH_ROWS": "8"}


def asked(dice: random.Random, count: int) -> TinyRequest:
    """Returns a request about random items for somebody with a random history."""
    ids = dice.sample(tiny.ITEMS, count)
    history = [(dice.choice(tiny.ITEMS), tiny.START + hour) for hour in range(dice.randint(1, 9))]
    return TinyRequest(ids, [dice.uniform(0, 900) for _ in ids], history=history)


def test_waiting_requests_share_runs_and_keep_their_own_scores(log: Path) -> None:
    dice = random.Random(5)
    requests = [asked(dice, dice.randint(1, 20)) for _ in range(80)]
    with Server(TEST_MODELS, log, ONE_INSTANCE) as server:
        client = Client(server.address)
        calls = [
            client.rank_later(**tiny_request(one, 2), user={"history": inline_history(one.history)}) for one in requests
        ]
        answers = [call.result() for call in calls]
        client.close()
    for one, answer in zip(requests, answers, strict=True):
        check_scores(answer, one.scores(2)[0])
    batches = [answer.timings.batch for answer in answers]
    assert max(batch.requests for batch in batches) > 1
    assert all(0 < batch.rows <= 8 and 0 < batch.fill <= 1 for batch in batches)


def test_a_large_request_is_cut(log: Path) -> None:
    one = asked(random.Random(6), 30)
    with Server(TEST_MODELS, log, ONE_INSTANCE) as server:
        client = Client(server.address)
        answer = client.rank(**tiny_request(one, 2), user={"history": inline_history(one.history)})
        client.close()
    check_scores(answer, one.scores(2)[0])
    assert answer.timings.batches == 4
    assert answer.timings.batch.rows == 6


def test_a_lone_request_waits_for_nobody(client: Client) -> None:
    one = asked(random.Random(7), 1)
    timings = client.rank(**tiny_request(one, 2)).timings
    assert client.enum_name("Closed", timings.batch.closed) in ("CLOSED_SHARE", "CLOSED_FULL")
    assert timings.batch.requests == 1


@pytest.mark.parametrize("priority", [9, 300, 2**32 - 1])
def test_a_priority_out_of_range_is_named(client: Client, priority: int) -> None:
    request = tiny_request(asked(random.Random(8), 2), 2)
    assert "between 0 and 8" in refusal(lambda: client.rank(**request, priority=priority)).violations()["priority"]


def test_a_preferred_size_beyond_the_largest_is_a_fault_of_the_configuration(log: Path) -> None:
    settings = {"PODIUM_BATCHING__PREFERRED_BATCH_ROWS": "9", "PODIUM_BATCHING__MAX_BATCH_ROWS": "8"}
    with pytest.raises(AssertionError, match=r"batching\.preferred_batch_rows"), Server(TEST_MODELS, log, settings):
        pass
