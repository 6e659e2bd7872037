"""`RankStream`: answers carry their request's id, and a bad request does not end the stream."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

import tiny
from bundle import float32
from client import TIMEOUT, Client, refusal
from expected import TinyRequest, check_scores, column, tiny_request

INVALID_ARGUMENT, NOT_FOUND, INTERNAL = (
    code.value[0] for code in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INTERNAL)
)


def priced(request_id: str, prices: list[float], **more: Any) -> dict[str, Any]:
    """Returns a request whose scores are its prices."""
    ids = [f"c{number}" for number in range(len(prices))]
    candidates = {"ids": ids, "columns": [column("price", prices)]}
    return {"request_id": request_id, "model": {"name": "nan-ranker"}, "candidates": candidates} | more


def test_every_request_is_answered_once(client: Client) -> None:
    wanted = {f"r{number}": [float(number), 900.0 - number] for number in range(200)}
    answers = list(client.rank_stream(priced(name, prices) for name, prices in wanted.items()))
    assert sorted(answer.request_id for answer in answers) == sorted(wanted)
    for answer in answers:
        assert not answer.HasField("error")
        check_scores(answer, float32(wanted[answer.request_id]))


def test_different_models_share_a_stream(client: Client) -> None:
    asked = TinyRequest(tiny.ITEMS[:9], [float(number) for number in range(9)])
    requests = [tiny_request(asked, version) | {"request_id": f"v{version}"} for version in (1, 2)]
    for answer in client.rank_stream(requests):
        assert answer.request_id == f"v{answer.model_version}"
        check_scores(answer, asked.scores(answer.model_version)[0])


def test_bad_requests_are_answered_and_the_stream_goes_on(client: Client) -> None:
    requests = [
        priced("good-1", [1.0, 2.0]),
        priced("bad-number", [1.0, float("nan")]),
        priced("no-model", [1.0]) | {"model": {"name": "no-such-model"}},
        priced("not-finite", [5000.0]),
        priced("good-2", [3.0, 4.0]),
    ]
    answers = {answer.request_id: answer for answer in client.rank_stream(requests)}
    assert set(answers) == {request["request_id"] for request in requests}
    for name in ("good-1", "good-2"):
        assert not answers[name].HasField("error")
        assert len(answers[name].items) == 2
    codes = {name: answers[name].error.code for name in ("bad-number", "no-model", "not-finite")}
    assert codes == {"bad-number": INVALID_ARGUMENT, "no-model": NOT_FOUND, "not-finite": INTERNAL}
    for name in codes:
        assert answers[name].error.message
        assert not answers[name].items
        assert not answers[name].model_name
    assert "candidates.columns" in answers["bad-number"].error.field_violations[0].field


def test_an_empty_stream_ends_well(client: Client) -> None:
    assert list(client.rank_stream([])) == []


@pytest.mark.timeout(30)
def test_answers_come_while_the_stream_is_open(client: Client) -> None:
    waiting: queue.Queue[dict[str, Any] | None] = queue.Queue()

    def requests() -> Iterator[dict[str, Any]]:
        while (request := waiting.get()) is not None:
            yield request

    answers = client.rank_stream(requests())
    for number in range(5):
        waiting.put(priced(f"r{number}", [float(number)]))
        assert next(answers).request_id == f"r{number}"
    waiting.put(None)
    assert list(answers) == []


def test_more_requests_than_a_stream_may_have_in_flight_wait_their_turn(client: Client) -> None:
    count = client.info().limits.max_in_flight_per_stream * 4
    answers = list(client.rank_stream(priced(f"r{number}", [1.0]) for number in range(count)))
    assert len({answer.request_id for answer in answers}) == count
    assert not any(answer.HasField("error") for answer in answers)


def test_malformed_bytes_end_the_stream_as_the_callers_fault(client: Client) -> None:
    call = client.channel.stream_stream(
        "/podium.v1.RankService/RankStream", request_serializer=bytes, response_deserializer=bytes
    )
    failed = refusal(lambda: list(call(iter([b"\x0a\xff"]), timeout=TIMEOUT)))
    assert failed.code.name == "INVALID_ARGUMENT", failed


def test_an_oversized_message_ends_the_stream_as_the_callers_fault(client: Client) -> None:
    body = b"\x22\xff\xff\xff\x07" + b"q" * client.info().limits.max_message_bytes
    call = client.channel.stream_stream(
        "/podium.v1.RankService/RankStream", request_serializer=bytes, response_deserializer=bytes
    )
    failed = refusal(lambda: list(call(iter([body]), timeout=TIMEOUT)))
    assert failed.code.name == "INVALID_ARGUMENT", failed
