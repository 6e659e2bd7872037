"""Builds the exact inputs of both graphs from prepared data; training and evaluation share it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from podium_models.ranker.data.gaps import gap_days
from podium_models.ranker.data.labels import Columns, label_of
from podium_models.ranker.data.prepared import Prepared
from podium_models.ranker.data.signatures import LABEL_FEATURES
from podium_models.ranker.data.transforms import CANDIDATE_TRANSFORMS, GAP
from podium_models.ranker.data.visits import Visits

Ints = npt.NDArray[np.int64]
Arrays = dict[str, npt.NDArray[Any]]


def encoder_inputs(prepared: Prepared, households: Ints, cutoffs: Ints, max_length: int) -> Arrays:
    """Builds the encoder's inputs for households cut at the end of the given weeks.

    The result holds item, category [users, length] int64 and gap, mask [users, length] float32,
    right padded, oldest event first; length is that of the longest history, at least 1.
    """
    recent = [
        prepared.histories.recent(int(household), int(cutoff), max_length)
        for household, cutoff in zip(households, cutoffs, strict=True)
    ]
    length = max(1, max((len(items) for items, _ in recent), default=1))
    item = np.zeros((len(recent), length), dtype=np.int64)
    gap = np.zeros((len(recent), length), dtype=np.float32)
    mask = np.zeros((len(recent), length), dtype=np.float32)
    for place, (items, days) in enumerate(recent):
        item[place, : len(items)] = items
        gap[place, : len(items)] = GAP.apply(gap_days(days))
        mask[place, : len(items)] = 1.0
    return {"item": item, "category": prepared.category_of[item], "gap": gap, "mask": mask}


def week_inputs(prepared: Prepared, weeks: Ints) -> npt.NDArray[np.float32]:
    """Returns the week of the year that both the graph and a request hold, [weeks] float32."""
    return prepared.calendar[weeks].astype(np.float32)


def raw_columns(prepared: Prepared, visits: Visits, chosen: Ints, labels: Columns) -> Columns:
    """Gathers raw candidate features, each [visits, chosen] float32, in transform-table order.

    ``chosen`` [visits, chosen] int64 places among the visit's candidates; ``labels`` are the
    visits' ``label_columns``. Display and mailer are those of the target week; everything else is
    as of the cutoff.
    """
    features, table = prepared.features, prepared.pairs
    pairs = table.row[visits.household, visits.cutoff]
    items = np.take_along_axis(table.candidates[pairs], chosen, axis=1)
    known, planned = visits.cutoff[:, None], visits.week[:, None]
    found = {
        "price": features.price[known, items],
        "discount": features.discount[known, items],
        "display": features.display[planned, items],
        "mailer": features.mailer[planned, items],
        "popularity": features.popularity[known, items],
        **{
            name: np.take_along_axis(getattr(table, name)[pairs], chosen, axis=1).astype(np.float32)
            for name in ("own_count", "own_age")
        },
        **{
            name: np.take_along_axis(labels[name], label_of(prepared, label)[items], axis=1)
            for label, names in LABEL_FEATURES.items()
            for name in names
        },
    }
    return {name: found[name] for name in CANDIDATE_TRANSFORMS}


def ranker_rows(prepared: Prepared, visits: Visits, chosen: Ints, labels: Columns) -> Arrays:
    """Builds all row inputs of the ranker, each [visits * chosen], with transforms applied."""
    count = chosen.shape[1]
    pairs = prepared.pairs.row[visits.household, visits.cutoff]
    items = np.take_along_axis(prepared.pairs.candidates[pairs], chosen, axis=1).astype(np.int64)
    raw = raw_columns(prepared, visits, chosen, labels)
    rows: Arrays = {
        "user_index": np.repeat(np.arange(len(pairs), dtype=np.int64), count),
        "item": items.reshape(-1),
        "category": prepared.category_of[items].reshape(-1),
    }
    for name, transform in CANDIDATE_TRANSFORMS.items():
        rows[name] = transform.apply(raw[name]).reshape(-1)
    return rows
