"""`ModelStreamInfer`: answers in the order of the requests, and errors that end nothing."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from client import Client
from server import Server
from slow import rounds_for
from triton import (
    check,
    collected,
    connected,
    expected,
    inputs_of,
    message,
    outputs_of,
    slow_inputs,
    stub,
    tiny,
)


@contextmanager
def streaming(server: Server) -> Iterator[tuple[Any, queue.Queue[tuple[Any, Any]]]]:
    """Gives a `tritonclient` with an open stream, and what comes out of it: results and errors."""
    callback, told = collected()
    with connected(server.port) as caller:
        caller.start_stream(callback=callback)
        yield caller, told
        caller.stop_stream()


def test_answers_come_in_the_order_of_the_requests(server: Server, client: Client) -> None:
    rounds = rounds_for(client, 0.3)
    with streaming(server) as (caller, told):
        caller.async_stream_infer("slow-ranker", inputs_of(slow_inputs(rounds)), request_id="slow")
        for number in range(20):
            caller.async_stream_infer("tiny-ranker", inputs_of(tiny(1 + number, seed=number)), request_id=str(number))
        ids = []
        for number in range(-1, 20):
            result, error = told.get(timeout=20)
            assert error is None
            ids.append(result.get_response().id)
            assert result.get_response().parameters["triton_final_response"].bool_param
            if number >= 0:
                want = expected("tiny-ranker", tiny(1 + number, seed=number), version=2)
                check(outputs_of(result), want)
        assert ids == ["slow", *map(str, range(20))]


def test_an_error_is_an_answer_and_ends_nothing(server: Server) -> None:
    with streaming(server) as (caller, told):
        caller.async_stream_infer("tiny-ranker", inputs_of(tiny(2)), request_id="a")
        caller.async_stream_infer("nobody", inputs_of(tiny(2)), request_id="b")
        caller.async_stream_infer("tiny-ranker", inputs_of(tiny(2) | {"price": np.zeros(3, np.float32)}))
        caller.async_stream_infer("tiny-ranker", inputs_of(tiny(3)), request_id="d", enable_empty_final_response=True)
        answers = [told.get(timeout=20) for _ in range(4)]
    assert [error is None for _, error in answers] == [True, False, False, True]
    assert "the model `nobody` is not loaded" in answers[1][1].message()
    assert "both are `rows`" in answers[2][1].message()
    check(outputs_of(answers[3][0]), expected("tiny-ranker", tiny(3), version=2))


def test_an_error_has_the_id_of_its_request(server: Server) -> None:
    requests = [message("nobody", tiny(1), id="bad"), message("tiny-ranker", tiny(1), id="good")]
    with stub(server.port) as service:
        answers = list(service.ModelStreamInfer(iter(requests), timeout=20))
    assert [answer.infer_response.id for answer in answers] == ["bad", "good"]
    assert [answer.error_message != "" for answer in answers] == [True, False]
    assert not answers[0].infer_response.outputs
