"""Answers ``compress`` for ``sequence`` models: smaller graphs, or a smaller model that follows."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import numpy as np

from podium_models.compression.graphs import Feeds, Graphs, compress_graphs, measure_side
from podium_models.compression.report import Comparison, refuse_beyond, write_report
from podium_models.sequence.commands import data_of
from podium_models.sequence.config import Config
from podium_models.sequence.data.interactions import Interactions
from podium_models.sequence.data.padding import pad
from podium_models.sequence.evaluation.histories import held_out, history, sample
from podium_models.sequence.evaluation.measures import user_metrics
from podium_models.sequence.evaluation.onnx_scorer import GraphPair, GraphScorer
from podium_models.sequence.evaluation.ranks import rank_held_out
from podium_models.sequence.export.files import ENCODER_FILE, GRAPHS, RANKER_FILE, graphs_of
from podium_models.settings import override, read_config

METRIC = "ndcg@10"
SHOWN = ("hr@10", METRIC, "mrr")
MEASURED_USERS = 2000
BATCHES, BATCH_USERS = 8, 32


def calibration(data: Interactions, graphs: GraphPair, config: Config) -> dict[str, list[Feeds]]:
    """Makes batches of training histories and of candidate rows: all items for one user."""
    random = np.random.default_rng(config.measure.seed)
    with_events = np.nonzero(data.train_ends > data.offsets[:-1])[0]
    encoder: list[Feeds] = []
    ranker: list[Feeds] = []
    for _ in range(BATCHES):
        users = random.choice(with_events, min(BATCH_USERS, len(with_events)), replace=False)
        rows = [
            history(data, int(user), int(data.train_ends[user]), config.model.max_length)
            for user in users
        ]
        item = pad(rows)
        encoder.append({"item": item, "mask": (item > 0).astype(np.float32)})
        embedding = graphs.embed(encoder[-1]["item"], encoder[-1]["mask"])
        items = np.arange(1, data.items.size, dtype=np.int64)
        index = np.zeros(len(items), dtype=np.int64)
        ranker.append({"user_embedding": embedding[:1], "user_index": index, "item": items})
    return {ENCODER_FILE: encoder, RANKER_FILE: ranker}


def measured_graphs(trained: Path, data: Interactions, config: Config) -> Graphs:
    """Describes a trained model's graphs, measured on validation items."""
    parts = sample(held_out(data, "validation"), MEASURED_USERS, config.measure.seed)

    def quality(directory: Path) -> dict[str, float]:
        pair = GraphPair(directory / ENCODER_FILE, directory / RANKER_FILE)
        scorer = GraphScorer(pair, data.items.size)
        values = user_metrics(rank_held_out(data, parts, config.model.max_length, scorer), (10,))
        return {name: float(values[name].mean()) for name in SHOWN}

    source = graphs_of(trained)
    pair = GraphPair(source / ENCODER_FILE, source / RANKER_FILE)
    notes = {
        "quality": f"validation items of {len(parts.users)} users among all items",
        "latency": f"{ENCODER_FILE} with {BATCH_USERS} histories at most, {RANKER_FILE} with "
        f"{data.items.size - 1} candidates, one thread, p50",
    }
    return Graphs(source, calibration(data, pair, config), quality, METRIC, notes)


def student_config(teacher: Path, config: Config, settings: list[str]) -> Config:
    """Returns the teacher's settings with half its layers, and whatever is set beside."""
    halved = [f"model.layers={max(1, config.model.layers // 2)}", f"train.teacher={teacher}"]
    return override(config, [*halved, *settings])


def distil(trained: Path, data: Interactions, config: Config, given: argparse.Namespace) -> None:
    """Trains a smaller model that follows a trained one; refused, its graphs are removed."""
    from podium_models.sequence.training.run import train_one

    student = student_config(trained, config, given.set)
    where = trained.with_name(f"{trained.name}-distil")
    train_one(where, data, student)
    before, after = measured_graphs(trained, data, config), measured_graphs(where, data, student)
    sides = measure_side(before, before.directory), measure_side(after, after.directory)
    comparison = Comparison(given.method, METRIC, given.max_loss, *sides, before.notes)
    write_report(where, comparison)
    try:
        refuse_beyond(METRIC, comparison.loss, given.max_loss)
    except ValueError:
        shutil.rmtree(where / GRAPHS)
        raise
    print(f"`export --trained {where.name}` writes its bundles")


def compress(arguments: argparse.Namespace) -> None:
    """Compresses a trained model's graphs, or trains a smaller one that follows it."""
    from podium_models.sequence.training.run import best_trained

    trained = best_trained(arguments.run, arguments.trained)
    data, config = data_of(arguments.run), read_config(trained, Config())
    if arguments.method == "distil":
        distil(trained, data, config, arguments)
        return
    graphs = measured_graphs(trained, data, config)
    compress_graphs(graphs, arguments.method, arguments.max_loss)
