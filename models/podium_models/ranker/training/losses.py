"""States the multi-task loss: purchases by row and by list, interests, next items."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from podium_models.ranker.config import TrainConfig
from podium_models.ranker.nn.build import RankerModel
from podium_models.ranker.training.batch import Batch

ROW_SCALE = 8.0
"""Brings the summed row loss of 200 candidates near the other losses' size."""

NEXT_ITEM_POSITIONS = 1024


class Losses(NamedTuple):
    """The weighted total and its parts, all scalars."""

    total: Tensor
    rows: Tensor
    listwise: Tensor
    department: Tensor
    category: Tensor
    next_item: Tensor


def row_loss(logits: Tensor, batch: Batch) -> Tensor:
    """Sums weighted binary cross-entropy over each list and averages lists; logits [G, K]."""
    each = F.binary_cross_entropy_with_logits(
        logits, batch.label, weight=batch.weight, reduction="none"
    )
    return each.sum(1).mean() / ROW_SCALE


def listwise_loss(logits: Tensor, batch: Batch) -> Tensor:
    """Averages -log softmax of bought rows; a sampled row counts by its weight; logits [G, K]."""
    log_share = torch.log_softmax(logits + batch.weight.log(), dim=1)
    bought = batch.label.sum(1)
    each = -(log_share * batch.label).sum(1) / bought.clamp(min=1.0)
    return each.sum() / (bought > 0).sum().clamp(min=1)


def next_item_loss(
    model: RankerModel, hidden: Tensor, batch: Batch, shares: Tensor, negatives: int
) -> Tensor:
    """Returns sampled-softmax cross-entropy of each event given those before it.

    ``hidden`` [G, length + 1, width]; ``shares`` [items] are the sampling chances of items, taken
    out of the logits again so that the popular ones are not held down.
    """
    items, mask = batch.encoder["item"], batch.encoder["mask"]
    places = torch.nonzero(mask.reshape(-1) > 0).squeeze(-1)
    if len(places) == 0:
        return hidden.sum() * 0.0
    places = places[torch.randperm(len(places))[:NEXT_ITEM_POSITIONS]]
    before = hidden[:, :-1].reshape(-1, hidden.shape[-1])[places]
    target = items.reshape(-1)[places]
    drawn = torch.multinomial(shares, negatives, replacement=True)
    logits = model.next_item_logits(before, drawn) - shares[drawn].log()
    logits = logits.masked_fill(drawn.unsqueeze(0) == target.unsqueeze(1), -1e9)
    right = (before * model.encoder.tables.items(target)).sum(-1) - shares[target].log()
    return F.cross_entropy(torch.cat([right.unsqueeze(1), logits], dim=1), torch.zeros_like(target))


def interest_losses(model: RankerModel, states: Tensor, batch: Batch) -> dict[str, Tensor]:
    """Returns the multi-label binary cross-entropy of every sort of label."""
    memory = model.ranker.memory(states, batch.week)
    return {
        label: F.binary_cross_entropy_with_logits(
            model.ranker.interest_logits(label, memory, own), batch.interests[label]
        )
        for label, own in batch.own.items()
    }


def compute_losses(model: RankerModel, batch: Batch, shares: Tensor, config: TrainConfig) -> Losses:
    """Runs both networks on a batch and returns the losses."""
    inputs = batch.encoder
    hidden = model.encoder.hidden(**inputs)
    states = model.encoder.states(hidden, **inputs)
    purchase, *_ = model.ranker(states, batch.week, *batch.rows.values())
    logits = purchase.reshape(batch.label.shape)
    rows, listwise = row_loss(logits, batch), listwise_loss(logits, batch)
    interests = interest_losses(model, states, batch)
    next_item = next_item_loss(model, hidden, batch, shares, config.next_item_negatives)
    total = (
        rows
        + config.listwise_weight * listwise
        + config.department_weight * interests["department"]
        + config.category_weight * interests["category"]
        + config.next_item_weight * next_item
    )
    return Losses(total, rows, listwise, **interests, next_item=next_item)
