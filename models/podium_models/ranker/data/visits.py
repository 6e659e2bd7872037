"""Says which household-weeks are asked about, and how old the history is that answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Visits:
    """Household position, target week and cutoff week of its history, each [visits] int64."""

    household: Ints
    week: Ints
    cutoff: Ints

    def take(self, places: Ints | slice) -> Visits:
        """Selects visits by place."""
        return Visits(self.household[places], self.week[places], self.cutoff[places])


def visits_at(household: Ints, week: Ints, cutoff: int) -> Visits:
    """Makes visits whose histories all end with the same week."""
    return Visits(household, week, np.full(len(household), cutoff, dtype=np.int64))
