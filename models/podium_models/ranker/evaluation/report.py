"""Compares the ranker with its baselines and renders the result as JSON and as a table."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from podium_models.measure.bootstrap import Interval, bootstrap
from podium_models.ranker.config import Config
from podium_models.ranker.data.prepared import Prepared
from podium_models.ranker.evaluation.baselines import (
    frequency_scores,
    lifetime_frequency_scores,
    popularity_scores,
)
from podium_models.ranker.evaluation.departments import (
    ABSENT,
    department_auc,
    overall_shares,
    own_shares,
    spread,
)
from podium_models.ranker.evaluation.groups import Groups
from podium_models.ranker.evaluation.metrics import METRICS
from podium_models.ranker.evaluation.scoring import Scores, household_means

Floats = npt.NDArray[np.float64]
Means = dict[str, Floats]

RANKER = "grocery-ranker"
BASELINES = ("popularity", "own frequency", "own frequency, whole history")
SEED = 7


def interval(values: Floats) -> dict[str, float]:
    """Renders a bootstrap interval over households, rounded to six decimals."""
    return {key: round(value, 6) for key, value in bootstrap(values, SEED)._asdict().items()}


def compare_departments(
    scores: Scores, prepared: Prepared, groups: Groups, cutoff: int, config: Config
) -> dict[str, Any]:
    """Measures the department head against both baselines by AUC over departments."""
    head = spread(prepared, groups, scores.department_interest)
    present = head > ABSENT
    own = own_shares(prepared, groups, cutoff, config.data.history_events)
    rival = {"popularity": overall_shares(prepared, groups, cutoff), "own frequency": own}
    ours = department_auc(prepared, groups, head, present)
    result: dict[str, Any] = {RANKER: interval(ours)}
    for name, values in rival.items():
        theirs = department_auc(prepared, groups, values, present)
        result[name] = interval(theirs)
        result[f"gain over {name}"] = interval(ours - theirs)
    return result


def calibration(scores: Scores, groups: Groups) -> dict[str, float]:
    """Compares the mean predicted purchase probability with the share really bought."""
    predicted = 1.0 / (1.0 + np.exp(-scores.purchase.astype(np.float64)))
    return {
        "predicted": round(float(predicted.mean()), 6),
        "bought": round(float(groups.relevant.mean()), 6),
    }


def measure(
    scores: Scores, prepared: Prepared, groups: Groups, cutoff: int, config: Config
) -> dict[str, Any]:
    """Returns all metrics, baselines and paired gains of one set of household-weeks."""
    rivals = (popularity_scores, frequency_scores, lifetime_frequency_scores)
    means: dict[str, Means] = {RANKER: household_means(scores.purchase, groups)}
    for name, rival in zip(BASELINES, rivals, strict=True):
        means[name] = household_means(rival(prepared, groups, cutoff), groups)
    ours = means[RANKER]
    return {
        "household_weeks": len(groups.week),
        "households": len(np.unique(groups.household)),
        "candidates": int(groups.relevant.shape[1]),
        "candidate_recall": round(float((groups.relevant.sum(1) / groups.bought).mean()), 6),
        "calibration": calibration(scores, groups),
        "metrics": {
            name: {metric: interval(values[metric]) for metric in METRICS}
            for name, values in means.items()
        },
        "gains": {
            name: {metric: interval(ours[metric] - means[name][metric]) for metric in METRICS}
            for name in BASELINES
        },
        "department_auc": compare_departments(scores, prepared, groups, cutoff, config),
    }


def as_interval(entry: dict[str, float]) -> Interval:
    """Reads an interval back from its JSON form."""
    return Interval(entry["mean"], entry["low"], entry["high"])


def table(header: list[str], rows: list[list[str]]) -> str:
    """Renders a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def metrics_table(result: dict[str, Any]) -> str:
    """Renders each method's metrics with intervals."""
    return table(
        ["", *METRICS],
        [
            [name, *(str(as_interval(values[metric])) for metric in METRICS)]
            for name, values in result["metrics"].items()
        ],
    )


def gains_table(result: dict[str, Any]) -> str:
    """Renders the paired gains of the ranker over each baseline."""
    return table(
        ["gain over", *METRICS],
        [
            [name, *(str(as_interval(values[metric])) for metric in METRICS)]
            for name, values in result["gains"].items()
        ],
    )


def departments_table(result: dict[str, Any]) -> str:
    """Renders the department head's AUC with intervals."""
    entries = result["department_auc"].items()
    return table(["", "AUC over departments"], [[k, str(as_interval(v))] for k, v in entries])
