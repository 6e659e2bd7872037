"""Whether a call is tried again, and when: decided under a clock and dice that the tests hold."""

from __future__ import annotations

import random

import grpc
import pytest

from fake import Clock
from podium_client import PodiumError, RetryBudget, RetryPolicy
from podium_client.errors import Facts, error
from podium_client.retries import Attempts, Patience, can_help

SAFE = {(grpc.StatusCode.UNAVAILABLE, False), (grpc.StatusCode.UNAVAILABLE, True)}
SAFE |= {(grpc.StatusCode.RESOURCE_EXHAUSTED, True)}


def failure(code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE, retry_after: float | None = None) -> PodiumError:
    """Returns an error of a server."""
    return error(code, "no", Facts(retry_after=retry_after))


def attempts(
    deadline: float = 10.0, policy: RetryPolicy | None = None, dice: float = 0.5, burst: float = 100.0
) -> tuple[Attempts, Clock]:
    """Returns the attempts of a call with their clock."""
    clock = Clock()
    budget = RetryBudget(0.0, 0.0, burst, clock)
    return Attempts(deadline, Patience(policy or RetryPolicy(), budget, clock, lambda: dice)), clock


@pytest.mark.parametrize("code", list(grpc.StatusCode))
@pytest.mark.parametrize("told", [False, True])
def test_what_is_tried_again(code: grpc.StatusCode, told: bool) -> None:
    assert can_help(failure(code, 0.1 if told else None)) == ((code, told) in SAFE)


@pytest.mark.parametrize(
    ("retry", "longest"), [(1, 0.1), (2, 0.2), (3, 0.4), (4, 0.8), (5, 1.0), (6, 1.0), (10_000, 1.0)]
)
def test_the_backoff_doubles_up_to_its_bound(retry: int, longest: float) -> None:
    assert RetryPolicy(first_backoff=0.1, max_backoff=1.0).backoff(retry) == pytest.approx(longest)


@pytest.mark.parametrize(
    ("retry_after", "dice", "pauses"),
    [
        (None, 0.5, [0.05, 0.1, 0.2]),
        (None, 0.0, [0.0, 0.0, 0.0]),
        (None, 0.999, [0.0999, 0.1998, 0.3996]),
        (2.0, 0.5, [2.05, 2.1, 2.2]),
        (0.0, 0.5, [0.05, 0.1, 0.2]),
    ],
)
def test_pauses_begin_after_what_the_server_says(retry_after: float | None, dice: float, pauses: list[float]) -> None:
    call, clock = attempts(policy=RetryPolicy(attempts=4, first_backoff=0.1), dice=dice)
    for wanted in pauses:
        call.begin()
        pause = call.pause_after(failure(retry_after=retry_after))
        assert pause == pytest.approx(wanted)
        clock.now += pause
    call.begin()
    with pytest.raises(PodiumError):
        call.pause_after(failure(retry_after=retry_after))
    assert call.made == 4


def test_pauses_are_spread_over_the_whole_backoff() -> None:
    dice = random.Random(7)
    patience = Patience(RetryPolicy(first_backoff=1.0), RetryBudget(0.0, 0.0, 1e6), Clock(), dice.random)
    pauses = []
    for _ in range(1_000):
        call = Attempts(10.0, patience)
        call.begin()
        pauses.append(call.pause_after(failure()))
    assert min(pauses) < 0.01
    assert max(pauses) > 0.99
    assert sum(pauses) / len(pauses) == pytest.approx(0.5, abs=0.03)


def test_all_attempts_share_the_deadline() -> None:
    call, clock = attempts(deadline=1.0)
    assert call.begin() == pytest.approx(1.0)
    clock.now += 0.3
    clock.now += call.pause_after(failure())
    assert call.begin() == pytest.approx(0.7 - 0.025)
    clock.now += 5
    assert call.begin() == 0.0


@pytest.mark.parametrize(("left", "follows"), [(0.31, True), (0.29, False), (0.0, False)])
def test_no_pause_goes_beyond_the_deadline(left: float, follows: bool) -> None:
    call, clock = attempts(deadline=5.0, dice=0.0)
    call.begin()
    clock.now += 5.0 - left
    if follows:
        assert call.pause_after(failure(retry_after=0.3)) == pytest.approx(0.3)
    else:
        with pytest.raises(PodiumError):
            call.pause_after(failure(retry_after=0.3))


def test_an_empty_budget_ends_the_call() -> None:
    call, _ = attempts(burst=1.0, dice=0.0)
    call.begin()
    assert call.pause_after(failure()) == 0.0
    call.begin()
    with pytest.raises(PodiumError):
        call.pause_after(failure())


def test_what_will_not_be_tried_again_costs_no_budget() -> None:
    clock = Clock()
    budget = RetryBudget(0.0, 0.0, 1.0, clock)
    call = Attempts(1.0, Patience(RetryPolicy(), budget, clock, lambda: 0.0))
    for refused in (failure(grpc.StatusCode.INTERNAL), failure(retry_after=60.0)):
        with pytest.raises(PodiumError):
            call.pause_after(refused)
    assert budget.take()


@pytest.mark.parametrize("wrong", [{"attempts": 0}, {"first_backoff": -1.0}, {"first_backoff": 2.0}])
def test_a_policy_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="attempts"):
        RetryPolicy(**wrong)  # type: ignore[arg-type]
