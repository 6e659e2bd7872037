"""Says how much of a catalogue is shown, and how evenly."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


def exposure(shown: Ints, items: int) -> Ints:
    """Counts how often each item is shown: lists [..., k] of indices below ``items`` to [items]."""
    return np.bincount(shown.reshape(-1), minlength=items).astype(np.int64)


def catalogue_coverage(counts: Ints) -> float:
    """Returns the share of items shown at least once; an empty catalogue raises ``ValueError``."""
    if len(counts) == 0:
        raise ValueError("the catalogue is empty")
    return float((counts > 0).mean())


def gini(counts: npt.NDArray[np.integer] | npt.NDArray[np.floating]) -> float:
    """Returns the Gini coefficient of exposure: 0 where all items are shown alike, towards 1 else.

    Source: Gini, "Variabilità e mutabilità", 1912; mean absolute difference over twice the mean.
    """
    if len(counts) == 0 or float(counts.min()) < 0:
        raise ValueError("exposure is not negative, and there is at least one item")
    ordered = np.sort(counts.astype(np.float64))
    total = float(ordered.sum())
    if total == 0.0:
        return 0.0
    n = len(ordered)
    return float((2 * np.arange(1, n + 1) - n - 1) @ ordered / (n * total))
