"""Builds the exact inputs of both graphs from prepared data; training and evaluation share it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from podium_models.ranker.data.gaps import gap_days
from podium_models.ranker.data.prepared import Prepared
from podium_models.ranker.data.transforms import CANDIDATE_TRANSFORMS, GAP

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


def raw_columns(
    prepared: Prepared, pairs: Ints, cutoffs: Ints, weeks: Ints, chosen: Ints
) -> dict[str, npt.NDArray[np.float32]]:
    """Gathers raw candidate features, each [groups, chosen] float32, in transform-table order.

    ``pairs``, ``cutoffs``, ``weeks`` [groups] int64; ``chosen`` [groups, chosen] int64 places
    among the pair's candidates. Display and mailer are those of the target week; everything else
    is as of the cutoff.
    """
    features, table = prepared.features, prepared.pairs
    items = np.take_along_axis(table.candidates[pairs], chosen, axis=1)
    known, planned = cutoffs[:, None], weeks[:, None]
    return {
        "price": features.price[known, items],
        "discount": features.discount[known, items],
        "display": features.display[planned, items],
        "mailer": features.mailer[planned, items],
        "popularity": features.popularity[known, items],
        **{
            name: np.take_along_axis(getattr(table, name)[pairs], chosen, axis=1).astype(np.float32)
            for name in ("own_count", "own_age", "category_count")
        },
    }


def ranker_rows(
    prepared: Prepared, pairs: Ints, cutoffs: Ints, weeks: Ints, chosen: Ints
) -> Arrays:
    """Builds all row inputs of the ranker, each [groups * chosen], with transforms applied."""
    groups, count = chosen.shape
    items = np.take_along_axis(prepared.pairs.candidates[pairs], chosen, axis=1).astype(np.int64)
    raw = raw_columns(prepared, pairs, cutoffs, weeks, chosen)
    rows: Arrays = {
        "user_index": np.repeat(np.arange(groups, dtype=np.int64), count),
        "item": items.reshape(-1),
        "category": prepared.category_of[items].reshape(-1),
    }
    for name, transform in CANDIDATE_TRANSFORMS.items():
        rows[name] = transform.apply(raw[name]).reshape(-1)
    return rows
