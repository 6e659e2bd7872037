"""Turns drawn examples into tensors and labels, with sampled negatives and simulated gaps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from podium_models.bundle.vocabulary import OUT_OF_VOCABULARY
from podium_models.ranker.config import ModelConfig, TrainConfig
from podium_models.ranker.data.assemble import Arrays, encoder_inputs, ranker_rows, week_inputs
from podium_models.ranker.data.labels import Columns, label_columns
from podium_models.ranker.data.signatures import LABEL_FEATURES
from podium_models.ranker.data.transforms import CANDIDATE_TRANSFORMS
from podium_models.ranker.data.visits import Visits
from podium_models.ranker.training.examples import ExampleSource

Random = np.random.Generator

COLD_RATE = 0.03
"""Share of examples whose history is hidden, so that the default embedding is trained."""

OF_LABELS = tuple(name for names in LABEL_FEATURES.values() for name in names)
FROM_CATALOGUE = ("price", "discount", "popularity", *OF_LABELS)
FROM_HISTORY = ("own_count", "own_age", *OF_LABELS)


@dataclass(frozen=True)
class Batch:
    """Tensors of one step; G examples (users), K rows each.

    ``encoder``: inputs by name; ``week`` [G] float32; ``rows``: inputs by name [G * K];
    ``label`` [G, K] float32; ``weight`` [G, K] float32, how many candidates a row stands for;
    By sort of label, ``own`` [G, labels, 2] float32 holds each label's transformed count and age,
    ``interests`` [G, labels] float32 whether anything with that label was bought.
    """

    encoder: dict[str, Tensor]
    week: Tensor
    rows: dict[str, Tensor]
    label: Tensor
    weight: Tensor
    own: dict[str, Tensor]
    interests: dict[str, Tensor]

    def to(self, device: torch.device) -> Batch:
        """Moves every tensor to a device."""

        def moved(parts: dict[str, Tensor]) -> dict[str, Tensor]:
            return {name: part.to(device) for name, part in parts.items()}

        return Batch(
            moved(self.encoder),
            self.week.to(device),
            moved(self.rows),
            self.label.to(device),
            self.weight.to(device),
            moved(self.own),
            moved(self.interests),
        )


def choose_rows(
    relevant: npt.NDArray[np.bool_], count: int, random: Random
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Chooses all bought candidates and random others: places and weights, both [G, count].

    The weight of an unbought row is the number of unbought candidates it stands for.
    """
    key = random.random(relevant.shape) + relevant
    chosen = np.argsort(-key, axis=1)[:, :count]
    bought = np.take_along_axis(relevant, chosen, axis=1)
    others = relevant.shape[1] - relevant.sum(axis=1)
    sampled = np.maximum(count - bought.sum(axis=1), 1)
    weight = np.where(bought, 1.0, (others / sampled)[:, None])
    return chosen, weight.astype(np.float32)


def missing(name: str) -> np.float32:
    """Returns what a feature is where there is no value, transform applied."""
    transform = CANDIDATE_TRANSFORMS[name]
    value: np.float32 = transform.apply(np.array([transform.default], dtype=np.float32))[0]
    return value


def hide_some(encoder: Arrays, rows: Arrays, config: TrainConfig, random: Random) -> None:
    """Hides some events and candidates from the vocabulary, in place."""
    lost = (random.random(encoder["item"].shape) < config.oov_rate) & (encoder["mask"] > 0)
    encoder["item"][lost] = OUT_OF_VOCABULARY
    encoder["category"][lost] = OUT_OF_VOCABULARY
    unknown = random.random(len(rows["item"])) < config.oov_rate
    rows["item"][unknown] = OUT_OF_VOCABULARY
    nameless = random.random(len(unknown)) < config.item_dropout
    rows["item"][nameless] = OUT_OF_VOCABULARY
    bare = unknown & (random.random(len(unknown)) < 0.5)
    rows["category"][bare] = OUT_OF_VOCABULARY
    for name in FROM_CATALOGUE:
        rows[name][bare] = missing(name)


def hide_histories(encoder: Arrays, rows: Arrays, labels: Columns, random: Random) -> None:
    """Hides some histories altogether, in place: what a stranger's request looks like."""
    cold = random.random(len(encoder["mask"])) < COLD_RATE
    for values in encoder.values():
        values[cold] = 0
    cold_rows = np.repeat(cold, len(rows["item"]) // len(cold))
    for name in FROM_HISTORY:
        rows[name][cold_rows] = missing(name)
    for name, column in labels.items():
        column[cold] = CANDIDATE_TRANSFORMS[name].default


def own_tensors(labels: Columns) -> dict[str, Tensor]:
    """Applies the transforms and stacks count and age by sort of label: [G, labels, 2] each."""
    return {
        label: torch.from_numpy(
            np.stack([CANDIDATE_TRANSFORMS[name].apply(labels[name]) for name in names], axis=-1)
        )
        for label, names in LABEL_FEATURES.items()
    }


def tensors(arrays: Arrays) -> dict[str, Tensor]:
    """Turns arrays into tensors over the same memory."""
    return {name: torch.from_numpy(values) for name, values in arrays.items()}


def build_batch(
    source: ExampleSource,
    visits: Visits,
    model: ModelConfig,
    config: TrainConfig,
    random: Random,
) -> Batch:
    """Builds the tensors of one training step."""
    prepared = source.prepared
    pairs = prepared.pairs.row[visits.household, visits.cutoff]
    candidates = prepared.pairs.candidates[pairs].astype(np.int64)
    relevant = source.purchases.contains(
        visits.household[:, None], visits.week[:, None], candidates
    )
    chosen, weight = choose_rows(relevant, config.rows_per_example, random)
    encoder = encoder_inputs(prepared, visits.household, visits.cutoff, model.max_length)
    labels = label_columns(prepared, visits)
    rows = ranker_rows(prepared, visits, chosen, labels)
    hide_some(encoder, rows, config, random)
    hide_histories(encoder, rows, labels, random)
    hidden = random.random(len(pairs)) < config.week_dropout
    week = np.where(hidden, np.float32(0), week_inputs(prepared, visits.week))
    label = np.take_along_axis(relevant, chosen, axis=1).astype(np.float32)
    return Batch(
        encoder=tensors(encoder),
        week=torch.from_numpy(week),
        rows=tensors(rows),
        label=torch.from_numpy(label),
        weight=torch.from_numpy(weight),
        own=own_tensors(labels),
        interests=tensors(source.interests(visits)),
    )
