"""Measures the order of one household-week's candidates.

Relevance is binary: the household bought the item in the target week. ``bought`` counts all
in-vocabulary items bought that week, candidates or not, so recall and the ideal gain punish a
candidate set that misses purchases.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

CUT = 10
METRICS = ("ndcg@10", "hr@10", "recall@10", "precision@10", "f1@10", "auc")
DISCOUNT: Floats = 1.0 / np.log2(np.arange(CUT) + 2.0)


class RankingMetrics(NamedTuple):
    """Metrics of many household-weeks, each [groups] float64; ``auc`` is NaN where undefined."""

    ndcg: Floats
    hit_rate: Floats
    recall: Floats
    precision: Floats
    f1: Floats
    auc: Floats


def order(scores: Floats) -> npt.NDArray[np.int64]:
    """Orders each row of [groups, candidates] by falling score, ties by position."""
    return np.argsort(-scores, axis=1, kind="stable")


def auc(scores: Floats, relevant: Flags) -> Floats:
    """Returns the chance that a bought candidate outscores another, ties one half: [groups].

    NaN where a group has no bought or no other candidate.
    """
    below = np.sort(scores, axis=1)
    result = np.full(len(scores), np.nan)
    for group in range(len(scores)):
        positives = scores[group][relevant[group]]
        others = scores.shape[1] - len(positives)
        if len(positives) == 0 or others == 0:
            continue
        left = np.searchsorted(below[group], positives, side="left")
        right = np.searchsorted(below[group], positives, side="right")
        ranks = (left + right + 1) / 2.0
        wins = ranks.sum() - len(positives) * (len(positives) + 1) / 2.0
        result[group] = wins / (len(positives) * others)
    return result


def ranking_metrics(
    scores: Floats, relevant: Flags, bought: npt.NDArray[np.int64]
) -> RankingMetrics:
    """Measures [groups, candidates] scores against flags of the same shape.

    ``bought`` [groups] int64 is at least 1. NDCG@10 divides by the gain of min(10, bought) hits at
    the top; precision@10 divides by 10; F1@10 is the harmonic mean of precision@10 and recall@10.
    """
    top = np.take_along_axis(relevant, order(scores)[:, :CUT], axis=1).astype(np.float64)
    hits = top.sum(axis=1)
    ideal = np.cumsum(DISCOUNT)[np.minimum(bought, CUT) - 1]
    precision = hits / CUT
    recall = hits / bought
    both = precision + recall
    f1 = np.divide(2 * precision * recall, both, out=np.zeros_like(both), where=both > 0)
    return RankingMetrics(
        ndcg=(top * DISCOUNT[: top.shape[1]]).sum(axis=1) / ideal,
        hit_rate=(hits > 0).astype(np.float64),
        recall=recall,
        precision=precision,
        f1=f1,
        auc=auc(scores, relevant),
    )


def by_household(values: Floats, households: npt.NDArray[np.int64]) -> Floats:
    """Averages [groups] over each household's weeks, NaN left out: [distinct households].

    Households stand in ascending order; one whose every value is NaN stays NaN.
    """
    _, place = np.unique(households, return_inverse=True)
    known = ~np.isnan(values)
    total = np.bincount(place, weights=np.where(known, values, 0.0))
    count = np.bincount(place, weights=known.astype(np.float64))
    mean = np.full(len(total), np.nan)
    np.divide(total, count, out=mean, where=count > 0)
    return mean
