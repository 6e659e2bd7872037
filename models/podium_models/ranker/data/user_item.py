"""Counts how a candidate relates to a household's bounded history, exactly as the server does."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


class UserItem(NamedTuple):
    """Raw values for each candidate, all [candidates] float32.

    ``own_count``: events of the history with this item. ``own_age``: days between the history's
    latest event and its latest event with this item, or ``never`` where there is none.
    ``category_count``: events of the history whose category equals the candidate's.
    """

    own_count: Floats
    own_age: Floats
    category_count: Floats


def relate(items: Ints, days: Ints, candidates: Ints, category_of: Ints, never: float) -> UserItem:
    """Relates candidates [candidates] int64 to a history of ``items`` and ``days`` [events] int64.

    ``category_of`` [items in the vocabulary] int64 maps an item index to its category index.
    """
    counts = np.bincount(items, minlength=len(category_of))
    categories = np.bincount(category_of[items], minlength=int(category_of.max()) + 1)
    last = np.full(len(category_of), -1, dtype=np.int64)
    last[items] = days  # events are oldest first, so the latest day of an item stands
    newest = days[-1] if len(days) else 0
    age = np.where(last[candidates] < 0, never, newest - last[candidates])
    return UserItem(
        own_count=counts[candidates].astype(np.float32),
        own_age=age.astype(np.float32),
        category_count=categories[category_of[candidates]].astype(np.float32),
    )
