"""Metrics of one judged list, with graded ratings."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from podium_models.measure.classification import auc

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

CUT = 10
RELEVANT = 2
"""The rating from which a product counts as relevant, for metrics that know yes and no."""

NDCG = f"ndcg@{CUT}"
METRICS = (NDCG, "mrr", f"precision@{CUT}", f"recall@{CUT}", f"f1@{CUT}", "auc")


def ndcg_at(scores: Floats, ratings: Ints, cut: int = CUT) -> float:
    """Returns NDCG with the gain 2^r - 1 of re-ranking the judged products, ties by position.

    NaN where nothing has any gain. Source: Järvelin and Kekäläinen, TOIS 2002; Burges et al. 2005.
    """
    gain = np.exp2(ratings.astype(np.float64)) - 1.0
    discount = 1.0 / np.log2(np.arange(2, min(cut, len(gain)) + 2))
    ideal = float(np.sort(gain)[::-1][:cut] @ discount)
    ranked = gain[np.argsort(-scores, kind="stable")][:cut]
    return float(ranked @ discount) / ideal if ideal > 0 else float("nan")


def measure_list(scores: Floats, ratings: Ints) -> dict[str, float]:
    """Returns every metric of one list; NaN where it is undefined (nothing relevant)."""
    relevant = ratings >= RELEVANT
    ranked = relevant[np.argsort(-scores, kind="stable")]
    wanted, hits = int(relevant.sum()), float(ranked[:CUT].sum())
    nothing = wanted == 0
    precision = hits / min(CUT, len(ranked))
    recall = float("nan") if nothing else hits / wanted
    both = precision + (0.0 if nothing else recall)
    f1 = 2 * precision * recall / both if not nothing and both > 0 else (np.nan if nothing else 0.0)
    return {
        NDCG: ndcg_at(scores, ratings),
        "mrr": float("nan") if nothing else 1.0 / (int(ranked.argmax()) + 1),
        f"precision@{CUT}": float("nan") if nothing else precision,
        f"recall@{CUT}": recall,
        f"f1@{CUT}": float(f1),
        "auc": auc(scores, relevant),
    }
