"""Checks the household-weeks that are measured."""

from __future__ import annotations

import numpy as np

from podium_models.ranker.evaluation.baselines import frequency_scores, lifetime_frequency_scores
from podium_models.ranker.evaluation.groups import build_groups


def bought_in(prepared, household, week):
    """Lists the items of one household-week by walking over its events."""
    histories = prepared.histories
    start, stop = histories.offsets[household], histories.offsets[household + 1]
    events = zip(histories.items[start:stop], histories.weeks[start:stop], strict=True)
    return {int(item) for item, when in events if when == week}


def test_groups_are_all_active_household_weeks(prepared, config):
    groups = build_groups(prepared, config.split.test_weeks, 43)
    found = set(zip(groups.household.tolist(), groups.week.tolist(), strict=True))
    for household in range(len(prepared.histories.households)):
        for week in range(1, 54):
            bought = bought_in(prepared, household, week)
            assert ((household, week) in found) == (bool(bought) and 44 <= week <= 53)


def test_relevance_and_counts_equal_walking_over_events(prepared, config):
    groups = build_groups(prepared, config.split.test_weeks, 43)
    for place in range(len(groups.week)):
        bought = bought_in(prepared, groups.household[place], groups.week[place])
        candidates = groups.candidates(prepared)[place]
        assert groups.bought[place] == len(bought)
        assert groups.relevant[place].tolist() == [int(item) in bought for item in candidates]


def test_all_test_weeks_share_one_frozen_candidate_set(prepared, config):
    groups = build_groups(prepared, config.split.test_weeks, 43)
    for household in np.unique(groups.household):
        assert len(set(groups.pairs(prepared)[groups.household == household].tolist())) == 1


def test_frequency_orders_by_count_then_popularity(prepared, config):
    groups = build_groups(prepared, config.split.test_weeks, 43)
    popularity = prepared.features.popularity[43][groups.candidates(prepared)]
    count = prepared.pairs.own_count[groups.pairs(prepared)].astype(int)
    bounded = frequency_scores(prepared, groups, 43)
    whole = lifetime_frequency_scores(prepared, groups, 43)
    assert (np.floor(bounded) == count).all()
    assert (np.floor(whole) >= count).all()
    for place in range(len(groups.week)):
        wanted = np.lexsort((-popularity[place], -count[place]))
        assert np.argsort(-bounded[place], kind="stable").tolist() == wanted.tolist()
