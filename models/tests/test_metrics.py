"""Checks the metrics of a household-week's candidates against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from podium_models.ranker.evaluation.metrics import METRICS, ranking_metrics

LOG2_3 = float(np.log2(3.0))


@pytest.mark.parametrize(
    ("scores", "relevant", "bought", "wanted"),
    [
        ([3, 2, 1], [1, 0, 0], 1, (1.0, 1.0, 1.0, 0.1, 1.0, 1.0)),
        ([1, 3, 2], [0, 0, 1], 1, (1 / LOG2_3, 1.0, 1.0, 0.1, 0.5, 0.5)),
        ([3, 2, 1], [1, 1, 0], 2, (1.0, 1.0, 1.0, 0.2, 1.0, 1.0)),
        ([3, 2, 1], [0, 0, 0], 2, (0.0, 0.0, 0.0, 0.0, 0.0, np.nan)),
        ([1, 1, 1], [0, 1, 0], 1, (1 / LOG2_3, 1.0, 1.0, 0.1, 0.5, 0.5)),
    ],
)
def test_worked_examples(scores, relevant, bought, wanted):
    measured = ranking_metrics(
        np.array([scores], float), np.array([relevant], bool), np.array([bought])
    )
    recall, precision = wanted[2:4]
    both = recall + precision
    f1 = 2 * recall * precision / both if both else 0.0
    assert tuple(measured) == METRICS
    got = [values[0] for values in measured.values()]
    assert got == pytest.approx([*wanted[:4], f1, *wanted[4:]], nan_ok=True)


def test_ideal_gain_counts_purchases_outside_the_candidates():
    inside, outside = (
        ranking_metrics(np.array([[1.0]]), np.array([[True]]), np.array([bought]))["ndcg@10"][0]
        for bought in (1, 2)
    )
    assert outside == pytest.approx(inside / (1 + 1 / LOG2_3))
