"""Lists the household-weeks to be measured, with their candidates and what was bought."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from podium_models.ranker.config import Config
from podium_models.ranker.data.histories import Histories
from podium_models.ranker.data.prepared import Prepared
from podium_models.ranker.data.visits import Visits, visits_at

Ints = npt.NDArray[np.int64]


class Bought:
    """Answers what a household bought in a week, by item or by a label of items."""

    def __init__(self, histories: Histories, label_of: Ints, labels: int) -> None:
        owner = np.repeat(np.arange(len(histories.households)), np.diff(histories.offsets))
        self.labels = labels
        self.span = int(histories.weeks.max(initial=0)) + 1
        self.keys = np.unique(self._key(owner, histories.weeks, label_of[histories.items]))

    def _key(self, household: Ints, week: Ints, label: Ints) -> Ints:
        return (household * self.span + week) * self.labels + label

    def contains(self, household: Ints, week: Ints, label: Ints) -> npt.NDArray[np.bool_]:
        """Broadcasts its arguments and tells, for each, whether there is such a purchase."""
        wanted = self._key(household, week, label.astype(np.int64))
        place = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        return np.asarray(self.keys[place] == wanted)

    def table(self, household: Ints, week: Ints) -> npt.NDArray[np.bool_]:
        """Tells for every label whether it was bought: [visits, labels]."""
        return self.contains(household[:, None], week[:, None], np.arange(self.labels))

    def counts(self, households: int) -> Ints:
        """Counts distinct labels bought, [households, weeks + 1] int64."""
        weeks = np.bincount(self.keys // self.labels, minlength=households * self.span)
        return weeks.reshape(households, self.span)


@dataclass(frozen=True)
class Groups:
    """Household-weeks with at least one in-vocabulary purchase.

    ``visits`` say who, when and as of when; ``bought`` [groups] int64 counts distinct items;
    ``relevant`` [groups, candidates] bool.
    """

    visits: Visits
    bought: Ints
    relevant: npt.NDArray[np.bool_]

    @property
    def household(self) -> Ints:
        """Each group's household position, [groups] int64."""
        return self.visits.household

    @property
    def week(self) -> Ints:
        """Each group's target week, [groups] int64."""
        return self.visits.week

    def candidates(self, prepared: Prepared) -> npt.NDArray[np.int32]:
        """Looks the candidates up, [groups, candidates] int32 item indices."""
        return prepared.pairs.candidates[self.pairs(prepared)]

    def pairs(self, prepared: Prepared) -> Ints:
        """Looks up which rows of the pair table belong to the groups, [groups] int64."""
        return prepared.pairs.row[self.visits.household, self.visits.cutoff]

    def take(self, places: Ints) -> Groups:
        """Selects groups by place."""
        return Groups(self.visits.take(places), self.bought[places], self.relevant[places])


def build_groups(prepared: Prepared, weeks: Iterable[int], cutoff: int) -> Groups:
    """Lists all active household-weeks, candidates frozen at the end of week ``cutoff``."""
    everything = np.arange(prepared.items.size)
    purchases = Bought(prepared.histories, everything, prepared.items.size)
    counts = purchases.counts(len(prepared.histories.households))
    chosen = np.zeros_like(counts, dtype=bool)
    chosen[:, [week for week in weeks if week < purchases.span]] = True
    household, week = np.nonzero(chosen & (counts > 0))
    candidates = prepared.pairs.candidates[prepared.pairs.row[household, cutoff]]
    relevant = purchases.contains(household[:, None], week[:, None], candidates)
    visits = visits_at(household, week, cutoff)
    return Groups(visits, counts[household, week], relevant)


def validation_groups(prepared: Prepared, config: Config) -> Groups:
    """Lists the household-weeks that settings and thresholds are chosen on."""
    return build_groups(prepared, config.split.validation_weeks, config.split.last_train_week)


def held_out_groups(prepared: Prepared, config: Config) -> Groups:
    """Lists the household-weeks of the test weeks, histories frozen before the first of them."""
    return build_groups(prepared, config.split.test_weeks, config.split.last_validation_week)
