"""Runs the ``train`` command to its end: weights, graphs, curves."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from podium_models.devices import training_place
from podium_models.ranker.config import Config
from podium_models.ranker.data.prepared import Prepared
from podium_models.ranker.evaluation.baselines import frequency_scores
from podium_models.ranker.evaluation.groups import build_groups
from podium_models.ranker.evaluation.scoring import household_means
from podium_models.ranker.export.graphs import convert_model
from podium_models.ranker.nn.build import build_model
from podium_models.ranker.training.checkpoint import load_best
from podium_models.ranker.training.curves import draw_curves
from podium_models.ranker.training.loop import METRIC, train
from podium_models.ranker.training.stranger import fit_stranger


def train_run(run: Path, prepared: Prepared, config: Config) -> None:
    """Trains, takes the best epoch, writes ``graphs/`` and ``curves.png``.

    Under ``torchrun`` every process trains, and the first one writes.
    """
    place = training_place(config.train.threads)
    history = train(run, prepared, config, place)
    if not place.first:
        return
    model = build_model(prepared, config.model)
    epoch = load_best(run, model)
    model.bake()
    fit_stranger(model, prepared, config)
    convert_model(model, prepared, run / "graphs")
    cutoff = config.split.last_train_week
    groups = build_groups(prepared, config.split.validation_weeks, cutoff)
    frequency = household_means(frequency_scores(prepared, groups, cutoff), groups)["ndcg@10"]
    draw_curves(history, float(np.nanmean(frequency)), config, run / "curves.png")
    print(f"took epoch {epoch} of {len(history)}; graphs are in {run / 'graphs'}")


def train_briefly(run: Path, prepared: Prepared, config: Config) -> float:
    """Trains into a directory and returns the best validation NDCG@10; writes no graphs."""
    run.mkdir(parents=True, exist_ok=True)
    history = train(run, prepared, config, training_place(config.train.threads))
    return max(entry[METRIC] for entry in history)
