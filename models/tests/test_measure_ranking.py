"""Holds ranking metrics, sampled negatives and coverage against definitions written out."""

from __future__ import annotations

import math

import numpy as np
import pytest

from podium_models.measure.averages import by_owner
from podium_models.measure.coverage import catalogue_coverage, exposure, gini
from podium_models.measure.negatives import sample_negatives
from podium_models.measure.ranking import list_metrics, rank_metrics, target_ranks


def test_one_relevant_item_by_its_rank():
    measured = rank_metrics(np.array([0, 1, 9, 10]), [1, 10])
    assert measured["hr@1"].tolist() == [1, 0, 0, 0]
    assert measured["hr@10"].tolist() == [1, 1, 1, 0]
    wanted = [1, 1 / math.log2(3), 1 / math.log2(11), 0]
    assert measured["ndcg@10"].tolist() == pytest.approx(wanted)
    assert measured["mrr"].tolist() == pytest.approx([1, 1 / 2, 1 / 10, 1 / 11])
    assert all(len(values) == 0 for values in rank_metrics(np.array([], int), [5]).values())


@pytest.mark.parametrize(("ranks", "cuts"), [([-1], [10]), ([0], [0])])
def test_nonsense_ranks_and_cuts_are_refused(ranks, cuts):
    with pytest.raises(ValueError, match=r"rank|cut"):
        rank_metrics(np.array(ranks), cuts)


def test_ranks_equal_sorting_with_hidden_items_and_ties():
    random = np.random.default_rng(0)
    scores = random.integers(0, 6, (40, 30)).astype(np.float32)
    targets, hidden = random.integers(0, 30, 40), random.random((40, 30)) < 0.3
    ranks = target_ranks(scores, targets, hidden)
    for row, target in enumerate(targets):
        kept = [c for c in range(30) if c == target or not hidden[row, c]]
        ordered = sorted(kept, key=lambda column: (-scores[row, column], column))
        assert ranks[row] == ordered.index(target)
    assert target_ranks(np.array([[1.0, 2.0]]), np.array([0])).tolist() == [1]


def test_a_score_that_is_nan_is_refused():
    with pytest.raises(ValueError, match="NaN"):
        target_ranks(np.array([[np.nan, 1.0]]), np.array([1]))


@pytest.mark.parametrize("cut", [1, 5, 10, 40])
def test_list_metrics_equal_their_definitions(cut):
    random = np.random.default_rng(1)
    scores, relevant = random.random((30, 25)), random.random((30, 25)) < 0.2
    wanted = np.maximum(relevant.sum(1) + random.integers(0, 4, 30), 1)
    measured = list_metrics(scores, relevant, wanted, cut)
    for group in range(30):
        ranked = relevant[group][np.argsort(-scores[group])]
        hits = int(ranked[:cut].sum())
        gain = sum(1 / math.log2(place + 2) for place, hit in enumerate(ranked[:cut]) if hit)
        ideal = sum(1 / math.log2(place + 2) for place in range(min(cut, wanted[group])))
        first = next((place for place, hit in enumerate(ranked) if hit), None)
        precision, recall = hits / cut, hits / wanted[group]
        assert measured.ndcg[group] == pytest.approx(gain / ideal)
        assert measured.hit_rate[group] == (hits > 0)
        assert measured.precision[group] == pytest.approx(precision)
        assert measured.recall[group] == pytest.approx(recall)
        f1 = 2 * precision * recall / (precision + recall) if hits else 0
        assert measured.f1[group] == pytest.approx(f1)
        assert measured.mrr[group] == pytest.approx(0 if first is None else 1 / (first + 1))


def test_a_list_without_anything_relevant_is_refused():
    with pytest.raises(ValueError, match="nothing relevant"):
        list_metrics(np.ones((1, 2)), np.zeros((1, 2), bool), np.array([0]), 10)


def test_both_ways_to_measure_agree():
    random = np.random.default_rng(3)
    scores, targets = random.random((50, 80)), random.integers(0, 80, 50)
    relevant = np.arange(80) == targets[:, None]
    lists = list_metrics(scores, relevant, np.ones(50, int), 10)
    ranks = rank_metrics(target_ranks(scores, targets), [10])
    assert lists.ndcg == pytest.approx(ranks["ndcg@10"])
    assert lists.hit_rate == pytest.approx(ranks["hr@10"])
    assert lists.mrr == pytest.approx(ranks["mrr"])


def test_negatives_are_distinct_new_and_repeatable():
    taken = [np.array([1, 2, 3]), np.array([], int), np.arange(1, 16)]
    items = np.arange(1, 21)
    drawn = sample_negatives(taken, items, 5, seed=9)
    assert np.array_equal(drawn, sample_negatives(taken, items, 5, seed=9))
    assert not np.array_equal(drawn, sample_negatives(taken, items, 5, seed=10))
    for own, row in zip(taken, drawn, strict=True):
        assert len(set(row.tolist())) == 5
        assert not set(row.tolist()) & set(own.tolist())
        assert set(row.tolist()) <= set(items.tolist())
    with pytest.raises(ValueError, match="fewer than 6"):
        sample_negatives(taken, items, 6, seed=9)


def test_negatives_follow_their_weights():
    weights = np.array([1.0, 0.0, 9.0, 0.0])
    drawn = sample_negatives([np.array([], int)] * 4000, np.arange(4), 1, 1, weights)
    share = np.bincount(drawn.reshape(-1), minlength=4) / 4000
    assert share.tolist() == pytest.approx([0.1, 0, 0.9, 0], abs=0.03)


def test_coverage_and_gini():
    counts = exposure(np.array([[0, 1], [1, 1]]), 4)
    assert counts.tolist() == [1, 3, 0, 0]
    assert catalogue_coverage(counts) == 0.5
    difference = np.abs(counts[:, None] - counts).mean()
    assert gini(counts) == pytest.approx(difference / (2 * counts.mean()))
    assert gini(np.full(7, 3)) == pytest.approx(0.0)
    assert gini(np.zeros(3)) == 0.0
    with pytest.raises(ValueError, match="empty"):
        catalogue_coverage(np.array([], int))
    with pytest.raises(ValueError, match="negative"):
        gini(np.array([-1, 2]))


def test_owners_weigh_the_same_whatever_their_groups():
    values = np.array([1.0, 0.0, 0.0, 0.5, np.nan])
    assert by_owner(values, np.array([3, 1, 1, 1, 3])).tolist() == pytest.approx([1 / 6, 1.0])
    assert np.isnan(by_owner(np.array([np.nan]), np.array([9]))).all()
