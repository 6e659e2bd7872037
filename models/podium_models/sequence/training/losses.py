"""States the next-item losses: binary cross-entropy, sampled softmax, full softmax."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from podium_models.bundle.vocabulary import FIRST, OUT_OF_VOCABULARY
from podium_models.sequence.config import TrainConfig
from podium_models.sequence.nn.encoder import SequenceEncoder
from podium_models.sequence.training.batch import Batch

NEVER = -1e9
NOBODY_WEIGHT, NOBODY_NEGATIVES = 0.1, 256

Loss = Callable[[SequenceEncoder, Tensor, Tensor, TrainConfig], Tensor]


def draw_items(model: SequenceEncoder, shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Draws item indices evenly from the vocabulary: ``shape`` int64."""
    return torch.randint(FIRST, model.items.own.num_embeddings, shape, device=device)


def binary_loss(
    model: SequenceEncoder, states: Tensor, target: Tensor, config: TrainConfig
) -> Tensor:
    """Returns binary cross-entropy of the next item against one random item a target.

    ``states`` [n, width] float32, ``target`` [n] int64. A draw that hits the target is left out.
    """
    del config
    drawn = draw_items(model, tuple(target.shape), target.device)
    right = (states * model.targets(target)).sum(-1)
    wrong = (states * model.targets(drawn)).sum(-1)
    missed = (drawn != target).to(states.dtype)
    return (F.softplus(-right) + F.softplus(wrong) * missed).mean()


def sampled_loss(
    model: SequenceEncoder, states: Tensor, target: Tensor, config: TrainConfig
) -> Tensor:
    """Returns softmax cross-entropy over the target and items that the batch shares.

    The drawn items stand for the whole vocabulary: each counts as often as it must for that.
    """
    drawn = draw_items(model, (config.negatives,), target.device)
    share = math.log((model.items.own.num_embeddings - FIRST) / config.negatives)
    logits = states @ model.targets(drawn).T + share
    logits = logits.masked_fill(drawn.unsqueeze(0) == target.unsqueeze(1), NEVER)
    right = (states * model.targets(target)).sum(-1, keepdim=True)
    return F.cross_entropy(torch.cat([right, logits], dim=1), torch.zeros_like(target))


def full_loss(
    model: SequenceEncoder, states: Tensor, target: Tensor, config: TrainConfig
) -> Tensor:
    """Returns softmax cross-entropy over the whole vocabulary."""
    del config
    return F.cross_entropy(states @ model.target_table()[FIRST:].T, target - FIRST)


LOSSES: dict[str, Loss] = {"bce": binary_loss, "sampled": sampled_loss, "full": full_loss}


def with_unknown(batch: Batch, share: float) -> Tensor:
    """Replaces a random share of the input items by the unknown one: [users, length] int64."""
    if share <= 0:
        return batch.item
    hidden = (torch.rand_like(batch.mask) < share) & (batch.mask > 0)
    return batch.item.masked_fill(hidden, OUT_OF_VOCABULARY)


def next_item_loss(model: SequenceEncoder, batch: Batch, config: TrainConfig) -> Tensor:
    """Returns the loss of every next item, and of first items for the unknown shopper."""
    target = batch.target
    states = model.hidden(with_unknown(batch, config.item_dropout), batch.mask)
    kept = (batch.mask > 0) & (target >= FIRST)
    loss = LOSSES[config.loss](model, states[kept], target[kept], config)
    return loss + NOBODY_WEIGHT * nobody_loss(model, batch)


def nobody_loss(model: SequenceEncoder, batch: Batch) -> Tensor:
    """Returns sampled softmax cross-entropy of the items that histories begin with.

    Only the unknown shopper's vector learns from it: it may not move the items.
    """
    known = batch.first[batch.first >= FIRST]
    drawn = draw_items(model, (NOBODY_NEGATIVES,), known.device)
    share = math.log((model.items.own.num_embeddings - FIRST) / NOBODY_NEGATIVES)
    with torch.no_grad():
        right, wrong = model.targets(known), model.targets(drawn)
    nobody = model.normal(model.nobody)
    rest = torch.logsumexp(wrong @ nobody + share, dim=0)
    return F.softplus(rest - right @ nobody).mean()


def masked_item_loss(model: SequenceEncoder, batch: Batch, config: TrainConfig) -> Tensor:
    """Hides random events and returns the loss of naming them from both sides."""
    hidden = (torch.rand_like(batch.mask) < config.mask_rate) & (batch.mask > 0)
    shown = batch.item.masked_fill(hidden, OUT_OF_VOCABULARY)
    kept = hidden & (batch.item >= FIRST)
    if not bool(kept.any()):
        return model.nobody.sum() * 0.0
    states = model.hidden(shown, batch.mask, causal=False)[kept]
    return LOSSES[config.loss](model, states, batch.item[kept], config)


def teacher_loss(
    model: SequenceEncoder, teacher: SequenceEncoder, batch: Batch, config: TrainConfig
) -> Tensor:
    """Returns how far the scores of drawn items are from the teacher's, as a KL divergence."""
    drawn = draw_items(model, (config.negatives,), batch.item.device)
    kept = (batch.mask > 0) & (batch.target >= FIRST)
    with torch.no_grad():
        wanted = teacher.hidden(batch.item, batch.mask)[kept] @ teacher.targets(drawn).T
    got = model.hidden(batch.item, batch.mask)[kept] @ model.targets(drawn).T
    return F.kl_div(
        torch.log_softmax(got, -1),
        torch.log_softmax(wanted, -1),
        log_target=True,
        reduction="batchmean",
    )
