"""Retries: whether a call is tried again, and after how long. Every decision about that is made here."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

import grpc

from podium_client.budget import RetryBudget
from podium_client.errors import PodiumError


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How patient a client is with a server that cannot answer now."""

    attempts: int = 4
    """How often a call is tried at most, the first time included; 1: never again."""
    first_backoff: float = 0.05
    """Seconds that the first pause may last where the server does not say; the next ones twice as long each."""
    max_backoff: float = 1.0
    """Seconds that no such pause exceeds."""

    def __post_init__(self) -> None:
        """Refuses what makes no sense."""
        if self.attempts < 1 or not 0 <= self.first_backoff <= self.max_backoff:
            raise ValueError("attempts has to be at least 1, and 0 <= first_backoff <= max_backoff")

    def backoff(self, retry: int) -> float:
        """Returns the longest pause before the retry of that number, counted from 1."""
        return min(self.max_backoff, self.first_backoff * 2.0 ** min(retry - 1, 60))


def can_help(error: PodiumError) -> bool:
    """Says whether to try again can help and can do no harm, as all calls that are retried may be repeated.

    A server that answers UNAVAILABLE, or whom nobody reaches, may be another one next time. One that has too much to
    do is asked again only where it says when.
    """
    if error.code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return error.retry_after is not None
    return error.code is grpc.StatusCode.UNAVAILABLE


@dataclass(frozen=True, slots=True)
class Patience:
    """What all calls of a client share."""

    policy: RetryPolicy
    budget: RetryBudget
    clock: Callable[[], float] = time.monotonic
    random: Callable[[], float] = random.random
    """From 0 up to 1, as `random.random`."""


class Attempts:
    """The attempts of one call, which share one deadline."""

    def __init__(self, deadline: float, patience: Patience) -> None:
        """Begins a call that has so many seconds."""
        self._patience = patience
        self._ends = patience.clock() + deadline
        self.made = 0
        patience.budget.called()

    def left(self) -> float:
        """Returns the seconds that are left."""
        return max(0.0, self._ends - self._patience.clock())

    def begin(self) -> float:
        """Counts an attempt and returns the seconds that it may take."""
        self.made += 1
        return self.left()

    def pause_after(self, error: PodiumError) -> float:
        """Returns the seconds to wait before the next attempt; raises the error where none follows.

        The pause is drawn from the whole backoff, so that callers who failed together do not come back together, and
        begins after the time that the server named, if it did. One that the deadline leaves no time for is not begun.
        """
        policy = self._patience.policy
        if not can_help(error) or self.made >= policy.attempts:
            raise error
        pause = (error.retry_after or 0.0) + policy.backoff(self.made) * self._patience.random()
        if pause >= self.left() or not self._patience.budget.take():
            raise error
        return pause
