"""Holds every feature against a definition written out event by event."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from made_up import made_up_journey

from podium_models.ranker.data.assemble import encoder_inputs, raw_columns
from podium_models.ranker.data.gaps import gap_days
from podium_models.ranker.data.histories import build_histories
from podium_models.ranker.data.labels import label_columns, label_count, label_of
from podium_models.ranker.data.signatures import LABEL_FEATURES
from podium_models.ranker.data.transforms import CANDIDATE_TRANSFORMS, Transform
from podium_models.ranker.data.user_item import count_and_age
from podium_models.ranker.data.visits import visits_at
from podium_models.ranker.prepare import number_items

NEVER = 365.0


def brute_force(keys, days, key):
    """Counts one key's events and finds the age of its latest by looking at every event."""
    same = [day for one, day in zip(keys, days, strict=True) if one == key]
    return len(same), max(days) - max(same) if same else NEVER


@pytest.mark.parametrize("events", [0, 1, 5, 60])
def test_counts_and_ages_equal_looking_at_every_event(events):
    random = np.random.default_rng(events)
    keys = random.integers(2, 22, events)
    days = np.sort(random.integers(100, 130, events))
    related = count_and_age(keys, days, 23, NEVER)
    for key in range(23):
        wanted = brute_force(keys.tolist(), days.tolist(), key)
        assert (float(related.events[key]), float(related.age[key])) == wanted


def test_label_columns_relate_the_bounded_history_to_every_label(prepared):
    visits = visits_at(np.array([0, 11, 5]), np.array([44, 44, 50]), 43)
    columns = label_columns(prepared, visits)
    for label, names in LABEL_FEATURES.items():
        mapped = label_of(prepared, label)
        for place, household in enumerate(visits.household):
            items, days = prepared.histories.recent(int(household), 43, 16)
            keys = mapped[items].tolist()
            for key in range(label_count(prepared, label)):
                wanted = brute_force(keys, days.tolist(), key)
                assert tuple(float(columns[name][place, key]) for name in names) == wanted


def test_candidates_take_the_values_of_their_labels(prepared):
    visits = visits_at(np.array([0, 3]), np.array([44, 45]), 43)
    chosen, columns = np.tile(np.arange(12), (2, 1)), label_columns(prepared, visits)
    raw = raw_columns(prepared, visits, chosen, columns)
    assert list(raw) == list(CANDIDATE_TRANSFORMS)
    for place in range(2):
        items = prepared.pairs.candidates[prepared.pairs.row[visits.household[place], 43]]
        for label, names in LABEL_FEATURES.items():
            mapped = label_of(prepared, label)
            for name in names:
                wanted = [columns[name][place, mapped[item]] for item in items]
                assert raw[name][place].tolist() == wanted


def item_purchases(prepared):
    """Returns the made-up purchases with item indices."""
    products = [int(name) for name in prepared.items.names]
    return number_items(made_up_journey().purchases, products)


def test_item_features_use_nothing_of_the_cutoff_weeks_future(prepared):
    purchases, features, cutoff = item_purchases(prepared), prepared.features, 20
    past = purchases.filter(pl.col("week") <= cutoff)
    for item in range(2, prepared.items.size):
        mine = past.filter(pl.col("item") == item)
        buyers = mine.filter(pl.col("week") > cutoff - 8).unique(["household", "week"]).height
        assert features.popularity[cutoff, item] == pytest.approx(buyers / 8, abs=1e-4)
        if mine.height == 0:
            continue
        last = mine.filter(pl.col("week") == mine["week"].max())
        price = last["shelf"].sum() / last["quantity"].sum()
        assert features.price[cutoff, item] == pytest.approx(price, abs=1e-4)
        given = 1 - mine["paid"].sum() / mine["shelf"].sum()
        assert features.discount[cutoff, item] == pytest.approx(given, abs=1e-4)


def test_an_item_bought_twice_on_a_day_is_one_event():
    purchases = pl.DataFrame(
        {
            "household": [1, 1, 1, 2],
            "item": [5, 4, 5, 5],
            "day": [10, 10, 10, 9],
            "week": [2, 2, 2, 2],
            "time": [30, 20, 10, 5],
        }
    )
    histories = build_histories(purchases)
    assert histories.items.tolist() == [5, 4, 5]
    assert histories.offsets.tolist() == [0, 2, 3]


def test_histories_end_with_the_cutoff_week_and_keep_the_latest(prepared):
    histories = prepared.histories
    for household in range(len(histories.households)):
        start, stop = histories.bounds(household, 30)
        assert (histories.weeks[start:stop] <= 30).all()
        assert stop == histories.offsets[household + 1] or histories.weeks[stop] > 30
        items, days = histories.recent(household, 30, 7)
        assert items.tolist() == histories.items[start:stop][-7:].tolist()
        assert (np.diff(days) >= 0).all()


def test_gaps_count_days_and_start_with_zero():
    assert gap_days(np.array([3, 3, 10])).tolist() == [0, 0, 7]
    assert gap_days(np.array([], dtype=np.int64)).tolist() == []


def test_encoder_inputs_are_right_padded_and_never_empty(prepared):
    newcomer = len(prepared.histories.households) - 1
    inputs = encoder_inputs(prepared, np.array([newcomer]), np.array([43]), 10)
    assert {name: values.shape for name, values in inputs.items()} == dict.fromkeys(inputs, (1, 1))
    assert all(values.sum() == 0 for values in inputs.values())
    both = encoder_inputs(prepared, np.array([newcomer, 0]), np.array([43, 43]), 10)
    assert both["mask"].sum(1).tolist() == [0, 10]
    assert both["gap"][1, 0] == 0


def test_display_and_mailer_are_of_the_target_week(prepared):
    visits = visits_at(np.array([0, 0]), np.array([44, 45]), 43)
    chosen = np.tile(np.arange(12), (2, 1))
    raw = raw_columns(prepared, visits, chosen, label_columns(prepared, visits))
    items = prepared.pairs.candidates[prepared.pairs.row[0, 43]]
    for name in ("display", "mailer"):
        grid = getattr(prepared.features, name)
        assert raw[name].tolist() == [grid[44][items].tolist(), grid[45][items].tolist()]
    assert raw["price"][0].tolist() == raw["price"][1].tolist()


def test_transforms_clip_before_the_logarithm():
    transform = Transform(default=0.0, low=0.0, high=10.0, log=True)
    values = np.array([-5.0, 0.0, 3.0, 99.0], dtype=np.float32)
    wanted = np.log1p(np.array([0.0, 0.0, 3.0, 10.0], dtype=np.float32))
    assert transform.apply(values).tolist() == wanted.tolist()
    for one in CANDIDATE_TRANSFORMS.values():
        assert one.low <= one.default <= one.high
