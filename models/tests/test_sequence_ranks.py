"""Checks ranks of held-out items and their metrics against brute force."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from podium_models.bundle.vocabulary import Vocabulary
from podium_models.sequence.data.interactions import Interactions
from podium_models.sequence.data.padding import pad
from podium_models.sequence.evaluation.histories import held_out, history, sample
from podium_models.sequence.evaluation.measures import user_metrics
from podium_models.sequence.evaluation.ranks import Ranks, rank_held_out


def interactions(histories: list[list[int]], items: int = 8) -> Interactions:
    """Leave-one-out interactions of histories of item indices."""
    offsets = np.cumsum([0] + [len(one) for one in histories])
    ends = offsets[1:]
    lengths = np.diff(offsets)
    return Interactions(
        users=tuple(f"u{place}" for place in range(len(histories))),
        items=Vocabulary(tuple(f"i{place}" for place in range(items))),
        attributes=Vocabulary(()),
        offsets=offsets,
        train_ends=np.where(lengths >= 3, ends - 2, ends),
        validation_ends=np.where(lengths >= 3, ends - 1, ends),
        event_items=np.concatenate([np.asarray(one, dtype=np.int64) for one in histories]),
        event_times=np.concatenate([np.arange(len(one)) for one in histories]),
        attribute_offsets=np.zeros(items + 3, dtype=np.int64),
        attribute_values=np.zeros(0, dtype=np.int64),
        dense=np.zeros((items + 2, 0), dtype=np.float32),
        items_table=pl.DataFrame({"item": [f"i{place}" for place in range(items)]}),
        report={},
    )


def fixed(scores: list[float]):
    """A scorer that gives every user the same scores."""

    def score(item, mask):
        assert item.shape == mask.shape
        return np.tile(np.asarray(scores, dtype=np.float32), (len(item), 1))

    return score


def test_only_users_with_something_to_find_are_measured():
    data = interactions([[2, 3, 4], [5, 6], [7]])
    assert held_out(data, "test").users.tolist() == [0]
    assert held_out(data, "validation").users.tolist() == [0]
    assert history(data, 0, 2).tolist() == [2, 3]
    assert history(data, 0, 2, limit=1).tolist() == [3]


def test_history_padding_and_unknown_do_not_compete():
    data = interactions([[2, 3, 4]])
    #        pad  oov  2  3  4  5  6  7  8  9
    scores = [99, 98, 97, 96, 5, 6, 1, 1, 1, 1]
    ranks = rank_held_out(data, held_out(data, "test"), 50, fixed(scores))
    assert ranks.ranks.tolist() == [1]
    assert ranks.top[0, :2].tolist() == [5, 4]
    assert ranks.rankable.tolist() == [6]


def test_equal_scores_stand_in_order_of_the_items():
    data = interactions([[2, 3, 6], [2, 3, 4]])
    ranks = rank_held_out(data, held_out(data, "test"), 50, fixed([0.0] * 10))
    assert ranks.ranks.tolist() == [2, 0]


def test_a_target_seen_before_is_still_ranked():
    data = interactions([[2, 3, 2]])
    ranks = rank_held_out(data, held_out(data, "test"), 50, fixed([0, 0, 9, 8, 1, 1, 1, 1, 1, 1]))
    assert ranks.ranks.tolist() == [0]


def test_users_keep_their_places_whatever_their_history_lengths():
    data = interactions([[2, 3, 4, 5, 6], [2, 3, 9], [4, 5, 6, 7]])
    order = []

    def score(item, mask):
        order.append((item.shape, mask.sum(1).tolist()))
        return np.arange(10, dtype=np.float32)[None, :] * np.ones((len(item), 1), np.float32)

    ranks = rank_held_out(data, held_out(data, "test"), 3, score)
    assert order == [((3, 3), [2.0, 3.0, 3.0])]
    assert ranks.ranks.tolist() == [3, 0, 2]


def test_metrics_of_single_targets():
    ranks = Ranks(
        np.array([0, 4, 12]),
        np.arange(3),
        np.zeros((3, 10), np.int64),
        np.array([20, 20, 20]),
        np.zeros(3, np.float32),
    )
    values = user_metrics(ranks, (5, 10))
    assert values["hr@5"].tolist() == [1, 1, 0]
    assert values["ndcg@10"] == pytest.approx([1.0, 1 / np.log2(6), 0.0])
    assert values["mrr"] == pytest.approx([1.0, 0.2, 1 / 13])
    assert values["precision@5"] == pytest.approx([0.2, 0.2, 0.0])
    assert values["auc"] == pytest.approx([1.0, 1 - 4 / 19, 1 - 12 / 19])
    assert values["accuracy"].tolist() == [1, 0, 0]


def test_metrics_of_several_targets_against_brute_force():
    random = np.random.default_rng(5)
    for _ in range(50):
        items, count = 30, int(random.integers(1, 6))
        order = random.permutation(items)
        places = np.sort(random.permutation(items)[:count])
        relevant = np.zeros(items, bool)
        relevant[places] = True
        ranks = Ranks(
            places,
            np.zeros(count, np.int64),
            order[None, :10],
            np.array([items]),
            np.zeros(1, np.float32),
        )
        values = user_metrics(ranks, (10,))
        gains = relevant[:10] / np.log2(np.arange(10) + 2)
        ideal = (1 / np.log2(np.arange(min(10, count)) + 2)).sum()
        assert values["ndcg@10"][0] == pytest.approx(gains.sum() / ideal)
        assert values["recall@10"][0] == pytest.approx(relevant[:10].sum() / count)
        wins = sum((~relevant[place:]).sum() for place in places)
        assert values["auc"][0] == pytest.approx(wins / (count * (items - count)))


def test_sampling_users_is_repeatable():
    data = interactions([[2, 3, 4]] * 20)
    first, again = (sample(held_out(data, "test"), 5, 7) for _ in range(2))
    assert first.users.tolist() == again.users.tolist()
    assert len(first.users) == 5


def test_padding():
    assert pad([np.array([3, 4]), np.array([], dtype=np.int64)]).tolist() == [[3, 4], [0, 0]]
    assert pad([]).shape == (0, 1)
