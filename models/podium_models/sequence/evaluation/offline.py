"""Answers ``evaluate`` without a server: all trained models of a run on the test items."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from podium_models.bundle.vocabulary import FIRST
from podium_models.measure.bootstrap import bootstrap
from podium_models.measure.calibration import expected_calibration_error, reliability
from podium_models.measure.coverage import catalogue_coverage, exposure, gini
from podium_models.measure.negatives import sample_negatives
from podium_models.measure.ranking import rank_metrics
from podium_models.sequence.config import Config
from podium_models.sequence.data.interactions import Interactions
from podium_models.sequence.evaluation.histories import HeldOut, held_out
from podium_models.sequence.evaluation.measures import user_metrics
from podium_models.sequence.evaluation.metrics_file import METRICS_FILE
from podium_models.sequence.evaluation.onnx_scorer import GraphPair, GraphScorer
from podium_models.sequence.evaluation.ranks import Ranks, Score, rank_held_out, score_batches
from podium_models.sequence.export.files import ENCODER_FILE, RANKER_FILE, graphs_of
from podium_models.settings import read_config

CUTS = (5, 10, 20)

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


def popularity(data: Interactions) -> Score:
    """Scores items by how often they occur in the training events."""
    inside = np.concatenate(
        [
            np.arange(start, stop)
            for start, stop in zip(data.offsets[:-1], data.train_ends, strict=True)
        ]
    )
    counts = np.bincount(data.event_items[inside], minlength=data.items.size).astype(np.float32)

    def score(item: Ints, mask: Floats) -> Floats:
        del mask
        return np.tile(counts, (len(item), 1))

    return score


def sampled_metrics(
    data: Interactions, parts: HeldOut, config: Config, score: Score
) -> dict[str, float]:
    """Ranks each user's first held-out item against random unseen items.

    Returns means over users, and the number of negatives and the seed. ``measure.negatives`` items
    are drawn with ``measure.seed``, the same for every model, or as many as every user leaves; an
    item that scores the same as the target stands before it. Where some user leaves none, raises
    ``ValueError``.
    """
    unseen = len(data.items.names) - longest_history(data)
    if unseen < 1:
        raise ValueError("a user has met every item, so none is left to draw; leave out --sampled")
    count = min(config.measure.negatives, unseen)
    pairs = zip(parts.users.tolist(), parts.starts.tolist(), strict=True)
    taken = [data.event_items[data.offsets[user] : start + 1] for user, start in pairs]
    drawn = sample_negatives(taken, np.arange(FIRST, data.items.size), count, config.measure.seed)
    ranks = np.zeros(len(parts.users), dtype=np.int64)
    for places, scores in score_batches(data, parts, config.model.max_length, score):
        target = data.event_items[parts.starts[places]]
        others = np.take_along_axis(scores, drawn[places], axis=1)
        own = np.take_along_axis(scores, target[:, None], axis=1)
        ranks[places] = (others >= own).sum(1)
    means = {name: float(one.mean()) for name, one in rank_metrics(ranks, (10,)).items()}
    return {"negatives": count, "seed": config.measure.seed, **means}


def longest_history(data: Interactions) -> int:
    """Counts the events of the user who has most."""
    return int(np.diff(data.offsets).max(initial=0))


def summary(ranks: Ranks, data: Interactions, config: Config) -> dict[str, Any]:
    """Returns means with bootstrap intervals over users, coverage and calibration.

    ``chance_of_first`` is the softmax share of the first item beside how often it is a target.
    """
    values = user_metrics(ranks, CUTS)
    counts = exposure(ranks.top[ranks.top >= FIRST], data.items.size)[FIRST:]
    bins = reliability(ranks.chance, values["accuracy"] > 0)
    result: dict[str, Any] = {
        name: list(bootstrap(one, config.measure.seed, 1000)) for name, one in values.items()
    }
    result["coverage@10"] = catalogue_coverage(counts)
    result["gini@10"] = gini(counts)
    result["chance_of_first"] = {
        "mean": float(ranks.chance.mean()),
        "happened": float(values["accuracy"].mean()),
        "calibration_error": expected_calibration_error(bins),
    }
    return result


def measure_model(where: Path, data: Interactions, parts: HeldOut, sampled: bool) -> dict[str, Any]:
    """Measures one trained model with its graphs in ONNX Runtime and writes ``metrics.json``."""
    config = read_config(where, Config())
    source = graphs_of(where)
    graphs = GraphPair(source / ENCODER_FILE, source / RANKER_FILE)
    score = GraphScorer(graphs, data.items.size)
    ranks = rank_held_out(data, parts, config.model.max_length, score)
    result = {"users": len(parts.users), "all_items": summary(ranks, data, config)}
    if sampled:
        result["sampled"] = sampled_metrics(data, parts, config, score)
    text = json.dumps(result, indent=2) + "\n"
    (where / METRICS_FILE).write_text(text, encoding="utf-8")
    return result


def baseline(data: Interactions, config: Config) -> dict[str, Any]:
    """Measures popularity on the test items."""
    parts = held_out(data, "test")
    ranks = rank_held_out(data, parts, config.model.max_length, popularity(data))
    return {"users": len(parts.users), "all_items": summary(ranks, data, config)}
