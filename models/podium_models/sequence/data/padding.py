"""Lays histories of different lengths into one array."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


def pad(sequences: list[Ints]) -> Ints:
    """Pads item sequences on the right with 0: [users, longest] int64, at least 1 long."""
    longest = max(1, max((len(one) for one in sequences), default=1))
    padded = np.zeros((len(sequences), longest), dtype=np.int64)
    for row, one in enumerate(sequences):
        padded[row, : len(one)] = one
    return padded
