"""Scores household-weeks with a model, in the framework or in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from podium_models.measure.averages import by_owner
from podium_models.ranker.data.assemble import Arrays, encoder_inputs, ranker_rows, week_inputs
from podium_models.ranker.data.labels import label_columns
from podium_models.ranker.data.prepared import Prepared
from podium_models.ranker.data.signatures import RANKER_OUTPUTS
from podium_models.ranker.data.visits import Visits
from podium_models.ranker.evaluation.groups import Groups
from podium_models.ranker.evaluation.metrics import ranking_metrics

if TYPE_CHECKING:
    from podium_models.ranker.nn.build import RankerModel

Floats = npt.NDArray[np.float32]

BATCH = 32


Scores = dict[str, Floats]
"""Logits of every head by output name, [groups, candidates] float32."""


class Scorer(Protocol):
    """Runs both networks on one batch of users with their rows."""

    def embed(self, inputs: Arrays) -> Floats:
        """Returns the user embedding [users, states, width] float32."""
        ...

    def rank(self, embedding: Floats, week: Floats, rows: Arrays) -> tuple[Floats, ...]:
        """Returns the logits of every head, each [rows] float32, in ``RANKER_OUTPUTS``' order."""
        ...


class TorchScorer:
    """Runs the networks in PyTorch, where they lie; the caller has set evaluation mode."""

    def __init__(self, model: RankerModel) -> None:
        self.model = model
        self.device = next(model.parameters()).device

    def embed(self, inputs: Arrays) -> Floats:
        """Returns the user embedding [users, states, width] float32."""
        import torch

        with torch.no_grad():
            tensors = {name: torch.from_numpy(one).to(self.device) for name, one in inputs.items()}
            result: Floats = self.model.encoder(**tensors).cpu().numpy()
        return result

    def rank(self, embedding: Floats, week: Floats, rows: Arrays) -> tuple[Floats, ...]:
        """Returns the logits of every head, each [rows] float32."""
        import torch

        with torch.no_grad():
            arrays = (embedding, week, *rows.values())
            heads = self.model.ranker(*(torch.from_numpy(one).to(self.device) for one in arrays))
        return tuple(head.cpu().numpy() for head in heads)


def progress(count: int, label: str) -> Iterable[int]:
    """Walks over the starts of batches with a progress bar."""
    starts: Iterable[int] = tqdm(range(0, count, BATCH), desc=label, mininterval=2, leave=False)
    return starts


def embed_households(scorer: Scorer, prepared: Prepared, visits: Visits, max_length: int) -> Floats:
    """Embeds each visit's household, [visits, states, width] float32, once a household.

    All visits have the same cutoff.
    """
    households, first = np.unique(visits.household, return_index=True)
    cutoffs = visits.cutoff[first]
    embedded = [
        scorer.embed(
            encoder_inputs(
                prepared, households[at : at + BATCH], cutoffs[at : at + BATCH], max_length
            )
        )
        for at in progress(len(households), "encode")
    ]
    result: Floats = np.concatenate(embedded)[np.searchsorted(households, visits.household)]
    return result


def score_groups(scorer: Scorer, prepared: Prepared, groups: Groups, max_length: int) -> Scores:
    """Scores all candidates of all groups; each household is embedded once."""
    embedding = embed_households(scorer, prepared, groups.visits, max_length)
    shape = groups.relevant.shape
    scores = {name: np.empty(shape, np.float32) for name in RANKER_OUTPUTS}
    everything = np.arange(shape[1], dtype=np.int64)
    for at in progress(shape[0], "rank"):
        part = slice(at, min(at + BATCH, shape[0]))
        visits = groups.visits.take(part)
        chosen = np.broadcast_to(everything, (part.stop - at, shape[1]))
        rows = ranker_rows(prepared, visits, chosen, label_columns(prepared, visits))
        heads = scorer.rank(embedding[part], week_inputs(prepared, visits.week), rows)
        for name, head in zip(RANKER_OUTPUTS, heads, strict=True):
            scores[name][part] = head.reshape(chosen.shape)
    return scores


def household_means(
    scores: npt.NDArray[np.floating], groups: Groups
) -> dict[str, npt.NDArray[np.float64]]:
    """Returns each metric's mean by household, [distinct households] float64, by metric name."""
    measured = ranking_metrics(scores.astype(np.float64), groups.relevant, groups.bought)
    return {name: by_owner(values, groups.household) for name, values in measured.items()}
