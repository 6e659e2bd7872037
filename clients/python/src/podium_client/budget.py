"""The retry budget: how much the attempts of all calls together may add to what is asked anyway."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class RetryBudget:
    """A bucket of tokens that all calls of a client share; a retry takes a whole one.

    Each call puts in `ratio` of a token, and each second `per_second`; it holds `burst` at most, and begins full. So
    while a server answers nobody, retries add a tenth to its load by default, and not a multiple.
    """

    def __init__(
        self,
        ratio: float = 0.1,
        per_second: float = 1.0,
        burst: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Fills the bucket."""
        if min(ratio, per_second, burst) < 0:
            raise ValueError("ratio, per_second and burst have to be 0 or more")
        self._ratio, self._per_second, self._burst, self._clock = ratio, per_second, burst, clock
        self._tokens, self._filled = burst, clock()
        self._lock = threading.Lock()

    def called(self) -> None:
        """Puts in what a call brings."""
        with self._lock:
            self._tokens = min(self._burst, self._tokens + self._ratio)

    def take(self) -> bool:
        """Takes a token for a retry, and says whether there was one."""
        with self._lock:
            now = self._clock()
            self._tokens = min(self._burst, self._tokens + self._per_second * (now - self._filled))
            self._filled = now
            if self._tokens < 1:
                return False
            self._tokens -= 1
            return True
