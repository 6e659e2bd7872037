"""Holds AUC, F1, calibration and bootstrap intervals against definitions written out."""

from __future__ import annotations

import numpy as np
import pytest

from podium_models.measure.bootstrap import bootstrap, bootstrap_totals
from podium_models.measure.calibration import brier, expected_calibration_error, reliability
from podium_models.measure.classification import (
    Confusion,
    accuracy,
    auc,
    auc_by_row,
    best_threshold,
    confusion,
    macro_f1,
    micro_f1,
)


def test_auc_equals_counting_pairs():
    random = np.random.default_rng(0)
    scores = random.integers(0, 5, (20, 15)).astype(float)
    truth = random.random((20, 15)) < 0.3
    for group, value in enumerate(auc_by_row(scores, truth)):
        good, bad = scores[group][truth[group]], scores[group][~truth[group]]
        wins = (good[:, None] > bad).mean() + 0.5 * (good[:, None] == bad).mean()
        assert value == pytest.approx(wins)
    assert np.isnan(auc(np.ones(3), np.ones(3, bool)))
    assert np.isnan(auc(np.ones(0), np.ones(0, bool)))


def test_f1_equals_its_definition():
    random = np.random.default_rng(1)
    predicted, truth = random.random((50, 6)) < 0.4, random.random((50, 6)) < 0.3
    truth[:, 5] = predicted[:, 5] = False
    counts, each = confusion(predicted, truth), []
    for label in range(6):
        hits = (predicted[:, label] & truth[:, label]).sum()
        precision = hits / max(1, predicted[:, label].sum())
        recall = hits / max(1, truth[:, label].sum())
        both = precision + recall
        each.append(2 * precision * recall / both if both else 0.0)
    hits = (predicted & truth).sum()
    precision, recall = hits / predicted.sum(), hits / truth.sum()
    assert float(macro_f1(counts)) == pytest.approx(np.mean(each))
    assert float(micro_f1(counts)) == pytest.approx(2 * precision * recall / (precision + recall))


def test_the_threshold_with_the_best_f1_is_found():
    truth = np.array([[True, False], [True, False]])
    scores = np.array([[0.41, 0.4], [0.9, 0.1]])
    assert best_threshold(scores, truth) == pytest.approx(0.41)


def test_accuracy_counts_both_sides():
    assert accuracy(np.array([0.5, 0.49, 0.9]), np.array([True, True, False])) == pytest.approx(
        1 / 3
    )
    with pytest.raises(ValueError, match="nothing"):
        accuracy(np.array([]), np.array([], bool))


@pytest.mark.parametrize("equal_counts", [True, False])
def test_calibration_equals_its_definition(equal_counts):
    random = np.random.default_rng(2)
    probabilities = random.random(1000) ** 3
    truth = random.random(1000) < probabilities
    table = reliability(probabilities, truth, 10, equal_counts)
    edges = np.sort(probabilities)[::100] if equal_counts else np.arange(10) / 10
    place = np.searchsorted(edges, probabilities, side="right") - 1
    error = 0.0
    for one in range(10):
        mine = place == one
        error += mine.mean() * abs(probabilities[mine].mean() - truth[mine].mean())
    assert expected_calibration_error(table) == pytest.approx(error)
    assert table.size.sum() == 1000
    assert brier(probabilities, truth) == pytest.approx(((probabilities - truth) ** 2).mean())


def test_exact_probabilities_have_no_calibration_error():
    probabilities, truth = np.repeat([0.0, 1.0], 50), np.repeat([False, True], 50)
    assert expected_calibration_error(reliability(probabilities, truth)) == 0
    assert brier(probabilities, truth) == 0


@pytest.mark.parametrize("wrong", [[1.2], [-0.1], [np.nan], []])
def test_what_is_no_probability_is_refused(wrong):
    with pytest.raises(ValueError, match="probabilities"):
        brier(np.array(wrong), np.zeros(len(wrong), bool))


def test_bootstrap_is_repeatable_and_holds_the_mean():
    values = np.random.default_rng(2).normal(1.0, 1.0, 400)
    first, second = bootstrap(values, seed=5), bootstrap(values, seed=5)
    assert first == second
    assert first.low < first.mean < first.high
    assert first.high - first.low == pytest.approx(4 * 1.0 / 20, rel=0.2)
    with pytest.raises(ValueError, match="no shopper"):
        bootstrap(np.array([np.nan]), seed=1)


def test_bootstrap_of_totals_gives_the_mean_where_the_statistic_is_one():
    values = np.random.default_rng(4).normal(1.0, 1.0, 400)
    parts = np.stack([values, np.ones(400)], axis=1)
    ratio = bootstrap_totals(parts, lambda total: total[:, 0] / total[:, 1], seed=5)
    plain = bootstrap(values, seed=5)
    assert ratio == bootstrap_totals(parts, lambda total: total[:, 0] / total[:, 1], seed=5)
    assert ratio.mean == pytest.approx(plain.mean)
    assert [ratio.low, ratio.high] == pytest.approx([plain.low, plain.high], abs=0.02)
    with pytest.raises(ValueError, match="no shopper"):
        bootstrap_totals(np.empty((0, 2)), lambda total: total[:, 0], seed=1)


def test_bootstrap_of_totals_takes_f1_of_many_labels():
    parts = np.random.default_rng(5).integers(0, 5, (60, 3, 7)).astype(float)

    def statistic(total):
        return macro_f1(Confusion(total[:, 0], total[:, 1], total[:, 2]))

    found = bootstrap_totals(parts, statistic, seed=1, draws=300)
    assert found.low < found.mean < found.high
