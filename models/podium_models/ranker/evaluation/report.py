"""Compares the ranker with its baselines on all that is measured."""

from __future__ import annotations

from typing import Any

import numpy as np

from podium_models.measure.bootstrap import bootstrap
from podium_models.measure.calibration import Reliability
from podium_models.ranker.config import Config
from podium_models.ranker.data.prepared import Prepared
from podium_models.ranker.data.signatures import LABELS, PURCHASE
from podium_models.ranker.evaluation.baselines import (
    Floats,
    frequency_scores,
    lifetime_frequency_scores,
    popularity_scores,
)
from podium_models.ranker.evaluation.groups import Groups
from podium_models.ranker.evaluation.interest import bought_labels
from podium_models.ranker.evaluation.interest_report import (
    SEED,
    Part,
    as_dict,
    compare_interests,
)
from podium_models.ranker.evaluation.metrics import METRICS
from podium_models.ranker.evaluation.quality import calibration, coverage, sigmoid
from podium_models.ranker.evaluation.scoring import Scores, household_means

BASELINES = {
    "popularity": popularity_scores,
    "own frequency": frequency_scores,
    "own frequency, whole history": lifetime_frequency_scores,
}


def interval(values: Floats) -> dict[str, float]:
    """Renders a bootstrap interval over households."""
    return as_dict(bootstrap(values, SEED))


def compare_orders(
    scores: dict[str, Floats], groups: Groups, ours: str
) -> dict[str, dict[str, Any]]:
    """Returns every method's ranking metrics, and our paired gains."""
    means = {name: household_means(one, groups) for name, one in scores.items()}
    return {
        "metrics": {
            name: {metric: interval(values[metric]) for metric in METRICS}
            for name, values in means.items()
        },
        "gains": {
            name: {metric: interval(means[ours][metric] - values[metric]) for metric in METRICS}
            for name, values in means.items()
            if name != ours
        },
    }


def measure(
    scores: Scores, prepared: Prepared, validation: Part, test: Part, config: Config
) -> tuple[dict[str, Any], dict[str, Reliability]]:
    """Returns all metrics, baselines and paired gains of the test part, and reliability tables."""
    groups, ours = test.groups, config.bundle.ranker
    cutoff = int(groups.visits.cutoff[0])
    methods: dict[str, Any] = {ours: scores[PURCHASE]}
    methods |= {name: rival(prepared, groups, cutoff) for name, rival in BASELINES.items()}
    heads = {PURCHASE: (sigmoid(scores[PURCHASE]), groups.relevant)}
    for label in LABELS:
        truth = bought_labels(prepared, groups, label)
        heads[f"{label}_interest"] = (test.interests[label], truth)
    trusted = {name: calibration(*one) for name, one in heads.items()}
    result = {
        "household_weeks": len(groups.week),
        "households": len(np.unique(groups.household)),
        "candidates": int(groups.relevant.shape[1]),
        "candidate_recall": round(float((groups.relevant.sum(1) / groups.bought).mean()), 6),
        **compare_orders(methods, groups, ours),
        "interest": {
            label: compare_interests(prepared, label, validation, test, ours) for label in LABELS
        },
        "calibration": {name: one[0] for name, one in trusted.items()},
        "coverage": coverage(methods, prepared, groups),
    }
    return result, {name: one[1] for name, one in trusted.items()}
