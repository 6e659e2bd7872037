"""Draws training examples: a household, a target week, and an earlier cutoff of its history."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from podium_models.ranker.config import FIRST_CUTOFF, SplitConfig, TrainConfig
from podium_models.ranker.data.labels import label_count, label_of
from podium_models.ranker.data.prepared import Prepared
from podium_models.ranker.data.signatures import LABELS
from podium_models.ranker.data.visits import Visits
from podium_models.ranker.evaluation.groups import Bought

Ints = npt.NDArray[np.int64]

BUCKET_BATCHES = 16


class ExampleSource:
    """Knows every active household-week of the training weeks."""

    def __init__(self, prepared: Prepared, split: SplitConfig) -> None:
        self.prepared, self.split = prepared, split
        households = len(prepared.histories.households)
        everything = np.arange(prepared.items.size)
        self.purchases = Bought(prepared.histories, everything, prepared.items.size)
        counts = self.purchases.counts(households)
        weeks = np.arange(counts.shape[1])
        inside = (weeks >= split.first_train_week) & (weeks <= split.last_train_week)
        self.household, self.week = np.nonzero((counts > 0) & inside)
        self.ends = prepared.histories.ends(split.last_train_week)
        self.labels = {
            label: Bought(
                prepared.histories, label_of(prepared, label), label_count(prepared, label)
            )
            for label in LABELS
        }

    def interests(self, visits: Visits) -> dict[str, npt.NDArray[np.float32]]:
        """Tells, by sort of label, what each visit bought: [visits, labels] float32."""
        return {
            label: bought.table(visits.household, visits.week).astype(np.float32)
            for label, bought in self.labels.items()
        }

    def draw(self, count: int, random: np.random.Generator) -> Visits:
        """Draws ``count`` household-weeks without repetition, each with a random lag in weeks.

        The lag is uniform over 1 to ``max_lag_weeks``, as far back as cutoffs reach: a served
        history may be that much older than the week it is asked about.
        """
        places = random.permutation(len(self.week))[:count]
        week = self.week[places]
        longest = np.minimum(self.split.max_lag_weeks, week - FIRST_CUTOFF)
        lag = random.integers(1, longest + 1)
        return Visits(self.household[places], week, week - lag)

    def lengths(self, visits: Visits) -> Ints:
        """Counts each example's history events, [examples] int64."""
        start = self.prepared.histories.offsets[visits.household]
        return self.ends[visits.household, visits.cutoff] - start


def epoch_batches(
    source: ExampleSource, config: TrainConfig, max_length: int, epoch: int
) -> Iterator[Visits]:
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
