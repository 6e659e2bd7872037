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

from podium_models.devices import Place, average_gradients, require_batches
from podium_models.nn.average import WeightAverage
from podium_models.ranker.config import Config, TrainConfig
from podium_models.ranker.data.prepared import Prepared
from podium_models.ranker.data.signatures import PURCHASE
from podium_models.ranker.data.visits import Visits
from podium_models.ranker.evaluation.groups import Groups, build_groups
from podium_models.ranker.evaluation.scoring import TorchScorer, household_means, score_groups
from podium_models.ranker.nn.build import RankerModel, build_model
from podium_models.ranker.training.batch import build_batch
from podium_models.ranker.training.checkpoint import resume, save_epoch, settings_of
from podium_models.ranker.training.examples import ExampleSource, epoch_batches
from podium_models.ranker.training.learner import DECAY, Learner
from podium_models.ranker.training.losses import Losses, compute_losses

METRIC = "validation_ndcg@10"
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


def fit_normalisation(model: RankerModel, source: ExampleSource, config: Config) -> None:
    """Sets the ranker's feature scales and starting rates from 2,000 training examples."""
    random = np.random.default_rng(config.train.seed)
    examples = source.draw(2000, random)
    batch = build_batch(source, examples, config.model, config.train, random)
    bought = (batch.label.sum() / batch.weight.sum()).reshape(1)
    stacked = torch.stack(list(batch.rows.values())[3:], dim=-1)
    with torch.no_grad():
        model.ranker.mean.copy_(stacked.mean(0))
        model.ranker.scale.copy_(1.0 / stacked.std(0).clamp(min=1e-3))
        model.ranker.last.bias.copy_(torch.logit(bought))
        for label, wanted in batch.interests.items():
            share = wanted.mean(0).clamp(1e-4, 1.0 - 1e-4)
            model.ranker.interest_head(label).last.bias.copy_(torch.logit(share))


def parameter_groups(model: RankerModel, config: TrainConfig) -> list[dict[str, Any]]:
    """Lets embedding tables, whose rows are seen rarely, and interest heads learn faster."""
    fast = [
        (config.table_speed, list(model.encoder.tables.parameters())),
        (config.interest_speed, list(model.ranker.interest.parameters())),
    ]
    inside = {id(one) for _, group in fast for one in group}
    rest = [one for one in model.parameters() if id(one) not in inside]
    groups = [{"params": group, "speed": speed} for speed, group in fast]
    return [{"params": rest, "speed": 1.0}, *groups]


def shared_out(batches: list[Visits], place: Place) -> list[Visits]:
    """Gives each process equally many batches, all of them to the only one."""
    whole = len(batches) - len(batches) % place.world
    return batches[place.rank : whole : place.world]


def train_epoch(
    learner: Learner, source: ExampleSource, config: Config, epoch: int
) -> dict[str, float]:
    """Trains one epoch and returns the mean of each loss."""
    (model, average, optimizer, place), train = learner, config.train
    torch.manual_seed(train.seed * 1000 + epoch + 500 * place.rank)
    random = np.random.default_rng([train.seed, epoch, 1 + place.rank])
    batches = shared_out(list(epoch_batches(source, train, config.model.max_length, epoch)), place)
    require_batches(batches, place)
    shares, sums = item_shares(source).to(place.device), np.zeros(len(Losses._fields))
    model.train()
    label = f"epoch {epoch + 1}/{train.epochs}"
    progress = tqdm(batches, desc=label, unit="batch", mininterval=2, disable=not place.first)
    for step, visits in enumerate(progress):
        rate = learning_rate(train, epoch * len(batches) + step, train.epochs * len(batches))
        for group in optimizer.param_groups:
            group["lr"] = rate * group["speed"]
        batch = build_batch(source, visits, config.model, train, random).to(place.device)
        with place.autocast():
            losses = compute_losses(model, batch, shares, train)
        optimizer.zero_grad(set_to_none=True)
        losses.total.backward()  # type: ignore[no-untyped-call]
        average_gradients(model, place)
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM)
        optimizer.step()
        average.update(model)
        sums += [float(part.detach()) for part in losses]
        progress.set_postfix(loss=f"{sums[0] / (step + 1):.4f}", refresh=False)
    return dict(zip(Losses._fields, (sums / len(batches)).tolist(), strict=True))


def validate(model: RankerModel, prepared: Prepared, groups: Groups, config: Config) -> float:
    """Returns the validation NDCG@10, mean over households."""
    model.eval()
    scores = score_groups(TorchScorer(model), prepared, groups, config.model.max_length)
    return float(np.nanmean(household_means(scores[PURCHASE], groups)["ndcg@10"]))


def build_learner(source: ExampleSource, config: Config, place: Place) -> Learner:
    """Builds an untrained model, the same for the same seed."""
    torch.manual_seed(config.train.seed)
    torch.use_deterministic_algorithms(place.device.type == "cpu")
    model = build_model(source.prepared, config.model)
    fit_normalisation(model, source, config)
    model.to(place.device)
    optimizer = torch.optim.AdamW(
        parameter_groups(model, config.train),
        lr=config.train.learning_rate,
        weight_decay=config.train.weight_decay,
    )
    return Learner(model, WeightAverage(model, DECAY), optimizer, place)


def train(run: Path, prepared: Prepared, config: Config, place: Place) -> list[dict[str, float]]:
    """Trains, or resumes, a run; the best epoch by validation NDCG@10 stays in ``best.pt``."""
    source = ExampleSource(prepared, config.split)
    learner = build_learner(source, config, place)
    history = resume(run, learner, settings_of(config))
    groups = build_groups(prepared, config.split.validation_weeks, config.split.last_train_week)
    for epoch in range(len(history), config.train.epochs):
        start = time.monotonic()
        entry = train_epoch(learner, source, config, epoch)
        entry[METRIC] = validate(learner.average.model, prepared, groups, config)
        entry["seconds"] = time.monotonic() - start
        best = all(entry[METRIC] > one[METRIC] for one in history)
        history.append(entry)
        if place.first:
            save_epoch(run, learner, history, best, settings_of(config))
            told = ", ".join(f"{name} {value:.4f}" for name, value in entry.items())
            tqdm.write(f"epoch {epoch + 1}: {told}")
    return history
