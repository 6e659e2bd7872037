"""Compares the interest heads with their rivals: AUC, F1 micro and macro, paired intervals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from podium_models.measure.averages import by_owner
from podium_models.measure.bootstrap import Interval, bootstrap, bootstrap_totals
from podium_models.measure.classification import (
    Confusion,
    auc,
    best_threshold,
    macro_f1,
    micro_f1,
)
from podium_models.ranker.data.prepared import Prepared
from podium_models.ranker.evaluation.groups import Groups
from podium_models.ranker.evaluation.interest import (
    bought_labels,
    candidate_labels,
    rival_scores,
)

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

SEED = 7
STEPS = 99
"""Thresholds tried are these quantiles of a method's validation scores."""


class Thresholds(NamedTuple):
    """One threshold for the best micro F1, one a label for the best F1 of each."""

    together: float
    by_label: Floats


def tune(scores: Floats, truth: Flags) -> Thresholds:
    """Chooses thresholds on validation, the same way for every method."""
    tried = np.unique(np.quantile(scores, np.linspace(0.0, 1.0, STEPS + 2)[1:-1]))
    together = best_threshold(scores, truth, tried)
    by_label = np.empty(scores.shape[1])
    for label in range(scores.shape[1]):
        mine = scores[:, label : label + 1]
        steps = np.unique(np.quantile(mine, np.linspace(0.0, 1.0, STEPS + 2)))
        by_label[label] = best_threshold(mine, truth[:, label : label + 1], steps)
    return Thresholds(together, by_label)


def household_counts(predicted: Flags, truth: Flags, groups: Groups) -> Floats:
    """Sums decisions by household: [households, 3, labels], in ``Confusion``'s order."""
    households, place = np.unique(groups.household, return_inverse=True)
    parts = np.stack([predicted & truth, predicted & ~truth, ~predicted & truth], axis=1)
    counts = np.zeros((len(households), *parts.shape[1:]))
    np.add.at(counts, place, parts)
    return counts


def micro(total: Floats) -> Floats:
    """Returns micro F1 of totals [..., 3, 1]."""
    return micro_f1(Confusion(*np.moveaxis(total, -2, 0)))


def macro(total: Floats) -> Floats:
    """Returns macro F1 of totals [..., 3, labels]."""
    return macro_f1(Confusion(*np.moveaxis(total, -2, 0)))


def difference(statistic: Callable[[Floats], Floats]) -> Callable[[Floats], Floats]:
    """Makes the difference of a statistic between two methods' totals [..., 2, 3, labels]."""
    return lambda totals: statistic(totals[:, 0]) - statistic(totals[:, 1])


def as_dict(found: Interval) -> dict[str, float]:
    """Renders an interval, rounded to six decimals."""
    return {key: round(value, 6) for key, value in found._asdict().items()}


def compare_f1(counts: dict[str, tuple[Floats, Floats]], ours: str) -> dict[str, Any]:
    """Returns micro and macro F1 of each method, and paired gains over each rival.

    ``counts`` holds, by method, the household counts at the threshold for micro, and for macro.
    """
    result: dict[str, Any] = {}
    for place, (name, statistic) in enumerate((("f1 micro", micro), ("f1 macro", macro))):
        parts = {
            method: one[place].sum(axis=2, keepdims=True) if place == 0 else one[place]
            for method, one in counts.items()
        }
        found = {
            method: as_dict(bootstrap_totals(one, statistic, SEED)) for method, one in parts.items()
        }
        for method, one in parts.items():
            if method == ours:
                continue
            both = np.stack([parts[ours], one], axis=1)
            gain = difference(statistic)
            found[f"gain over {method}"] = as_dict(bootstrap_totals(both, gain, SEED))
        result[name] = found
    return result


def row_auc(scores: Floats, truth: Flags, present: Flags, groups: Groups) -> Floats:
    """Returns the AUC over each group's present labels, mean by household."""
    rows = zip(scores, truth, present, strict=True)
    return by_owner(
        np.asarray([auc(one[kept], right[kept]) for one, right, kept in rows]), groups.household
    )


def compare_auc(
    scores: dict[str, Floats], truth: Flags, present: Flags, groups: Groups, ours: str
) -> dict[str, Any]:
    """Returns each method's AUC, mean over households, and paired gains over each rival."""
    values = {name: row_auc(one, truth, present, groups) for name, one in scores.items()}
    found = {name: as_dict(bootstrap(one, SEED)) for name, one in values.items()}
    for name, one in values.items():
        if name != ours:
            found[f"gain over {name}"] = as_dict(bootstrap(values[ours] - one, SEED))
    return found


class Part(NamedTuple):
    """One set of groups with the heads' probabilities by sort of label."""

    groups: Groups
    interests: dict[str, Floats]


def compare_interests(
    prepared: Prepared, label: str, validation: Part, test: Part, ours: str
) -> dict[str, Any]:
    """Measures one sort of label on the test groups; thresholds come from validation."""
    truth = bought_labels(prepared, test.groups, label)
    known = bought_labels(prepared, validation.groups, label)
    scores = {ours: test.interests[label], **rival_scores(prepared, test.groups, label)}
    earlier = {
        ours: validation.interests[label],
        **rival_scores(prepared, validation.groups, label),
    }
    counts: dict[str, tuple[Floats, Floats]] = {}
    chosen: dict[str, float] = {}
    for name, one in scores.items():
        threshold = tune(earlier[name], known)
        chosen[name] = round(threshold.together, 6)
        counts[name] = (
            household_counts(one >= threshold.together, truth, test.groups),
            household_counts(one >= threshold.by_label, truth, test.groups),
        )
    among = candidate_labels(prepared, test.groups, label)
    return {
        "labels": truth.shape[1],
        "bought_a_week": round(float(truth.sum(1).mean()), 6),
        "thresholds": chosen,
        "auc among candidates": compare_auc(scores, truth, among, test.groups, ours),
        "auc": compare_auc(scores, truth, np.ones_like(among), test.groups, ours),
        **compare_f1(counts, ours),
    }
