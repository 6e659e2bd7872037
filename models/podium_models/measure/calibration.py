"""Compares predicted probabilities with what happened: Brier score, ECE, reliability table."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


class Reliability(NamedTuple):
    """One row a bin that is not empty: how many, mean prediction, share that happened."""

    size: Floats
    predicted: Floats
    happened: Floats


def checked(probabilities: npt.NDArray[np.floating]) -> Floats:
    """Returns the probabilities flat in float64; one outside [0, 1], or none, raises."""
    flat = probabilities.astype(np.float64).reshape(-1)
    if len(flat) == 0 or not bool(((flat >= 0.0) & (flat <= 1.0)).all()):
        raise ValueError("probabilities lie in [0, 1], and there is at least one")
    return flat


def brier(probabilities: npt.NDArray[np.floating], truth: Flags) -> float:
    """Returns the mean squared difference of probability and outcome.

    Source: Brier, "Verification of forecasts expressed in terms of probability", 1950.
    """
    return float(((checked(probabilities) - truth.reshape(-1)) ** 2).mean())


def reliability(
    probabilities: npt.NDArray[np.floating], truth: Flags, bins: int = 10, equal_counts: bool = True
) -> Reliability:
    """Groups predictions into bins and compares them with outcomes.

    Bins hold equally many predictions (default; right where most are small) or have equal width.
    """
    flat, happened = checked(probabilities), truth.reshape(-1).astype(np.float64)
    if equal_counts:
        place = np.empty(len(flat), dtype=np.int64)
        place[np.argsort(flat, kind="stable")] = np.arange(len(flat)) * bins // len(flat)
    else:
        place = np.minimum((flat * bins).astype(np.int64), bins - 1)
    count = np.bincount(place, minlength=bins).astype(np.float64)
    kept = count > 0
    sums = [np.bincount(place, weights=one, minlength=bins)[kept] for one in (flat, happened)]
    return Reliability(count[kept], sums[0] / count[kept], sums[1] / count[kept])


def expected_calibration_error(table: Reliability) -> float:
    """Returns the mean distance of prediction and outcome over bins, weighed by their counts.

    Source: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.
    """
    distance = np.abs(table.predicted - table.happened)
    return float((distance * table.size).sum() / table.size.sum())
