"""Checks how shoppers of whom little is known are measured; needs no PyTorch."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from podium_models.cli import main
from podium_models.ranker.commands import counts_of
from podium_models.ranker.data.assemble import encoder_inputs
from podium_models.ranker.data.histories import Histories
from podium_models.ranker.data.labels import label_columns
from podium_models.ranker.evaluation import newcomers
from podium_models.ranker.evaluation.groups import held_out_groups
from podium_models.ranker.evaluation.newcomers import (
    BASKET,
    ITEM,
    Known,
    Without,
    cases,
    cut_groups,
    cut_histories,
    cut_prepared,
    known_tables,
    measure_known,
)
from podium_models.settings import write_config

CUTOFF = 43


class CountingScorer:
    """Embeds by the number of events and scores by the own count, then the item."""

    def embed(self, inputs):
        """Counts events."""
        return inputs["mask"].sum(1)[:, None, None].repeat(2, axis=2)

    def rank(self, embedding, week, rows):
        """Scores by count and item."""
        assert len(week) == len(embedding)
        score = rows["own_count"] * 1000 + rows["item"] + embedding[rows["user_index"], 0, 0]
        return score.astype(np.float32), score, score


def events_of(histories, household):
    start, stop = histories.offsets[household], histories.offsets[household + 1]
    parts = (histories.items, histories.days, histories.weeks)
    return list(zip(*(one[start:stop].tolist() for one in parts), strict=True))


@pytest.mark.parametrize("count", [0, 1, 3, 1000])
@pytest.mark.parametrize("unit", [BASKET, ITEM])
def test_the_latest_purchases_up_to_the_cutoff_stay(prepared, count, unit):
    cut = cut_histories(prepared.histories, CUTOFF, Known(count, unit))
    assert cut.offsets[0] == 0
    assert cut.offsets[-1] == len(cut.items) == len(cut.days) == len(cut.weeks)
    for household in range(len(cut.households)):
        past = [one for one in events_of(prepared.histories, household) if one[2] <= CUTOFF]
        if unit == BASKET:
            days = sorted({day for _, day, _ in past})[
                max(0, len({d for _, d, _ in past}) - count) :
            ]
            wanted = [one for one in past if one[1] in days] if count else []
        else:
            wanted = past[len(past) - min(count, len(past)) :]
        assert events_of(cut, household) == wanted


def test_nothing_known_gives_everyone_the_popular_candidates_and_no_own_features(prepared, config):
    cut, groups = (
        cut_prepared(prepared, CUTOFF, Known(0, BASKET)),
        held_out_groups(prepared, config),
    )
    mine = cut_groups(prepared, cut, groups)
    popularity = prepared.features.popularity[CUTOFF]
    best = np.sort(popularity)[::-1][: config.data.candidates]
    for candidates in mine.candidates(cut):
        assert popularity[candidates].tolist() == best.tolist()
    rows = cut.pairs.row[groups.household, CUTOFF]
    assert not cut.pairs.own_count[rows].any()
    never = config.data.never_bought_days
    assert (cut.pairs.own_age[rows] == never).all()
    labels = label_columns(cut, mine.visits)
    assert not labels["category_count"].any()
    assert (labels["category_age"] == never).all()
    assert not encoder_inputs(cut, mine.household, mine.visits.cutoff, 10)["mask"].any()


def test_whatever_is_cut_away_changes_no_input(prepared):
    """Rewrites everything but the last basket: the request stays the same, byte for byte."""
    histories = prepared.histories
    other_items = histories.items.copy()
    for household in range(len(histories.households)):
        start, stop = histories.bounds(household, CUTOFF)
        if stop > start:
            old = histories.days[start:stop] < histories.days[stop - 1]
            other_items[start:stop][old] = 2
    other = dataclasses.replace(
        prepared,
        histories=Histories(
            histories.households, histories.offsets, other_items, histories.days, histories.weeks
        ),
    )
    left, right = (cut_prepared(one, CUTOFF, Known(1, BASKET)) for one in (prepared, other))
    for part in ("histories", "pairs"):
        for field in dataclasses.fields(getattr(left, part)):
            values = [getattr(getattr(one, part), field.name) for one in (left, right)]
            assert np.array_equal(*values)
    assert (other_items != histories.items).any()


def test_what_was_bought_still_comes_from_the_whole_history(prepared, config):
    groups = held_out_groups(prepared, config)
    cut = cut_prepared(prepared, CUTOFF, Known(1, ITEM))
    mine = cut_groups(prepared, cut, groups)
    assert np.array_equal(mine.bought, groups.bought)
    for place in range(0, len(groups.week), 7):
        events = events_of(prepared.histories, groups.household[place])
        bought = {item for item, _, week in events if week == groups.week[place]}
        candidates = mine.candidates(cut)[place]
        assert mine.relevant[place].tolist() == [int(item) in bought for item in candidates]


def test_cases_count_baskets_and_items_and_nothing_once():
    assert [str(one) for one in cases([0, 1, 3])] == [
        "nothing known", "1 basket", "3 baskets", "1 item", "3 items",
    ]  # fmt: skip
    assert [str(one) for one in cases([2])] == ["2 baskets", "2 items"]


def test_a_scorer_is_kept_from_embedding_week_and_promotions():
    seen = {}

    class Recorder(CountingScorer):
        def rank(self, embedding, week, rows):
            """Notes what it is given."""
            seen.update(embedding=embedding, week=week, **rows)
            return (week,)

    rows = {name: np.ones(3, np.float32) for name in ("display", "mailer", "price")}
    one = Without(Recorder(), np.full((1, 2), 5.0, np.float32), week=True, promotions=True)
    embedding = one.embed({"mask": np.ones((4, 2), np.float32)})
    assert embedding.shape == (4, 1, 2)
    assert (embedding == 5.0).all()
    one.rank(embedding, np.full(4, 44.0, np.float32), rows)
    assert not seen["week"].any()
    assert not seen["display"].any()
    assert not seen["mailer"].any()
    assert seen["price"].all()
    assert rows["display"].all()


@pytest.mark.parametrize("known", [Known(0, BASKET), Known(1, BASKET), Known(3, ITEM)], ids=str)
def test_every_method_is_measured_and_compared(prepared, config, known):
    groups = held_out_groups(prepared, config)
    found = measure_known(CountingScorer(), prepared, groups, known, config)
    assert found["households"] == len(np.unique(groups.household))
    assert set(found["gains"]) == set(found["metrics"]) - {"grocery-ranker"}
    assert {"popularity", newcomers.POPULARITY_OF_ALL} < set(found["gains"])
    assert ("own frequency" in found["gains"]) == (known.count > 0)
    assert set(found["weeks_ahead"]) == set(found["gains"])
    assert max(found["weeks_ahead"].values()) <= found["target_weeks"] == 10
    if known.count == 0:
        assert found["events_known"] == 0
        assert found["households_without_events"] == found["households"]
    text = known_tables({str(known): found})
    assert text.count("| popularity |") == 3  # its own gains leave it out


def test_strangers_scored_by_week_are_those_scored_one_by_one(prepared, config):
    groups = held_out_groups(prepared, config)
    known = Known(0, BASKET)
    cut = cut_prepared(prepared, CUTOFF, known)
    mine = cut_groups(prepared, cut, groups)
    together = newcomers.score_cut(CountingScorer(), cut, mine, known, 10)
    singly = newcomers.score_groups(CountingScorer(), cut, mine, 10)["purchase"]
    assert np.array_equal(together, singly)


def test_popularity_of_all_weeks_counts_household_weeks(prepared):
    candidates = np.arange(2, prepared.items.size)[None, :]
    counts = newcomers.popularity_of_all(prepared, candidates, CUTOFF)[0]
    for item, found in zip(candidates[0], counts, strict=True):
        weeks = {
            (household, week)
            for household in range(len(prepared.histories.households))
            for one, _, week in events_of(prepared.histories, household)
            if one == item and week <= CUTOFF
        }
        assert found == len(weeks)


@pytest.mark.parametrize("text", ["", "1,", "one", "-1", "1.5"])
def test_counts_that_are_no_whole_numbers_are_refused(text):
    with pytest.raises(ValueError, match="--known-purchases"):
        counts_of(text)


def test_counts_are_sorted_and_different():
    assert counts_of("3,0,3,1") == [0, 1, 3]


def test_a_server_is_not_asked_about_hardly_known_shoppers(tmp_path, capsys, config):
    write_config(tmp_path, "ranker", config)
    arguments = ["evaluate", "--run", str(tmp_path), "--known-purchases", "0", "--target", "x:1"]
    assert main(arguments) == 1
    assert "--known-purchases is measured offline" in capsys.readouterr().err
