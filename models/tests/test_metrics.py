"""Holds the metrics against values worked out by hand and against definitions written out."""

from __future__ import annotations

import numpy as np
import pytest

from podium_models.measure.bootstrap import bootstrap
from podium_models.ranker.evaluation.metrics import CUT, auc, by_household, ranking_metrics

LOG2_3 = float(np.log2(3.0))


@pytest.mark.parametrize(
    ("scores", "relevant", "bought", "wanted"),
    [
        ([3, 2, 1], [1, 0, 0], 1, (1.0, 1.0, 1.0, 0.1, 1.0)),
        ([1, 3, 2], [0, 0, 1], 1, (1 / LOG2_3, 1.0, 1.0, 0.1, 0.5)),
        ([3, 2, 1], [1, 1, 0], 2, (1.0, 1.0, 1.0, 0.2, 1.0)),
        ([3, 2, 1], [0, 0, 0], 2, (0.0, 0.0, 0.0, 0.0, np.nan)),
        ([1, 1, 1], [0, 1, 0], 1, (1 / LOG2_3, 1.0, 1.0, 0.1, 0.5)),
    ],
)
def test_worked_examples(scores, relevant, bought, wanted):
    measured = ranking_metrics(
        np.array([scores], float), np.array([relevant], bool), np.array([bought])
    )
    _, _, recall, precision, _ = wanted
    both = recall + precision
    f1 = 2 * recall * precision / both if both else 0.0
    got = [values[0] for values in measured]
    assert got == pytest.approx([*wanted[:4], f1, wanted[4]], nan_ok=True)


def test_ideal_gain_counts_purchases_outside_the_candidates():
    inside = ranking_metrics(np.array([[1.0]]), np.array([[True]]), np.array([1]))
    outside = ranking_metrics(np.array([[1.0]]), np.array([[True]]), np.array([2]))
    assert outside.ndcg[0] == pytest.approx(inside.ndcg[0] / (1 + 1 / LOG2_3))


def test_auc_equals_counting_pairs():
    random = np.random.default_rng(0)
    scores = random.integers(0, 5, (20, 15)).astype(float)
    relevant = random.random((20, 15)) < 0.3
    for group, value in enumerate(auc(scores, relevant)):
        good, bad = scores[group][relevant[group]], scores[group][~relevant[group]]
        wins = (good[:, None] > bad).mean() + 0.5 * (good[:, None] == bad).mean()
        assert value == pytest.approx(wins)


def test_ndcg_equals_its_definition():
    random = np.random.default_rng(1)
    scores, relevant = random.random((30, 25)), random.random((30, 25)) < 0.4
    bought = np.maximum(relevant.sum(1) + random.integers(0, 4, 30), 1)
    measured = ranking_metrics(scores, relevant, bought)
    for group in range(30):
        ranked = relevant[group][np.argsort(-scores[group])][:CUT]
        gain = sum(1 / np.log2(place + 2) for place, hit in enumerate(ranked) if hit)
        ideal = sum(1 / np.log2(place + 2) for place in range(min(CUT, bought[group])))
        assert measured.ndcg[group] == pytest.approx(gain / ideal)


def test_households_weigh_the_same_whatever_their_weeks():
    values = np.array([1.0, 0.0, 0.0, 0.5, np.nan])
    assert by_household(values, np.array([3, 1, 1, 1, 3])).tolist() == pytest.approx([1 / 6, 1.0])
    assert np.isnan(by_household(np.array([np.nan]), np.array([9]))).all()


def test_bootstrap_is_repeatable_and_holds_the_mean():
    values = np.random.default_rng(2).normal(1.0, 1.0, 400)
    first, second = bootstrap(values, seed=5), bootstrap(values, seed=5)
    assert first == second
    assert first.low < first.mean < first.high
    assert first.high - first.low == pytest.approx(4 * 1.0 / 20, rel=0.2)
    with pytest.raises(ValueError, match="no household"):
        bootstrap(np.array([np.nan]), seed=1)
