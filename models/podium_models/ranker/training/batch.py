"""Turns drawn examples into tensors and labels, with sampled negatives and simulated gaps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from podium_models.bundle.vocabulary import OUT_OF_VOCABULARY
from podium_models.ranker.config import ModelConfig, TrainConfig
from podium_models.ranker.data.assemble import Arrays, encoder_inputs, ranker_rows
from podium_models.ranker.data.transforms import CANDIDATE_TRANSFORMS
from podium_models.ranker.training.examples import Examples, ExampleSource

COLD_RATE = 0.03
"""Share of examples whose history is hidden, so that the default embedding is trained."""

FROM_CATALOGUE = ("price", "discount", "popularity", "category_count")
FROM_HISTORY = ("own_count", "own_age", "category_count")


@dataclass(frozen=True)
class Batch:
    """Tensors of one step; G examples (users), K rows each.

    ``encoder``: inputs by name; ``week`` [G] float32; ``rows``: inputs by name [G * K];
    ``label`` [G, K] float32; ``weight`` [G, K] float32, how many candidates a row stands for;
    ``departments`` [G, departments] float32.
    """

    encoder: dict[str, Tensor]
    week: Tensor
    rows: dict[str, Tensor]
    label: Tensor
    weight: Tensor
    departments: Tensor


def choose_rows(
    relevant: npt.NDArray[np.bool_], count: int, random: np.random.Generator
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


def hide(
    encoder: Arrays, rows: Arrays, count: int, config: TrainConfig, random: np.random.Generator
) -> None:
    """Hides some events and candidates from the vocabulary, and some histories, in place."""
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
        rows[name][bare] = 0.0
    cold = random.random(len(encoder["mask"])) < COLD_RATE
    for values in encoder.values():
        values[cold] = 0
    cold_rows = np.repeat(cold, count)
    for name in FROM_HISTORY:
        transform = CANDIDATE_TRANSFORMS[name]
        rows[name][cold_rows] = transform.apply(np.array([transform.default], dtype=np.float32))[0]


def build_batch(
    source: ExampleSource,
    examples: Examples,
    model: ModelConfig,
    config: TrainConfig,
    random: np.random.Generator,
) -> Batch:
    """Builds the tensors of one training step."""
    prepared = source.prepared
    pairs = prepared.pairs.row[examples.household, examples.cutoff]
    candidates = prepared.pairs.candidates[pairs].astype(np.int64)
    relevant = source.purchases.contains(
        examples.household[:, None], examples.week[:, None], candidates
    )
    chosen, weight = choose_rows(relevant, config.rows_per_example, random)
    encoder = encoder_inputs(prepared, examples.household, examples.cutoff, model.max_length)
    rows = ranker_rows(prepared, pairs, examples.cutoff, examples.week, chosen)
    hide(encoder, rows, chosen.shape[1], config, random)
    week = np.where(random.random(len(pairs)) < config.week_dropout, 0, examples.week)
    label = np.take_along_axis(relevant, chosen, axis=1).astype(np.float32)
    departments = source.departments[examples.household, examples.week].astype(np.float32)
    return Batch(
        encoder={name: torch.from_numpy(values) for name, values in encoder.items()},
        week=torch.from_numpy(week.astype(np.float32)),
        rows={name: torch.from_numpy(values) for name, values in rows.items()},
        label=torch.from_numpy(label),
        weight=torch.from_numpy(weight),
        departments=torch.from_numpy(departments),
    )
