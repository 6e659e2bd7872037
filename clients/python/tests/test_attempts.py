"""Attempts as a server sees them: how many, when, and with what; by both clients."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from opentelemetry import context, trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from fake import Fake, refuse, retry_info
from podium_client import (
    AsyncClient,
    Client,
    DeadlineExceeded,
    Internal,
    Overloaded,
    PodiumError,
    Ranking,
    RetryBudget,
    RetryPolicy,
    Unavailable,
)

UNAVAILABLE, EXHAUSTED = grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED
QUICK = RetryPolicy(attempts=4, first_backoff=0.001)
PATIENT: dict[str, Any] = {"deadline": 20.0}
Ask = Callable[..., Ranking]


def ask_sync(address: str, settings: dict[str, Any], **arguments: Any) -> Ranking:
    """Ranks by the client for threads."""
    with Client(address, **PATIENT | settings) as client:
        return client.rank(candidates=["a"], **arguments)


def ask_async(address: str, settings: dict[str, Any], **arguments: Any) -> Ranking:
    """Ranks by the client for asyncio."""

    async def ask() -> Ranking:
        async with AsyncClient(address, **PATIENT | settings) as client:
            return await client.rank(candidates=["a"], **arguments)

    return asyncio.run(ask())


both = pytest.mark.parametrize("ask", [ask_sync, ask_async])


@both
def test_an_attempt_that_fails_is_followed_by_one_that_does_not(ask: Ask) -> None:
    def third_time(number: int, server: grpc.ServicerContext) -> None:
        if number < 3:
            refuse(server, UNAVAILABLE)

    with Fake(third_time) as fake:
        assert ask(fake.address, {"retries": QUICK}, request_id="r").request_id == "r"
    assert [asked.request.request_id for asked in fake.asked] == ["r"] * 3


@both
@pytest.mark.parametrize(
    ("code", "told", "error", "attempts"),
    [
        (UNAVAILABLE, False, Unavailable, 4),
        (UNAVAILABLE, True, Unavailable, 4),
        (EXHAUSTED, True, Overloaded, 4),
        (EXHAUSTED, False, Overloaded, 1),
        (grpc.StatusCode.INTERNAL, True, Internal, 1),
        (grpc.StatusCode.UNKNOWN, False, PodiumError, 1),
    ],
)
def test_only_what_can_help_is_tried_again(
    ask: Ask, code: grpc.StatusCode, told: bool, error: type[PodiumError], attempts: int
) -> None:
    details = [retry_info(0.001)] if told else []
    with Fake(lambda _, server: refuse(server, code, *details)) as fake, pytest.raises(error) as caught:
        ask(fake.address, {"retries": QUICK}, request_id="r")
    assert (len(fake.asked), caught.value.attempts) == (attempts, attempts)
    assert (caught.value.code, caught.value.request_id) == (code, "r")


@both
def test_the_time_that_the_server_names_is_waited_for(ask: Ask) -> None:
    def second_time(number: int, server: grpc.ServicerContext) -> None:
        if number < 2:
            refuse(server, EXHAUSTED, retry_info(0.3))

    started = time.monotonic()
    with Fake(second_time) as fake:
        ask(fake.address, {"retries": QUICK})
    assert 0.3 <= time.monotonic() - started < 5


@both
def test_a_pause_beyond_the_deadline_is_not_begun(ask: Ask) -> None:
    started = time.monotonic()
    with (
        Fake(lambda _, server: refuse(server, EXHAUSTED, retry_info(30.0))) as fake,
        pytest.raises(Overloaded) as caught,
    ):
        ask(fake.address, {"retries": QUICK, "deadline": 5.0})
    assert time.monotonic() - started < 4
    assert (len(fake.asked), caught.value.retry_after) == (1, 30.0)


@both
def test_all_attempts_share_the_deadline_that_the_server_is_told(ask: Ask) -> None:
    def slow(_: int, server: grpc.ServicerContext) -> None:
        time.sleep(0.25)
        refuse(server, UNAVAILABLE)

    started = time.monotonic()
    policy = RetryPolicy(attempts=100, first_backoff=0.001)
    with Fake(slow) as fake, pytest.raises((DeadlineExceeded, Unavailable)):
        ask(fake.address, {"retries": policy, "deadline": 60.0}, deadline=0.9)
    assert time.monotonic() - started < 1.5
    told = [asked.deadline for asked in fake.asked]
    assert 0.4 < told[0] <= 0.9
    assert all(later <= earlier - 0.2 for earlier, later in itertools.pairwise(told))
    assert 2 <= len(told) <= 4


def test_a_client_without_a_deadline_has_one_of_a_second() -> None:
    async def ask(address: str) -> None:
        async with AsyncClient(address) as client:
            await client.rank(candidates=["a"])

    with Fake() as fake:
        with Client(fake.address) as client:
            client.rank(candidates=["a"])
        asyncio.run(ask(fake.address))
    assert all(0 < asked.deadline <= 1.0 for asked in fake.asked)


@pytest.mark.parametrize("wrong", [0.0, -1.0, float("nan"), float("inf")])
def test_a_deadline_that_is_none_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="deadline"):
        Client("127.0.0.1:1", deadline=wrong)
    with Client("127.0.0.1:1") as client, pytest.raises(ValueError, match="deadline"):
        client.rank(candidates=["a"], deadline=wrong)


def test_a_storm_adds_a_tenth() -> None:
    budget = RetryBudget(ratio=0.1, per_second=0.0, burst=10.0)

    def storm(client: Client) -> None:
        for _ in range(50):
            with pytest.raises(Unavailable):
                client.rank(candidates=["a"])

    with (
        Fake(lambda _, server: refuse(server, UNAVAILABLE)) as fake,
        Client(fake.address, retries=QUICK, budget=budget, deadline=20.0) as client,
        ThreadPoolExecutor(4) as threads,
    ):
        for ended in [threads.submit(storm, client) for _ in range(4)]:
            ended.result()
    # 200 calls, a tenth of that, and what the bucket held.
    assert 200 + 20 <= len(fake.asked) <= 200 + 20 + 10


def test_a_storm_of_tasks_adds_a_tenth() -> None:
    async def storm(address: str) -> None:
        budget = RetryBudget(ratio=0.1, per_second=0.0, burst=10.0)
        async with AsyncClient(address, retries=QUICK, budget=budget, deadline=20.0) as client:
            calls = (client.rank(candidates=["a"]) for _ in range(100))
            answers = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(answer, Unavailable) for answer in answers)

    with Fake(lambda _, server: refuse(server, UNAVAILABLE)) as fake:
        asyncio.run(storm(fake.address))
    assert 110 <= len(fake.asked) <= 120


@both
def test_the_trace_and_the_caller_arrive_with_each_attempt(ask: Ask) -> None:
    def second_time(number: int, server: grpc.ServicerContext) -> None:
        if number % 2:
            refuse(server, UNAVAILABLE)

    span = NonRecordingSpan(SpanContext(0xABCD, 0xEF, is_remote=False, trace_flags=TraceFlags(1)))
    token = context.attach(trace.set_span_in_context(span))
    try:
        with Fake(second_time) as fake:
            ask(fake.address, {"retries": QUICK, "caller": "shop"})
            ask(fake.address, {"retries": QUICK, "caller": "shop"}, caller="night-job", traceparent="00-mine")
    finally:
        context.detach(token)
    ours = "00-0000000000000000000000000000abcd-00000000000000ef-01"
    seen = [(asked.metadata.get("traceparent"), asked.metadata["podium-caller"]) for asked in fake.asked]
    assert seen == [(ours, "shop")] * 2 + [("00-mine", "night-job")] * 2


def test_nobody_there_is_unavailable() -> None:
    for ask in (ask_sync, ask_async):
        with pytest.raises(Unavailable) as caught:
            ask("127.0.0.1:1", {"retries": QUICK})
        assert caught.value.attempts == 4
        assert caught.value.reason == ""


def test_a_task_that_is_cancelled_ends_its_call() -> None:
    ended = threading.Event()

    def slow(_: int, server: grpc.ServicerContext) -> None:
        server.add_callback(ended.set)
        ended.wait(10)

    async def cancel(address: str) -> None:
        async with AsyncClient(address, deadline=20.0) as client:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.rank(candidates=["a"]), 0.3)
            assert await asyncio.to_thread(ended.wait, 5)

    with Fake(slow) as fake:
        asyncio.run(cancel(fake.address))
    assert len(fake.asked) == 1
