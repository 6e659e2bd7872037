"""Holds BM25 and the metrics of judged lists against definitions written out."""

from __future__ import annotations

import itertools
import math

import numpy as np
import polars as pl
import pytest

from podium_models.text.data.prepared import Prepared, RatedList
from podium_models.text.evaluation.bm25 import SETTINGS, Index, bm25_scores, words
from podium_models.text.evaluation.lists import NDCG, measure_list, ndcg_at
from podium_models.text.evaluation.offline import BM25, BOTH, SHIPPED, gains
from podium_models.text.texts import SHORT, VIEWS

TITLES = [
    "Red bluetooth speaker",
    "Speaker speaker speaker stand",
    "USB-C cable 2 m",
    "Bluetooth headphones",
    "",
]


def listed(query, places, ratings, fold=0):
    """Returns a judged list."""
    return RatedList(query, np.array(places), np.array(ratings), fold)


def written_out(query, document, documents, k1, b):
    """Returns BM25 of one document, term by term."""
    mean = sum(len(one) for one in documents) / len(documents)
    score = 0.0
    for term in query:
        holding = sum(term in one for one in documents)
        rarity = math.log(1 + (len(documents) - holding + 0.5) / (holding + 0.5))
        often = document.count(term)
        if often == 0:
            continue
        score += rarity * often * (k1 + 1) / (often + k1 * (1 - b + b * len(document) / mean))
    return score


@pytest.mark.parametrize(("k1", "b"), [(0.4, 0.0), (1.2, 0.75), (2.0, 1.0)])
@pytest.mark.parametrize("query", ["bluetooth speaker", "SPEAKER", "usb c", "nothing here", "?"])
def test_bm25_is_what_the_formula_says(query, k1, b):
    documents = [words(one) for one in TITLES]
    found = Index(TITLES).score(listed(query, range(len(TITLES)), [0] * len(TITLES)), k1, b)
    wanted = [written_out(words(query), one, documents, k1, b) for one in documents]
    assert found == pytest.approx(wanted, abs=1e-12)


def test_bm25s_settings_are_chosen_on_the_other_folds():
    # In fold 1 a longer title is better, in fold 0 a shorter one: each fold gets the other's way.
    titles = ["cable", "cable with a long and winding name", "mouse", "mouse of some other kind"]
    table = pl.DataFrame({"item": list("abcd"), "title": titles, "brand": "", "description": ""})
    lists = (listed("cable", [0, 1], [3, 0]), listed("mouse", [2, 3], [0, 3], fold=1))
    scores = bm25_scores(Prepared(table, lists), SHORT)
    index = Index(titles)
    for place, other in ((0, 1), (1, 0)):
        reached = [
            ndcg_at(index.score(lists[other], *one), lists[other].ratings) for one in SETTINGS
        ]
        best = SETTINGS[int(np.argmax(reached))]
        assert scores[place] == pytest.approx(index.score(lists[place], *best))


def test_ndcg_is_what_the_definition_says():
    random = np.random.default_rng(2)
    for _ in range(20):
        ratings, scores = random.integers(0, 4, 14), random.normal(size=14)
        if not ratings.any():
            continue
        ranked = [ratings[n] for n in sorted(range(14), key=lambda n, s=scores: -s[n])]
        ideal = sorted(ratings, reverse=True)
        sums = [
            sum((2 ** int(r) - 1) / math.log2(place + 2) for place, r in enumerate(order[:10]))
            for order in (ranked, ideal)
        ]
        assert ndcg_at(scores, ratings) == pytest.approx(sums[0] / sums[1])


def test_the_ideal_order_is_the_best_of_all():
    ratings = np.array([0, 3, 1, 2])
    reached = {
        order: ndcg_at(-np.array(order), ratings) for order in itertools.permutations(range(4))
    }
    assert max(reached.values()) == pytest.approx(1.0)
    assert ndcg_at(ratings, ratings) == pytest.approx(1.0)
    assert min(reached.values()) < 0.6


def test_ties_stay_in_their_order():
    assert ndcg_at(np.zeros(2), np.array([3, 0])) == 1.0
    assert ndcg_at(np.zeros(2), np.array([0, 3])) == pytest.approx(1 / math.log2(3))


def test_a_list_where_nothing_is_relevant_is_not_measured():
    measured = measure_list(np.array([0.1, 0.2]), np.array([0, 1]))
    undefined = {name for name, value in measured.items() if math.isnan(value)}
    assert undefined == {"mrr", "precision@10", "recall@10", "f1@10", "auc"}
    assert math.isnan(ndcg_at(np.array([0.1, 0.2]), np.array([0, 0])))


def test_relevance_starts_at_two():
    scores, ratings = np.array([5.0, 4.0, 3.0, 2.0]), np.array([1, 2, 0, 3])
    measured = measure_list(scores, ratings)
    assert measured["mrr"] == 0.5
    assert measured["precision@10"] == 0.5
    assert measured["recall@10"] == 1.0
    assert measured["f1@10"] == pytest.approx(2 / 3)
    assert measured["auc"] == pytest.approx(1 / 4)


def test_gains_are_paired_and_of_both_views_together():
    random = np.random.default_rng(4)
    lexical = random.random((2, 30))
    values = {
        view: {BM25: {NDCG: lexical[n]}, SHIPPED: {NDCG: lexical[n] + (0.1, 0.3)[n]}}
        for n, view in enumerate(VIEWS)
    }
    found = gains(values)
    assert list(found) == [*VIEWS, BOTH]
    name = f"{SHIPPED} - {BM25}"
    assert [list(one) for one in found.values()] == [[name]] * 3
    assert [one[name].mean for one in found.values()] == pytest.approx([0.1, 0.3, 0.2])
    assert found[BOTH][name].high - found[BOTH][name].low < 1e-9
