"""Answers ``train``: one model for each seed, each with its graphs and curves."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from podium_models.devices import training_place, wait_for_all
from podium_models.sequence.config import KIND, Config
from podium_models.sequence.data.interactions import Interactions
from podium_models.sequence.export.files import GRAPHS, RANKER_FILE
from podium_models.sequence.export.graphs import write_graphs
from podium_models.sequence.training.curves import draw_curves
from podium_models.sequence.training.loop import CURVES, HISTORY, LATEST, METRIC, load_model, train
from podium_models.settings import read_config, write_config

TRAINED = "trained"


def trained_directories(run: Path) -> list[Path]:
    """Lists the models that a run holds, trained to an end or not."""
    return sorted(path.parent for path in (run / TRAINED).glob("*/config.json"))


def with_seed(config: Config, seed: int) -> Config:
    """Returns the config with another seed."""
    return dataclasses.replace(config, train=dataclasses.replace(config.train, seed=seed))


def same_settings(where: Path, config: Config) -> None:
    """Refuses to go on training a model with other settings than it began with."""
    if not (where / LATEST).is_file():
        return
    begun = read_config(where, Config())
    may_differ = ("epochs", "patience", "threads", "validate_every")
    for name in (one.name for one in dataclasses.fields(config.train)):
        if name not in may_differ and getattr(begun.train, name) != getattr(config.train, name):
            raise ValueError(f"{where} was begun with another train.{name}; choose another --name")
    if begun.model != config.model:
        raise ValueError(f"{where} was begun with other model settings; choose another --name")


def train_one(where: Path, data: Interactions, config: Config) -> float:
    """Trains, or resumes, one model, writes its graphs and curves, returns the best NDCG@10.

    Under ``torchrun`` every process trains, and the first one writes.
    """
    place = training_place(config.train.threads)
    same_settings(where, config)
    wait_for_all(place)
    if place.first:
        write_config(where, KIND, config)
    teacher = None
    if config.train.teacher:
        path = Path(config.train.teacher)
        teacher = load_model(path, data, read_config(path, Config()))
    entries = train(where, data, config, teacher)
    if place.first:
        write_graphs(load_model(where, data, config), data, where / GRAPHS)
        draw_curves(entries, where / CURVES)
    wait_for_all(place)
    return max(one[METRIC] for one in entries if METRIC in one)


def train_run(run: Path, data: Interactions, config: Config, name: str, seeds: list[int]) -> None:
    """Trains a model for each seed under ``trained/NAME-SEED``."""
    for seed in seeds:
        where = run / TRAINED / f"{name}-{seed}"
        best = train_one(where, data, with_seed(config, seed))
        if training_place(config.train.threads).first:
            print(f"{where.name}: validation NDCG@10 {best:.4f}; graphs are in {where / GRAPHS}")


def validation_of(where: Path) -> float:
    """Returns the best validation NDCG@10 of a trained model."""
    entries: list[dict[str, float]] = json.loads((where / HISTORY).read_text(encoding="utf-8"))
    return max(one[METRIC] for one in entries if METRIC in one)


def best_trained(run: Path, name: str | None) -> Path:
    """Finds a trained model by name, or the best on validation."""
    found = [one for one in trained_directories(run) if (one / GRAPHS / RANKER_FILE).is_file()]
    if name is not None:
        found = [one for one in found if one.name == name]
    if not found:
        raise FileNotFoundError(f"{run} holds no such trained model; run `train` first")
    return max(found, key=validation_of)
