"""Measures the order of one household-week's candidates.

Relevance is binary: the household bought the item in the target week. ``bought`` counts all
in-vocabulary items bought that week, candidates or not, so recall and the ideal gain punish a
candidate set that misses purchases.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from podium_models.measure.classification import auc_by_row
from podium_models.measure.ranking import list_metrics

Floats = npt.NDArray[np.float64]

CUT = 10
METRICS = ("ndcg@10", "hr@10", "recall@10", "precision@10", "f1@10", "mrr", "auc")


def ranking_metrics(
    scores: Floats, relevant: npt.NDArray[np.bool_], bought: npt.NDArray[np.int64]
) -> dict[str, Floats]:
    """Measures [groups, candidates] scores against flags of the same shape, by metric name.

    ``bought`` [groups] int64 is at least 1; ``auc`` is NaN where nothing or all was bought.
    """
    lists = list_metrics(scores, relevant, bought, CUT)
    return dict(zip(METRICS, (*lists, auc_by_row(scores, relevant)), strict=True))
