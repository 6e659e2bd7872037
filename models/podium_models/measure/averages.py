"""Averages values by their owner, so that each shopper weighs the same whatever the visits."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def by_owner(values: Floats, owners: npt.NDArray[np.int64]) -> Floats:
    """Averages [groups] over each owner's groups, NaN left out: [distinct owners].

    Owners stand in ascending order; one whose every value is NaN stays NaN.
    """
    _, place = np.unique(owners, return_inverse=True)
    known = ~np.isnan(values)
    total = np.bincount(place, weights=np.where(known, values, 0.0))
    count = np.bincount(place, weights=known.astype(np.float64))
    mean = np.full(len(total), np.nan)
    np.divide(total, count, out=mean, where=count > 0)
    return mean
