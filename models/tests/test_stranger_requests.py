"""Checks the requests that the embedding of an unknown shopper is fitted to; needs no PyTorch."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from podium_models.bundle.vocabulary import FIRST
from podium_models.ranker.config import FIRST_CUTOFF
from podium_models.ranker.data.histories import Histories
from podium_models.ranker.data.transforms import CANDIDATE_TRANSFORMS
from podium_models.ranker.training.examples import ExampleSource
from podium_models.ranker.training.stranger_requests import StrangerSource, stranger_request

WEEK, CUTOFF = 20, 17


@pytest.fixture(scope="module")
def source(prepared, config):
    return ExampleSource(prepared, config.split)


def bought_in(histories, week):
    """Lists what each household that shops in a week buys, by walking over events."""
    found = []
    for household in range(len(histories.households)):
        start, stop = histories.offsets[household], histories.offsets[household + 1]
        events = zip(histories.items[start:stop], histories.weeks[start:stop], strict=True)
        items = {int(item) for item, when in events if when == week}
        found += [items] if items else []
    return found


def test_the_answer_is_the_share_of_the_weeks_shoppers(source, prepared):
    request = stranger_request(source, WEEK, CUTOFF)
    baskets = bought_in(prepared.histories, WEEK)
    for item, share in zip(request.rows["item"], request.bought, strict=True):
        assert share == pytest.approx(np.mean([int(item) in basket for basket in baskets]))
    for label, mapped in (
        ("category", prepared.category_of),
        ("department", prepared.department_of),
    ):
        for place, share in enumerate(request.interests[label]):
            wanted = [place in {int(mapped[item]) for item in basket} for basket in baskets]
            assert share == pytest.approx(np.mean(wanted))


def test_candidates_are_the_most_popular_and_nothing_own_is_known(source, prepared, config):
    request = stranger_request(source, WEEK, CUTOFF)
    popularity = prepared.features.popularity[CUTOFF]
    best = np.sort(popularity[FIRST:])[::-1][: config.data.candidates]
    assert popularity[request.rows["item"]].tolist() == best.tolist()
    for name in ("own_count", "own_age", "category_count", "department_age"):
        transform = CANDIDATE_TRANSFORMS[name]
        missing = transform.apply(np.full(len(best), transform.default, np.float32))
        assert request.rows[name].tolist() == missing.tolist()
    assert request.week == prepared.calendar[WEEK]


def test_display_and_mailer_are_of_the_week_all_else_of_the_cutoff(source, prepared):
    features = prepared.features
    marked = {
        name: np.broadcast_to(
            np.arange(len(values), dtype=np.float32)[:, None] / 100, values.shape
        ).copy()
        for name, values in vars(features).items()
        if name != "popularity"
    }
    other = dataclasses.replace(source.prepared, features=dataclasses.replace(features, **marked))
    copied = ExampleSource.__new__(ExampleSource)
    copied.__dict__ |= source.__dict__ | {"prepared": other}
    request = stranger_request(copied, WEEK, CUTOFF)
    for name, when in (
        ("display", WEEK),
        ("mailer", WEEK),
        ("price", CUTOFF),
        ("discount", CUTOFF),
    ):
        wanted = CANDIDATE_TRANSFORMS[name].apply(np.array([when / 100], np.float32))
        assert np.unique(request.rows[name]).tolist() == wanted.tolist()


def test_no_later_purchase_changes_a_request(source, prepared, config):
    histories = prepared.histories
    later = histories.weeks > config.split.last_train_week
    items = np.where(later, FIRST, histories.items)
    assert (items != histories.items).any()
    other = dataclasses.replace(
        prepared,
        histories=Histories(
            histories.households, histories.offsets, items, histories.days, histories.weeks
        ),
    )
    left, right = (
        stranger_request(one, WEEK, CUTOFF) for one in (source, ExampleSource(other, config.split))
    )
    assert left.bought.tolist() == right.bought.tolist()
    for label, shares in left.interests.items():
        assert shares.tolist() == right.interests[label].tolist()


def test_requests_are_drawn_from_training_weeks_with_the_lags_of_training(source, config):
    strangers, split = StrangerSource(source), config.split
    for seed in range(30):
        drawn = strangers.draw(1000, np.random.default_rng(seed))
        assert len(drawn) == len(strangers.weeks)
    assert min(strangers.weeks) >= split.first_train_week
    assert max(strangers.weeks) <= split.last_train_week
    for week, cutoff in strangers.made:
        assert 1 <= week - cutoff <= split.max_lag_weeks
        assert cutoff >= FIRST_CUTOFF
    assert len({week - cutoff for week, cutoff in strangers.made}) == split.max_lag_weeks


def test_the_same_seed_draws_the_same(source):
    first, second = (StrangerSource(source).draw(5, np.random.default_rng(3)) for _ in range(2))
    assert [one.week for one in first] == [one.week for one in second]
    assert [one.bought.tolist() for one in first] == [one.bought.tolist() for one in second]
