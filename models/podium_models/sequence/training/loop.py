"""Trains one model: epochs, validation, early stopping, checkpoints."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from podium_models.devices import Place, average_gradients, require_batches, training_place
from podium_models.nn.average import WeightAverage
from podium_models.nn.checkpoint import read_state, write_atomically
from podium_models.sequence.config import Config
from podium_models.sequence.data.interactions import Interactions
from podium_models.sequence.evaluation.histories import held_out, sample
from podium_models.sequence.evaluation.ranks import rank_held_out
from podium_models.sequence.evaluation.torch_scorer import TorchScorer
from podium_models.sequence.nn.encoder import SequenceEncoder
from podium_models.sequence.training.batch import TrainingSequences, epoch_batches
from podium_models.sequence.training.losses import (
    masked_item_loss,
    next_item_loss,
    teacher_loss,
)

LATEST, BEST, HISTORY, CURVES = "latest.pt", "best.pt", "history.json", "curves.png"
METRIC = "validation_ndcg@10"

Entries = list[dict[str, float]]


class Learner(NamedTuple):
    """What one training run works with."""

    model: SequenceEncoder
    average: WeightAverage[SequenceEncoder]
    optimizer: torch.optim.Optimizer
    source: TrainingSequences
    teacher: SequenceEncoder | None
    place: Place


def load_model(where: Path, data: Interactions, config: Config) -> SequenceEncoder:
    """Loads the best epoch of a trained model, in evaluation mode."""
    if not (where / BEST).is_file():
        raise FileNotFoundError(f"{where} has no trained model; run `train` first")
    model = SequenceEncoder(data, config.model)
    model.load_state_dict(read_state(where / BEST, torch.device("cpu"))["model"])
    return model.eval()


def build_learner(data: Interactions, config: Config, teacher: SequenceEncoder | None) -> Learner:
    """Builds an untrained model, the same for the same seed."""
    place = training_place(config.train.threads)
    torch.manual_seed(config.train.seed)
    model = SequenceEncoder(data, config.model).to(place.device)
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=config.train.learning_rate,
        betas=(0.9, 0.98),
        weight_decay=config.train.weight_decay,
    )
    source = TrainingSequences(data, config.model.max_length)
    average = WeightAverage(model, config.train.average)
    followed = None if teacher is None else teacher.to(place.device)
    return Learner(model, average, optimizer, source, followed, place)


def batch_loss(learner: Learner, batch: Any, config: Config, masked: bool) -> torch.Tensor:
    """Returns the loss of one batch: masked items, or next items with a teacher's where given."""
    if masked:
        return masked_item_loss(learner.model, batch, config.train)
    loss = next_item_loss(learner.model, batch, config.train)
    if learner.teacher is None:
        return loss
    followed = teacher_loss(learner.model, learner.teacher, batch, config.train)
    share = config.train.teacher_weight
    return (1.0 - share) * loss + share * followed


def train_epoch(learner: Learner, config: Config, epoch: int) -> float:
    """Trains one epoch and returns the mean loss."""
    place, train = learner.place, config.train
    torch.manual_seed(train.seed * 100_003 + epoch * 101 + place.rank)
    batches = epoch_batches(learner.source, train, epoch, place.rank, place.world)
    require_batches(batches, place)
    masked = epoch < train.masked_epochs
    label = f"{'masked items, ' if masked else ''}epoch {epoch + 1} of at most {train.epochs}"
    learner.model.train()
    total = 0.0
    progress = tqdm(batches, desc=label, unit="batch", mininterval=2, disable=not place.first)
    for users in progress:
        batch = learner.source.batch(users, place.device)
        with place.autocast():
            loss = batch_loss(learner, batch, config, masked)
        learner.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        average_gradients(learner.model, place)
        learner.optimizer.step()
        learner.average.update(learner.model)
        total += float(loss.detach())
    return total / len(batches)


def validate(model: SequenceEncoder, data: Interactions, config: Config) -> dict[str, float]:
    """Ranks the validation items of a fixed sample of users; returns NDCG@10 and HR@10.

    A user's value is over all held-out items of theirs, with leave-one-out a single one.
    """
    from podium_models.sequence.evaluation.measures import user_metrics

    parts = sample(held_out(data, "validation"), config.train.validation_users, config.measure.seed)
    if len(parts.users) == 0:
        raise ValueError("no user has a validation item; choose another --split at `prepare`")
    ranks = rank_held_out(data, parts, config.model.max_length, TorchScorer(model))
    values = user_metrics(ranks, (10,))
    return {f"validation_{name}": float(np.mean(values[name])) for name in ("ndcg@10", "hr@10")}


def resume(where: Path, learner: Learner) -> Entries:
    """Restores the latest epoch in place; returns what was measured, empty where there is none."""
    path = where / LATEST
    if not path.is_file():
        return []
    state = read_state(path, learner.place.device)
    learner.model.load_state_dict(state["model"])
    learner.average.model.load_state_dict(state["average"])
    learner.average.steps = state["steps"]
    learner.optimizer.load_state_dict(state["optimizer"])
    entries: Entries = state["entries"]
    return entries


def save(where: Path, learner: Learner, entries: Entries) -> None:
    """Saves what resuming needs, and the model where the latest validation is the best."""
    measured = [one[METRIC] for one in entries if METRIC in one]
    average = learner.average.model.state_dict()
    if METRIC in entries[-1] and measured[-1] == max(measured):
        write_atomically(where / BEST, {"model": average, "epoch": len(entries)})
    state = {
        "model": learner.model.state_dict(),
        "average": average,
        "steps": learner.average.steps,
        "optimizer": learner.optimizer.state_dict(),
        "entries": entries,
    }
    write_atomically(where / LATEST, state)
    text = json.dumps(entries, indent=2) + "\n"
    (where / HISTORY).write_text(text, encoding="utf-8")


def finished(entries: Entries, config: Config) -> bool:
    """Says whether the epochs are used up or the patience is."""
    measured = [one[METRIC] for one in entries if METRIC in one]
    if len(entries) >= config.train.epochs:
        return True
    best = max(range(len(measured)), key=measured.__getitem__, default=0)
    return len(measured) - 1 - best >= config.train.patience > 0


def train(
    where: Path, data: Interactions, config: Config, teacher: SequenceEncoder | None = None
) -> Entries:
    """Trains, or resumes, one model; the best epoch by validation NDCG@10 stays in ``best.pt``."""
    where.mkdir(parents=True, exist_ok=True)
    learner = build_learner(data, config, teacher)
    entries = resume(where, learner)
    while not finished(entries, config):
        started, epoch = time.monotonic(), len(entries)
        entry = {"loss": train_epoch(learner, config, epoch)}
        last = epoch + 1 == config.train.epochs
        due = (epoch + 1 - config.train.masked_epochs) % config.train.validate_every == 0
        if (due or last) and epoch >= config.train.masked_epochs:
            entry |= validate(learner.average.model, data, config)
        entry["seconds"] = time.monotonic() - started
        entries.append(entry)
        if learner.place.first:
            save(where, learner, entries)
            if METRIC in entry:
                told = ", ".join(f"{name} {value:.4f}" for name, value in entry.items())
                tqdm.write(f"epoch {epoch + 1}: {told}")
    return entries
