"""Turns the days of events into the time feature of the encoder."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def gap_days(days: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Returns the days since the event before, 0 for the first: [events] float32."""
    gaps = np.zeros(len(days), dtype=np.float32)
    gaps[1:] = np.diff(days)
    return gaps
