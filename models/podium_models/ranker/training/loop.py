"""Runs the ``train`` command: epochs, validation, checkpoints."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from podium_models.ranker.config import Config, TrainConfig
from podium_models.ranker.data.prepared import Prepared
from podium_models.ranker.evaluation.groups import Groups, build_groups
from podium_models.ranker.evaluation.scoring import TorchScorer, household_means, score_groups
from podium_models.ranker.nn.build import GroceryModel, build_model
from podium_models.ranker.training.average import Learner, WeightAverage
from podium_models.ranker.training.batch import build_batch
from podium_models.ranker.training.checkpoint import resume, save_epoch
from podium_models.ranker.training.examples import ExampleSource, epoch_batches
from podium_models.ranker.training.losses import Losses, compute_losses

WARMUP = 0.1
CLIP_NORM = 1.0


def learning_rate(config: TrainConfig, step: int, steps: int) -> float:
    """Rises linearly over the first tenth of all steps, then falls to 0 as a cosine."""
    warmup = max(1, int(WARMUP * steps))
    if step < warmup:
        return config.learning_rate * (step + 1) / warmup
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))


def item_shares(source: ExampleSource) -> Tensor:
    """Returns each item's share of training-week events, [items] float32, at least a little."""
    histories, last = source.prepared.histories, source.split.last_train_week
    items = histories.items[histories.weeks <= last]
    counts = np.bincount(items, minlength=source.prepared.items.size) + 1.0
    counts[0] = 0.0
    return torch.from_numpy((counts / counts.sum()).astype(np.float32))


def fit_normalisation(model: GroceryModel, source: ExampleSource, config: Config) -> None:
    """Sets the ranker's feature scales and starting rates from 2,000 training examples."""
    random = np.random.default_rng(config.train.seed)
    examples = source.draw(2000, random)
    batch = build_batch(source, examples, config.model, config.train, random)
    share = batch.departments.mean(0).clamp(1e-4, 1.0 - 1e-4)
    bought = (batch.label.sum() / batch.weight.sum()).reshape(1)
    stacked = torch.stack(list(batch.rows.values())[3:], dim=-1)
    with torch.no_grad():
        model.ranker.mean.copy_(stacked.mean(0))
        model.ranker.scale.copy_(1.0 / stacked.std(0).clamp(min=1e-3))
        model.ranker.departments_bias.copy_(torch.logit(share))
        model.ranker.purchase_bias.copy_(torch.logit(bought))


def parameter_groups(model: GroceryModel, config: TrainConfig) -> list[dict[str, Any]]:
    """Lets the embedding tables, whose rows are seen rarely, learn faster than the rest."""
    tables = list(model.encoder.tables.parameters())
    inside = {id(one) for one in tables}
    rest = [one for one in model.parameters() if id(one) not in inside]
    return [{"params": rest, "speed": 1.0}, {"params": tables, "speed": config.table_speed}]


def train_epoch(
    learner: Learner, source: ExampleSource, config: Config, epoch: int
) -> dict[str, float]:
    """Trains one epoch and returns the mean of each loss."""
    (model, average, optimizer), train = learner, config.train
    torch.manual_seed(train.seed * 1000 + epoch)
    random = np.random.default_rng([train.seed, epoch, 1])
    batches = list(epoch_batches(source, train, config.model.max_length, epoch))
    shares, sums = item_shares(source), np.zeros(len(Losses._fields))
    model.train()
    progress = tqdm(batches, desc=f"epoch {epoch + 1}/{train.epochs}", unit="batch", mininterval=2)
    for place, examples in enumerate(progress):
        rate = learning_rate(train, epoch * len(batches) + place, train.epochs * len(batches))
        for group in optimizer.param_groups:
            group["lr"] = rate * group["speed"]
        batch = build_batch(source, examples, config.model, train, random)
        losses = compute_losses(model, batch, shares, train)
        optimizer.zero_grad(set_to_none=True)
        losses.total.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM)
        optimizer.step()
        average.update(model)
        sums += [float(part.detach()) for part in losses]
        progress.set_postfix(loss=f"{sums[0] / (place + 1):.4f}")
    return dict(zip(Losses._fields, (sums / len(batches)).tolist(), strict=True))


def validate(model: GroceryModel, prepared: Prepared, groups: Groups, config: Config) -> float:
    """Returns the validation NDCG@10, mean over households."""
    model.eval()
    cutoff = config.split.last_train_week
    scores = score_groups(TorchScorer(model), prepared, groups, cutoff, config.model.max_length)
    return float(np.nanmean(household_means(scores.purchase, groups)["ndcg@10"]))


def train(run: Path, prepared: Prepared, config: Config) -> GroceryModel:
    """Trains, or resumes, a run; the best epoch by validation NDCG@10 stays in ``best.pt``."""
    torch.set_num_threads(config.train.threads)
    torch.manual_seed(config.train.seed)
    torch.use_deterministic_algorithms(True)
    model = build_model(prepared, config.model)
    source = ExampleSource(prepared, config.split)
    fit_normalisation(model, source, config)
    optimizer = torch.optim.AdamW(
        parameter_groups(model, config.train),
        lr=config.train.learning_rate,
        weight_decay=config.train.weight_decay,
    )
    learner = Learner(model, WeightAverage(model), optimizer)
    history = resume(run, learner)
    groups = build_groups(prepared, config.split.validation_weeks, config.split.last_train_week)
    for epoch in range(len(history), config.train.epochs):
        start = time.monotonic()
        entry = train_epoch(learner, source, config, epoch)
        entry["validation_ndcg@10"] = validate(learner.average.model, prepared, groups, config)
        entry["seconds"] = time.monotonic() - start
        best = all(entry["validation_ndcg@10"] > one["validation_ndcg@10"] for one in history)
        history.append(entry)
        save_epoch(run, learner, history, best)
        print(f"epoch {epoch + 1}: " + ", ".join(f"{k} {v:.4f}" for k, v in entry.items()))
    return model
