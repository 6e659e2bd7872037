"""Checks how candidates are chosen."""

from __future__ import annotations

import numpy as np

from podium_models.ranker.data.candidates import choose_candidates, popularity_order

POPULAR = popularity_order(np.array([9, 9, 5, 7, 7, 1, 3], dtype=np.float32))


def test_popularity_leaves_out_padding_and_unknown_and_breaks_ties_by_index():
    assert POPULAR.tolist() == [3, 4, 2, 6, 5]


def test_own_items_come_first_by_frequency_then_popularity():
    chosen = choose_candidates(np.array([5, 2, 6, 6, 5, 2, 5]), POPULAR, own_limit=3, total=5)
    assert chosen.tolist() == [5, 2, 6, 3, 4]


def test_own_items_are_bounded_and_may_return_as_popular_ones():
    chosen = choose_candidates(np.array([5, 5, 2, 6]), POPULAR, own_limit=1, total=4)
    assert chosen.tolist() == [5, 3, 4, 2]


def test_an_empty_history_gets_the_popular_items():
    assert choose_candidates(np.array([], dtype=np.int64), POPULAR, 3, 2).tolist() == [3, 4]


def test_unknown_items_are_never_candidates():
    assert 1 not in choose_candidates(np.array([1, 1, 5]), POPULAR, 3, 5)


def test_candidates_do_not_depend_on_the_future(prepared):
    pairs, histories = prepared.pairs, prepared.histories
    row = pairs.row[:, 43]
    for household in range(len(histories.households)):
        past, _ = histories.recent(household, 43, 16)
        popular = popularity_order(prepared.features.popularity[43])
        assert pairs.candidates[row[household]].tolist() == (
            choose_candidates(past, popular, 5, 12).tolist()
        )
