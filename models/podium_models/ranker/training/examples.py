"""Draws training examples: a household, a target week, and an earlier cutoff of its history."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from podium_models.ranker.config import SplitConfig, TrainConfig
from podium_models.ranker.data.prepared import Prepared
from podium_models.ranker.evaluation.groups import WEEK_SPAN, Purchases
from podium_models.ranker.prepare import FIRST_CUTOFF

Ints = npt.NDArray[np.int64]

BUCKET_BATCHES = 16


@dataclass(frozen=True)
class Examples:
    """Household position, target week and cutoff week, each [examples] int64."""

    household: Ints
    week: Ints
    cutoff: Ints

    def take(self, places: Ints) -> Examples:
        """Selects examples by place."""
        return Examples(self.household[places], self.week[places], self.cutoff[places])


class ExampleSource:
    """Knows every active household-week of the training weeks."""

    def __init__(self, prepared: Prepared, split: SplitConfig) -> None:
        self.prepared, self.split = prepared, split
        households = len(prepared.histories.households)
        self.purchases = Purchases(prepared.histories, prepared.items.size)
        counts = self.purchases.counts(households)
        weeks = np.arange(WEEK_SPAN)
        inside = (weeks >= split.first_train_week) & (weeks <= split.last_train_week)
        self.household, self.week = np.nonzero((counts > 0) & inside)
        self.ends = prepared.histories.ends(split.last_train_week)
        self.departments = self._departments(households)

    def _departments(self, households: int) -> npt.NDArray[np.bool_]:
        bought = np.zeros((households, WEEK_SPAN, self.prepared.departments.size), dtype=bool)
        histories = self.prepared.histories
        owner = np.repeat(np.arange(households), np.diff(histories.offsets))
        bought[owner, histories.weeks, self.prepared.department_of[histories.items]] = True
        return bought

    def draw(self, count: int, random: np.random.Generator) -> Examples:
        """Draws ``count`` household-weeks without repetition, each with a random lag in weeks.

        The lag is uniform over 1 to ``max_lag_weeks``, as far back as cutoffs reach: a served
        history may be that much older than the week it is asked about.
        """
        places = random.permutation(len(self.week))[:count]
        week = self.week[places]
        longest = np.minimum(self.split.max_lag_weeks, week - FIRST_CUTOFF)
        lag = random.integers(1, longest + 1)
        return Examples(self.household[places], week, week - lag)

    def lengths(self, examples: Examples) -> Ints:
        """Counts each example's history events, [examples] int64."""
        start = self.prepared.histories.offsets[examples.household]
        return self.ends[examples.household, examples.cutoff] - start


def epoch_batches(
    source: ExampleSource, config: TrainConfig, max_length: int, epoch: int
) -> Iterator[Examples]:
    """Yields an epoch's batches, similar lengths together, the same for the same seed and epoch."""
    random = np.random.default_rng([config.seed, epoch])
    examples = source.draw(config.examples_per_epoch, random)
    lengths = np.minimum(source.lengths(examples), max_length)
    bucket = config.batch_size * BUCKET_BATCHES
    batches: list[Ints] = []
    for start in range(0, len(lengths), bucket):
        places = np.arange(start, min(start + bucket, len(lengths)))
        places = places[np.argsort(lengths[places], kind="stable")]
        batches += [
            places[at : at + config.batch_size] for at in range(0, len(places), config.batch_size)
        ]
    for at in random.permutation(len(batches)):
        yield examples.take(batches[at])
