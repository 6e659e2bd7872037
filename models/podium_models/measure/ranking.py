"""Measures orders: hit rate, NDCG, MRR, recall, precision and F1 at a cut, from ranks or scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


def rank_metrics(ranks: Ints, cuts: Sequence[int]) -> dict[str, Floats]:
    """Measures users who have one relevant item each: ``hr@k``, ``ndcg@k`` and ``mrr``.

    ``ranks`` [n] int64 is the place of that item, 0 for the best; every result is [n] float64.
    ``mrr`` looks at the whole order. A negative rank or a cut below 1 raises ``ValueError``.
    """
    if len(ranks) and int(ranks.min()) < 0:
        raise ValueError("a rank is negative")
    result: dict[str, Floats] = {}
    gain: Floats = 1.0 / np.log2(ranks.astype(np.float64) + 2.0)
    for cut in cuts:
        if cut < 1:
            raise ValueError(f"a cut is at least 1, not {cut}")
        hit = ranks < cut
        result[f"hr@{cut}"] = hit.astype(np.float64)
        result[f"ndcg@{cut}"] = np.where(hit, gain, 0.0)
    result["mrr"] = np.asarray(1.0 / (ranks + 1.0), dtype=np.float64)
    return result


def target_ranks(
    scores: npt.NDArray[np.floating], targets: Ints, hidden: Flags | None = None
) -> Ints:
    """Ranks one target column in each row of scores [n, items]: [n] int64, 0 for the best.

    ``targets`` [n] int64; ``hidden`` [n, items] marks items that do not compete (the target always
    does). Of equal scores the lower column comes first, as in a stable sort. NaN raises
    ``ValueError``: it would stand nowhere.
    """
    if np.isnan(scores).any():
        raise ValueError("a score is NaN")
    own = np.take_along_axis(scores, targets[:, None], axis=1)
    columns = np.arange(scores.shape[1])
    ahead = (scores > own) | ((scores == own) & (columns < targets[:, None]))
    if hidden is not None:
        ahead &= ~hidden
    return np.asarray(ahead.sum(axis=1), dtype=np.int64)


def order(scores: Floats) -> Ints:
    """Orders each row of [groups, candidates] by falling score, ties by position."""
    return np.argsort(-scores, axis=1, kind="stable")


def f_measure(precision: Floats, recall: Floats) -> Floats:
    """Returns the harmonic mean of two arrays, 0 where both are 0."""
    both = precision + recall
    return np.divide(2 * precision * recall, both, out=np.zeros_like(both), where=both > 0)


class ListMetrics(NamedTuple):
    """Metrics of many lists at one cut, each [groups] float64; ``mrr`` looks at the whole list."""

    ndcg: Floats
    hit_rate: Floats
    recall: Floats
    precision: Floats
    f1: Floats
    mrr: Floats


def list_metrics(scores: Floats, relevant: Flags, wanted: Ints, cut: int) -> ListMetrics:
    """Measures [groups, candidates] scores against binary relevance of the same shape.

    ``wanted`` [groups] int64, at least 1, counts **all** relevant items, candidates or not: recall
    divides by it, and NDCG by the gain of min(cut, wanted) hits at the top, so both punish a
    candidate set that misses some. Precision divides by ``cut``.
    """
    if len(wanted) and int(wanted.min()) < 1:
        raise ValueError("a list has nothing relevant; leave it out")
    ranked = np.take_along_axis(relevant, order(scores), axis=1)
    top = ranked[:, :cut].astype(np.float64)
    discount: Floats = 1.0 / np.log2(np.arange(cut) + 2.0)
    hits = top.sum(axis=1)
    ideal = np.cumsum(discount)[np.minimum(wanted, cut) - 1]
    precision, recall = hits / cut, hits / wanted
    first = np.where(ranked.any(axis=1), ranked.argmax(axis=1) + 1.0, np.inf)
    return ListMetrics(
        ndcg=(top * discount[: top.shape[1]]).sum(axis=1) / ideal,
        hit_rate=(hits > 0).astype(np.float64),
        recall=recall,
        precision=precision,
        f1=f_measure(precision, recall),
        mrr=1.0 / first,
    )
