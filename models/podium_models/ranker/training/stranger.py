"""Fits the embedding of an unknown shopper to a finished model.

What the Transformer makes of an empty history is trained on few examples, and next to candidates
out of the hidden history, which a stranger's request does not have. So it is only the start: the
ranker stays as it is, and the one embedding is fitted to requests that look like a stranger's (the
most popular candidates, the week, its promotions) with what everybody bought.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from podium_models.ranker.config import Config, TrainConfig
from podium_models.ranker.data.labels import label_count
from podium_models.ranker.data.prepared import Prepared
from podium_models.ranker.data.signatures import LABEL_FEATURES
from podium_models.ranker.data.transforms import CANDIDATE_TRANSFORMS
from podium_models.ranker.nn.build import RankerModel
from podium_models.ranker.training.batch import Batch, missing
from podium_models.ranker.training.examples import ExampleSource
from podium_models.ranker.training.losses import interest_losses, listwise_loss, row_loss
from podium_models.ranker.training.stranger_requests import StrangerRequest, StrangerSource

WEEKS_PER_STEP = 11


def default_embedding(model: RankerModel) -> Tensor:
    """Returns what the encoder makes of an empty history, [1, states, width] float32."""
    none, zero = torch.zeros(1, 1, dtype=torch.int64), torch.zeros(1, 1)
    with torch.no_grad():
        embedding: Tensor = model.encoder(none, none, zero, zero)
    return embedding


def stranger_batch(
    requests: list[StrangerRequest],
    prepared: Prepared,
    config: TrainConfig,
    random: np.random.Generator,
) -> Batch:
    """Stacks requests as a batch whose labels are shares; some weeks are hidden, as in training."""
    rows: dict[str, Tensor] = {
        name: torch.from_numpy(np.concatenate([one.rows[name] for one in requests]))
        for name in ("item", "category", *CANDIDATE_TRANSFORMS)
    }
    bought = torch.from_numpy(np.stack([one.bought for one in requests]))
    places = torch.arange(len(requests)).repeat_interleave(bought.shape[1])
    hidden = random.random(len(requests)) < config.week_dropout
    week = np.where(hidden, np.float32(0), np.array([one.week for one in requests], np.float32))
    own = {
        label: torch.tensor([float(missing(name)) for name in names]).expand(
            len(requests), label_count(prepared, label), len(names)
        )
        for label, names in LABEL_FEATURES.items()
    }
    interests = {
        label: torch.from_numpy(np.stack([one.interests[label] for one in requests]))
        for label in LABEL_FEATURES
    }
    return Batch(
        encoder={},
        week=torch.from_numpy(week),
        rows={"user_index": places, **rows},
        label=bought,
        weight=torch.ones_like(bought),
        own=own,
        interests=interests,
    )


def stranger_loss(
    model: RankerModel, embedding: Tensor, batch: Batch, config: TrainConfig
) -> Tensor:
    """Returns the training loss of strangers who all have one embedding [1, states, width]."""
    states = embedding.expand(len(batch.week), -1, -1)
    purchase, *_ = model.ranker(states, batch.week, *batch.rows.values())
    logits = purchase.reshape(batch.label.shape)
    interests = interest_losses(model, states, batch)
    return (
        row_loss(logits, batch)
        + config.listwise_weight * listwise_loss(logits, batch)
        + config.department_weight * interests["department"]
        + config.category_weight * interests["category"]
    )


def fit_stranger(model: RankerModel, prepared: Prepared, config: Config) -> None:
    """Gives a finished model the embedding of an unknown shopper; changes nothing else of it."""
    train = config.train
    if train.stranger_steps == 0:
        return
    model.eval().requires_grad_(False)
    random = np.random.default_rng([train.seed, train.epochs])
    source = StrangerSource(ExampleSource(prepared, config.split))
    embedding = default_embedding(model).clone().requires_grad_(True)
    optimizer = torch.optim.Adam([embedding], lr=train.stranger_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, train.stranger_steps)
    for _ in range(train.stranger_steps):
        batch = stranger_batch(source.draw(WEEKS_PER_STEP, random), prepared, train, random)
        optimizer.zero_grad(set_to_none=True)
        stranger_loss(model, embedding, batch, train).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    model.encoder.stranger = embedding.detach()[0].clone()
