"""Relates items, or labels of items, to a household's bounded history as the server does."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


class CountAndAge(NamedTuple):
    """Raw values for each key, [keys] float32.

    ``events``: events of the history with this key. ``age``: days between the history's latest
    event and its latest event with this key, or ``never`` where there is none.
    """

    events: Floats
    age: Floats


def count_and_age(keys: Ints, days: Ints, size: int, never: float) -> CountAndAge:
    """Relates every key below ``size`` to events of ``keys`` and ``days`` [events] int64.

    Events are oldest first; a key is an item's index, or that of its category or department.
    """
    last = np.full(size, -1, dtype=np.int64)
    last[keys] = days  # oldest first, so the latest day of a key stands
    newest = days[-1] if len(days) else 0
    age = np.where(last < 0, never, newest - last)
    return CountAndAge(np.bincount(keys, minlength=size).astype(np.float32), age.astype(np.float32))
