"""Scores household-weeks with a model, in the framework or in ONNX Runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from podium_models.measure.averages import by_owner
from podium_models.ranker.data.assemble import Arrays, encoder_inputs, ranker_rows
from podium_models.ranker.data.prepared import Prepared
from podium_models.ranker.evaluation.groups import Groups
from podium_models.ranker.evaluation.metrics import ranking_metrics

if TYPE_CHECKING:
    from podium_models.ranker.nn.build import GroceryModel

Floats = npt.NDArray[np.float32]

BATCH = 32


class Scores(NamedTuple):
    """Logits of both heads, [groups, candidates] float32."""

    purchase: Floats
    department_interest: Floats


class Scorer(Protocol):
    """Runs both networks on one batch of users with their rows."""

    def embed(self, inputs: Arrays) -> Floats:
        """Returns the user embedding [users, states, width] float32."""
        ...

    def rank(self, embedding: Floats, week: Floats, rows: Arrays) -> tuple[Floats, Floats]:
        """Returns the logits of both heads, each [rows] float32."""
        ...


class TorchScorer:
    """Runs the networks in PyTorch; the caller has set evaluation mode."""

    def __init__(self, model: GroceryModel) -> None:
        self.model = model

    def embed(self, inputs: Arrays) -> Floats:
        """Returns the user embedding [users, states, width] float32."""
        import torch

        with torch.no_grad():
            tensors = {name: torch.from_numpy(values) for name, values in inputs.items()}
            result: Floats = self.model.encoder(**tensors).numpy()
        return result

    def rank(self, embedding: Floats, week: Floats, rows: Arrays) -> tuple[Floats, Floats]:
        """Returns the logits of both heads, each [rows] float32."""
        import torch

        with torch.no_grad():
            tensors = (torch.from_numpy(values) for values in (embedding, week, *rows.values()))
            purchase, interest = self.model.ranker(*tensors)
        return purchase.numpy(), interest.numpy()


def score_groups(
    scorer: Scorer, prepared: Prepared, groups: Groups, cutoff: int, max_length: int
) -> Scores:
    """Scores all candidates of all groups; each household is embedded once."""
    households = np.unique(groups.household)
    cutoffs = np.full(len(households), cutoff, dtype=np.int64)
    embedded = [
        scorer.embed(
            encoder_inputs(
                prepared, households[at : at + BATCH], cutoffs[at : at + BATCH], max_length
            )
        )
        for at in tqdm(range(0, len(households), BATCH), desc="encode", mininterval=2, leave=False)
    ]
    embedding = np.concatenate(embedded)
    owner = np.searchsorted(households, groups.household)
    shape = groups.relevant.shape
    purchase, interest = np.empty(shape, np.float32), np.empty(shape, np.float32)
    everything = np.arange(shape[1], dtype=np.int64)
    for at in tqdm(range(0, shape[0], BATCH), desc="rank", mininterval=2, leave=False):
        part = slice(at, min(at + BATCH, shape[0]))
        size = part.stop - at
        rows = ranker_rows(
            prepared,
            groups.pair[part],
            np.full(size, cutoff, dtype=np.int64),
            groups.week[part],
            np.broadcast_to(everything, (size, shape[1])),
        )
        heads = scorer.rank(embedding[owner[part]], groups.week[part].astype(np.float32), rows)
        purchase[part], interest[part] = (head.reshape(size, shape[1]) for head in heads)
    return Scores(purchase, interest)


def household_means(
    scores: npt.NDArray[np.floating], groups: Groups
) -> dict[str, npt.NDArray[np.float64]]:
    """Returns each metric's mean by household, [distinct households] float64, by metric name."""
    measured = ranking_metrics(scores.astype(np.float64), groups.relevant, groups.bought)
    return {name: by_owner(values, groups.household) for name, values in measured.items()}
