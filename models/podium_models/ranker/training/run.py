"""Runs the ``train`` command to its end: weights, graphs, curves."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from podium_models.ranker.config import Config
from podium_models.ranker.data.prepared import Prepared
from podium_models.ranker.evaluation.baselines import frequency_scores
from podium_models.ranker.evaluation.groups import build_groups
from podium_models.ranker.evaluation.scoring import household_means
from podium_models.ranker.export.graphs import convert_model
from podium_models.ranker.training.checkpoint import HISTORY, load_best
from podium_models.ranker.training.curves import draw_curves
from podium_models.ranker.training.loop import train


def train_run(run: Path, prepared: Prepared, config: Config) -> None:
    """Trains, takes the best epoch, writes ``graphs/`` and ``curves.png``."""
    model = train(run, prepared, config)
    epoch = load_best(run, model)
    convert_model(model, prepared, run / "graphs")
    cutoff = config.split.last_train_week
    groups = build_groups(prepared, config.split.validation_weeks, cutoff)
    frequency = household_means(frequency_scores(prepared, groups, cutoff), groups)["ndcg@10"]
    history = json.loads((run / HISTORY).read_text(encoding="utf-8"))
    draw_curves(history, float(np.nanmean(frequency)), run / "curves.png")
    print(f"took epoch {epoch} of {len(history)}; graphs are in {run / 'graphs'}")
