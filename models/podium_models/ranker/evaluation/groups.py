"""Lists the household-weeks to be measured, with their candidates and what was bought."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from podium_models.ranker.data.histories import Histories
from podium_models.ranker.data.prepared import Prepared

Ints = npt.NDArray[np.int64]

WEEK_SPAN = 64


class Purchases:
    """Answers whether a household bought an item in a week, for arrays at once."""

    def __init__(self, histories: Histories, items: int) -> None:
        owner = np.repeat(np.arange(len(histories.households)), np.diff(histories.offsets))
        self.items = items
        self.keys = np.unique(self._key(owner, histories.weeks, histories.items))

    def _key(self, household: Ints, week: Ints, item: Ints) -> Ints:
        return (household * WEEK_SPAN + week) * self.items + item

    def contains(self, household: Ints, week: Ints, item: Ints) -> npt.NDArray[np.bool_]:
        """Broadcasts its arguments and tells, for each, whether that purchase exists."""
        wanted = self._key(household, week, item.astype(np.int64))
        place = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        return np.asarray(self.keys[place] == wanted)

    def counts(self, households: int) -> Ints:
        """Returns distinct items bought, [households, 64] int64 by week."""
        weeks = np.bincount(self.keys // self.items, minlength=households * WEEK_SPAN)
        return weeks.reshape(households, WEEK_SPAN)


@dataclass(frozen=True)
class Groups:
    """Household-weeks with at least one in-vocabulary purchase.

    ``household`` (position), ``week``, ``pair`` (row of the pair table), ``bought`` (distinct
    items): [groups] int64; ``relevant`` [groups, candidates] bool.
    """

    household: Ints
    week: Ints
    pair: Ints
    bought: Ints
    relevant: npt.NDArray[np.bool_]


def build_groups(prepared: Prepared, weeks: Iterable[int], cutoff: int) -> Groups:
    """Lists all active household-weeks, candidates frozen at the end of week ``cutoff``."""
    purchases = Purchases(prepared.histories, prepared.items.size)
    counts = purchases.counts(len(prepared.histories.households))
    chosen = np.zeros_like(counts, dtype=bool)
    chosen[:, list(weeks)] = True
    household, week = np.nonzero(chosen & (counts > 0))
    pair = prepared.pairs.row[household, cutoff]
    candidates = prepared.pairs.candidates[pair]
    relevant = purchases.contains(household[:, None], week[:, None], candidates)
    return Groups(household, week, pair, counts[household, week], relevant)
