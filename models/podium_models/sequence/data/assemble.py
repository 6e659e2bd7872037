"""Joins the ordered parts into the flat arrays that training reads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from podium_models.bundle.vocabulary import FIRST
from podium_models.sequence.data.core import Core
from podium_models.sequence.data.order import Ordered

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Events:
    """Bounds of the kept users, and their events' item indices (first 2) and times."""

    offsets: Ints
    items: Ints
    times: Ints


def assemble(ordered: Ordered, core: Core, timed: bool) -> Events:
    """Drops what is outside the core and numbers users and items anew."""
    item_index = np.cumsum(core.items) - 1 + FIRST
    lengths = np.zeros(len(core.users), dtype=np.int64)
    items = np.empty(core.events, dtype=np.int64)
    times = np.empty(core.events, dtype=np.int64)
    at = 0
    for part in ordered.parts:
        frame = pl.read_parquet(part)
        user, item = frame["user"].to_numpy(), frame["item"].to_numpy()
        alive = core.users[user] & core.items[item]
        end = at + int(alive.sum())
        lengths += np.bincount(user[alive], minlength=len(lengths))
        items[at:end] = item_index[item[alive]]
        if timed:
            times[at:end] = frame["time"].to_numpy()[alive]
        at = end
    offsets = np.concatenate([[0], np.cumsum(lengths[core.users])]).astype(np.int64)
    if not timed:
        times = np.arange(core.events, dtype=np.int64) - np.repeat(offsets[:-1], np.diff(offsets))
    return Events(offsets, items, times)
