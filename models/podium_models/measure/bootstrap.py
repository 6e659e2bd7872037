"""Draws shoppers with replacement to say how sure a mean, a ratio or a difference is."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

DRAWS_AT_ONCE = 100


class Interval(NamedTuple):
    """A value and the 2.5% and 97.5% points of its bootstrap distribution."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.4f} [{self.low:.4f}, {self.high:.4f}]"


def bootstrap(values: Floats, seed: int, draws: int = 2000) -> Interval:
    """Returns the percentile interval of the mean of [shoppers] float64, NaN left out.

    For a paired comparison pass the differences by shopper. Empty input raises ``ValueError``.
    """
    known = values[~np.isnan(values)]
    if len(known) == 0:
        raise ValueError("no shopper has a value")
    random = np.random.default_rng(seed)
    means = np.empty(draws)
    for draw in range(draws):
        means[draw] = known[random.integers(0, len(known), len(known))].mean()
    low, high = np.quantile(means, [0.025, 0.975])
    return Interval(float(known.mean()), float(low), float(high))


def bootstrap_totals(
    parts: Floats, statistic: Callable[[Floats], Floats], seed: int, draws: int = 2000
) -> Interval:
    """Returns the percentile interval of a statistic of totals, such as F1 of summed counts.

    ``parts`` [shoppers, ...] are each shopper's counts; ``statistic`` maps totals [n, ...] to [n].
    For a paired comparison keep both methods' counts in ``parts`` and let it take the difference.
    """
    if len(parts) == 0:
        raise ValueError("no shopper has a value")
    random = np.random.default_rng(seed)
    flat, chance = parts.reshape(len(parts), -1), np.full(len(parts), 1.0 / len(parts))
    reached: list[Floats] = []
    for start in range(0, draws, DRAWS_AT_ONCE):
        size = min(DRAWS_AT_ONCE, draws - start)
        weights = random.multinomial(len(parts), chance, size=size).astype(np.float64)
        reached.append(statistic((weights @ flat).reshape(size, *parts.shape[1:])))
    low, high = np.quantile(np.concatenate(reached), [0.025, 0.975])
    return Interval(float(statistic(parts.sum(axis=0)[None])[0]), float(low), float(high))
