"""Makes the catalogue and the stored histories that ship."""

from __future__ import annotations

import numpy as np
import polars as pl

from podium_models.bundle.vocabulary import FIRST
from podium_models.ranker.data.histories import SECONDS_PER_DAY
from podium_models.ranker.data.prepared import Prepared


def catalogue_table(prepared: Prepared, cutoff: int) -> pl.DataFrame:
    """Returns one row an item of the vocabulary, features as of the end of week ``cutoff``."""
    features = prepared.features
    return prepared.items_table.with_columns(
        price=features.price[cutoff, FIRST:],
        discount=features.discount[cutoff, FIRST:],
        popularity=features.popularity[cutoff, FIRST:],
    )


def histories_table(prepared: Prepared, cutoff: int, limit: int) -> pl.DataFrame:
    """Returns each household's at most ``limit`` latest events up to week ``cutoff``.

    Columns user, item (str) and time (int64 unix seconds, midnight UTC of the purchase's local
    day); users in ascending order, oldest event first. Households without events have no rows.
    """
    histories = prepared.histories
    names = np.asarray(prepared.items.names)
    users, items, times = [], [], []
    for place in range(len(histories.households)):
        index, days = histories.recent(place, cutoff, limit)
        users.append(np.repeat(histories.households[place : place + 1], len(index)))
        items.append(names[index - FIRST])
        times.append(days * SECONDS_PER_DAY)
    return pl.DataFrame(
        {
            "user": np.concatenate(users),
            "item": np.concatenate(items),
            "time": np.concatenate(times),
        }
    )
