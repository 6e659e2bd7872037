"""Turns ranks of held-out items into metrics by user."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from podium_models.sequence.evaluation.ranks import Ints, Ranks

Floats = npt.NDArray[np.float64]


def by_user(values: Floats, ranks: Ranks) -> Floats:
    """Sums [targets] values by user: [users] float64."""
    sums = np.bincount(ranks.owner, weights=values, minlength=len(ranks.top))
    return sums.astype(np.float64)


def best_ranks(ranks: Ranks) -> Ints:
    """Returns the best rank among each user's targets, [users] int64."""
    best = np.full(len(ranks.top), np.iinfo(np.int64).max)
    np.minimum.at(best, ranks.owner, ranks.ranks)
    return best


def user_metrics(ranks: Ranks, cuts: tuple[int, ...]) -> dict[str, Floats]:
    """Measures each user's targets, each value [users] float64.

    ``hr@k``: any target in the first k. ``ndcg@k``: gain 1/log2(rank + 2), divided by that of
    min(k, targets) hits at the top. ``recall@k`` divides hits by the number of targets,
    ``precision@k`` by k, ``f1@k`` is their harmonic mean. ``mrr``: 1 over the place of the best
    target. ``auc``: the chance that a target stands before another item. ``accuracy``: the first
    item is a target.
    """
    count = by_user(np.ones(len(ranks.ranks)), ranks)
    gains = 1.0 / np.log2(ranks.ranks + 2.0)
    first = best_ranks(ranks)
    result: dict[str, Floats] = {}
    for cut in cuts:
        ideal = np.cumsum(1.0 / np.log2(np.arange(cut) + 2.0))
        inside = (ranks.ranks < cut).astype(np.float64)
        hits = by_user(inside, ranks)
        recall, precision = hits / count, hits / cut
        both = np.maximum(recall + precision, 1e-12)
        result[f"hr@{cut}"] = (first < cut).astype(np.float64)
        best = ideal[np.minimum(count, cut).astype(np.int64) - 1]
        result[f"ndcg@{cut}"] = np.asarray(by_user(inside * gains, ranks) / best, np.float64)
        result[f"recall@{cut}"] = recall
        result[f"precision@{cut}"] = precision
        result[f"f1@{cut}"] = 2.0 * recall * precision / both
    result["mrr"] = (1.0 / (first + 1.0)).astype(np.float64)
    result["accuracy"] = (first == 0).astype(np.float64)
    others = np.maximum(ranks.rankable - count, 1.0)
    before = by_user(ranks.ranks.astype(np.float64), ranks) - count * (count - 1.0) / 2.0
    result["auc"] = 1.0 - before / (count * others)
    return result
