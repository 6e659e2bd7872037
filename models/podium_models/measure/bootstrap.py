"""Draws households with replacement to say how sure a mean, or a difference of means, is."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class Interval(NamedTuple):
    """A mean over households and the 2.5% and 97.5% points of its bootstrap distribution."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.4f} [{self.low:.4f}, {self.high:.4f}]"


def bootstrap(values: Floats, seed: int, draws: int = 2000) -> Interval:
    """Returns the percentile interval of the mean of [households] float64, NaN left out.

    For a paired comparison pass the differences by household. Empty input raises ``ValueError``.
    """
    known = values[~np.isnan(values)]
    if len(known) == 0:
        raise ValueError("no household has a value")
    random = np.random.default_rng(seed)
    means = np.empty(draws)
    for draw in range(draws):
        means[draw] = known[random.integers(0, len(known), len(known))].mean()
    low, high = np.quantile(means, [0.025, 0.975])
    return Interval(float(known.mean()), float(low), float(high))
