"""Relates a household's history to every department and every category at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from podium_models.ranker.data.prepared import Prepared
from podium_models.ranker.data.signatures import LABEL_FEATURES
from podium_models.ranker.data.user_item import count_and_age
from podium_models.ranker.data.visits import Visits

Ints = npt.NDArray[np.int64]
Columns = dict[str, npt.NDArray[np.float32]]


def label_of(prepared: Prepared, label: str) -> Ints:
    """Returns the map from an item's index to that of its label, [items] int64."""
    mapped: Ints = getattr(prepared, f"{label}_of")
    return mapped


def label_count(prepared: Prepared, label: str) -> int:
    """Counts a label's indices, padding and out-of-vocabulary included."""
    return {"department": prepared.departments, "category": prepared.categories}[label].size


def label_columns(prepared: Prepared, visits: Visits) -> Columns:
    """Returns raw counts and ages by feature name, each [visits, labels of that sort] float32."""
    data, count = prepared.data, len(visits.household)
    result: Columns = {}
    recent = [
        prepared.histories.recent(int(household), int(cutoff), data.history_events)
        for household, cutoff in zip(visits.household, visits.cutoff, strict=True)
    ]
    for label, names in LABEL_FEATURES.items():
        mapped, size = label_of(prepared, label), label_count(prepared, label)
        columns = [np.empty((count, size), dtype=np.float32) for _ in names]
        for place, (items, days) in enumerate(recent):
            related = count_and_age(mapped[items], days, size, data.never_bought_days)
            for column, values in zip(columns, related, strict=True):
                column[place] = values
        result |= dict(zip(names, columns, strict=True))
    return result
