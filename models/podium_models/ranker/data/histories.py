"""Keeps every household's purchase events in one flat, time-ordered array set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

Ints = npt.NDArray[np.int64]

SECONDS_PER_DAY = 86_400


@dataclass(frozen=True)
class Histories:
    """Events of all households; one event is one item bought on one day.

    ``households`` [H] ids, int64 or text, in ascending order; ``offsets`` [H + 1] int64 bounds of
    each household's slice; ``items``, ``days``, ``weeks`` [E] int64: item index, days since 1970 in
    the stores' time zone, week of the data. Within a household events are oldest first.
    """

    households: npt.NDArray[Any]
    offsets: Ints
    items: Ints
    days: Ints
    weeks: Ints

    def bounds(self, household: int, cutoff: int) -> tuple[int, int]:
        """Returns the slice of events up to and including week ``cutoff``."""
        start, stop = int(self.offsets[household]), int(self.offsets[household + 1])
        kept = int(np.searchsorted(self.weeks[start:stop], cutoff, side="right"))
        return start, start + kept

    def recent(self, household: int, cutoff: int, limit: int) -> tuple[Ints, Ints]:
        """Returns items and days of the at most ``limit`` latest events up to week ``cutoff``."""
        start, stop = self.bounds(household, cutoff)
        start = max(start, stop - limit)
        return self.items[start:stop], self.days[start:stop]

    def ends(self, last_week: int) -> Ints:
        """Returns [H, last_week + 1] int64: the end of each household's events at every cutoff."""
        rows = [
            [self.bounds(household, week)[1] for week in range(last_week + 1)]
            for household in range(len(self.households))
        ]
        return np.asarray(rows, dtype=np.int64).reshape(len(self.households), last_week + 1)


def build_histories(purchases: pl.DataFrame) -> Histories:
    """Builds histories of purchases with the columns household, item, day, week and time.

    An item bought several times on one day is one event, at its first time. Events of a day stand
    in order of that time, then of the item index.
    """
    events = (
        purchases.group_by("household", "day", "item")
        .agg(pl.col("time").min(), pl.col("week").min())
        .sort("household", "day", "time", "item")
    )
    households, counts = np.unique(events["household"].to_numpy(), return_counts=True)
    return Histories(
        households=households if households.dtype == np.int64 else households.astype(str),
        offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        items=events["item"].to_numpy().astype(np.int64),
        days=events["day"].to_numpy().astype(np.int64),
        weeks=events["week"].to_numpy().astype(np.int64),
    )
