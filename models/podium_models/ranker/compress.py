"""Answers ``compress`` for ``ranker`` models: both graphs, measured on the validation weeks."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from podium_models.compression.graphs import Feeds, Graphs, compress_graphs
from podium_models.ranker.commands import prepared_of
from podium_models.ranker.config import Config
from podium_models.ranker.data.assemble import Arrays
from podium_models.ranker.data.prepared import Prepared
from podium_models.ranker.data.signatures import ENCODER_FILE, PURCHASE, RANKER_FILE
from podium_models.ranker.evaluation.groups import build_groups, validation_groups
from podium_models.ranker.evaluation.onnx_scorer import Floats, OnnxScorer
from podium_models.ranker.evaluation.scoring import BATCH, household_means, score_groups

METRIC = "ndcg@10"
SHOWN = (METRIC, "hr@10", "auc")
BATCHES = 8
SEED = 7


class Recorder:
    """Scores as another scorer does and keeps what each graph was given."""

    def __init__(self, scorer: OnnxScorer) -> None:
        self.scorer = scorer
        self.feeds: dict[str, list[Feeds]] = {ENCODER_FILE: [], RANKER_FILE: []}

    def embed(self, inputs: Arrays) -> Floats:
        """Returns the user embedding [users, states, width] float32."""
        self.feeds[ENCODER_FILE].append(inputs)
        return self.scorer.embed(inputs)

    def rank(self, embedding: Floats, week: Floats, rows: Arrays) -> tuple[Floats, ...]:
        """Returns the logits of every head, each [rows] float32."""
        self.feeds[RANKER_FILE].append({"user_embedding": embedding, "week": week, **rows})
        return self.scorer.rank(embedding, week, rows)


def scorer_of(directory: Path) -> OnnxScorer:
    """Opens the graphs of a directory."""
    return OnnxScorer(directory / ENCODER_FILE, directory / RANKER_FILE, 1)


def calibration(source: Path, prepared: Prepared, config: Config) -> dict[str, list[Feeds]]:
    """Returns inputs of both graphs for random household-weeks of the last training week."""
    last = config.split.last_train_week
    groups = build_groups(prepared, [last], last - 1)
    count = min(BATCHES * BATCH, len(groups.week))
    chosen = np.random.default_rng(SEED).choice(len(groups.week), count, replace=False)
    recorder = Recorder(scorer_of(source))
    score_groups(recorder, prepared, groups.take(np.sort(chosen)), config.model.max_length)
    return recorder.feeds


def compress(arguments: argparse.Namespace) -> None:
    """Writes compressed graphs of a run, measured on the validation weeks."""
    prepared, config = prepared_of(arguments.run)
    source = arguments.run / "graphs"
    if not (source / RANKER_FILE).is_file():
        raise FileNotFoundError(f"{source} has no graphs; run `train` first")
    groups = validation_groups(prepared, config)

    def quality(directory: Path) -> dict[str, float]:
        scores = score_groups(scorer_of(directory), prepared, groups, config.model.max_length)
        means = household_means(scores[PURCHASE], groups)
        return {name: float(np.nanmean(means[name])) for name in SHOWN}

    notes = {
        "quality": f"{len(groups.week)} household-weeks of the validation weeks",
        "latency": f"{ENCODER_FILE} with {BATCH} histories, {RANKER_FILE} with {BATCH} users of "
        f"{groups.relevant.shape[1]} candidates, one thread, p50",
    }
    feeds = calibration(source, prepared, config)
    graphs = Graphs(source, feeds, quality, METRIC, notes)
    compress_graphs(graphs, arguments.method, arguments.max_loss)
