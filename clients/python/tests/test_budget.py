"""The retry budget: what calls and time put in, and that no more is taken out."""

from __future__ import annotations

import threading

import pytest

from fake import Clock
from podium_client import RetryBudget


def taken(budget: RetryBudget, tries: int) -> int:
    """Returns how many of so many retries the budget allows."""
    return sum(budget.take() for _ in range(tries))


@pytest.mark.parametrize(
    ("settings", "calls", "seconds", "allowed"),
    [
        ((0.1, 0.0, 10.0), 0, 0.0, 0),
        ((0.125, 0.0, 10.0), 40, 0.0, 5),
        ((0.125, 0.0, 10.0), 47, 0.0, 5),
        ((0.25, 0.0, 10.0), 8, 0.0, 2),
        ((0.1, 0.0, 10.0), 100_000, 0.0, 10),
        ((0.0, 2.0, 10.0), 100, 3.0, 6),
        ((0.0, 2.0, 10.0), 100, 3_600.0, 10),
        ((0.5, 1.0, 10.0), 4, 2.5, 4),
        ((0.0, 0.0, 0.0), 1_000, 1_000.0, 0),
    ],
)
def test_an_empty_budget_fills_by_calls_and_by_time(
    settings: tuple[float, float, float], calls: int, seconds: float, allowed: int
) -> None:
    clock = Clock()
    budget = RetryBudget(*settings, clock)
    assert taken(budget, 100) == int(settings[2])
    for _ in range(calls):
        budget.called()
    clock.now += seconds
    assert taken(budget, 100) == allowed


def test_threads_take_no_more_than_there_is() -> None:
    budget, counts = RetryBudget(0.0, 0.0, 1_000.0), []
    threads = [threading.Thread(target=lambda: counts.append(taken(budget, 500))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(counts) == 1_000


def test_a_negative_budget_is_refused() -> None:
    with pytest.raises(ValueError, match="0 or more"):
        RetryBudget(ratio=-0.1)
