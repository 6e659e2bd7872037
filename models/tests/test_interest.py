"""Checks what the interest heads are compared with, and how they are asked."""

from __future__ import annotations

import numpy as np
import pytest

from podium_models.measure.classification import confusion, macro_f1, micro_f1
from podium_models.ranker.data.labels import label_of
from podium_models.ranker.data.signatures import LABELS
from podium_models.ranker.evaluation.groups import build_groups
from podium_models.ranker.evaluation.interest import (
    bought_labels,
    candidate_labels,
    overall_rates,
    own_events,
    own_rates,
    probe_items,
    probe_rows,
)
from podium_models.ranker.evaluation.interest_report import (
    household_counts,
    macro,
    micro,
    tune,
)


@pytest.fixture(scope="module")
def groups(prepared, config):
    return build_groups(prepared, config.split.test_weeks, 43)


def events_of(prepared, household, first=1, last=99):
    """Lists (week, item) of a household by walking over its events."""
    histories = prepared.histories
    start, stop = histories.offsets[household], histories.offsets[household + 1]
    both = zip(histories.weeks[start:stop], histories.items[start:stop], strict=True)
    return [(int(week), int(item)) for week, item in both if first <= week <= last]


@pytest.mark.parametrize("label", LABELS)
def test_truth_equals_walking_over_events(prepared, groups, label):
    truth, mapped = bought_labels(prepared, groups, label), label_of(prepared, label)
    for place in range(len(groups.week)):
        week = int(groups.week[place])
        items = [item for _, item in events_of(prepared, groups.household[place], week, week)]
        assert set((np.nonzero(truth[place])[0] + 2).tolist()) == set(mapped[items].tolist())


@pytest.mark.parametrize("label", LABELS)
def test_rivals_count_the_past_alone(prepared, groups, label):
    mapped, overall = label_of(prepared, label), overall_rates(prepared, label, 43)
    plain = own_rates(prepared, groups, label, 43, 0.0)
    smooth = own_rates(prepared, groups, label, 43, 2.0)
    counts = own_events(prepared, groups, label)
    for place in range(0, len(groups.week), 7):
        past = events_of(prepared, groups.household[place], last=43)[-16:]
        weeks = {week for week, _ in past}
        for key in range(plain.shape[1]):
            mine = [(week, item) for week, item in past if mapped[item] == key + 2]
            hits = len({week for week, _ in mine})
            assert counts[place, key] == len(mine)
            if weeks:
                assert plain[place, key] == pytest.approx(hits / len(weeks))
                wanted = (hits + 2 * overall[key]) / (len(weeks) + 2)
                assert smooth[place, key] == pytest.approx(wanted)
            else:
                assert plain[place, key] == smooth[place, key] == overall[key]


@pytest.mark.parametrize("label", LABELS)
def test_every_label_is_asked_about_by_its_most_popular_item(prepared, label):
    items, popularity = probe_items(prepared, label, 43), prepared.features.popularity[43]
    mapped = label_of(prepared, label)
    assert mapped[items].tolist() == list(range(2, mapped.max() + 1))
    for item in items:
        alike = np.nonzero(mapped == mapped[item])[0]
        assert popularity[item] == popularity[alike].max()


def test_probes_hold_the_label_features_of_candidates(prepared, groups):
    from podium_models.ranker.data.assemble import ranker_rows
    from podium_models.ranker.data.labels import label_columns

    visits = groups.visits.take(np.array([3]))
    chosen = np.arange(12)[None]
    items = groups.candidates(prepared)[3].astype(np.int64)
    wanted = ranker_rows(prepared, visits, chosen, label_columns(prepared, visits))
    found = probe_rows(prepared, visits, items)
    assert list(found) == list(wanted)
    for name in ("item", "category", "department_count", "department_age", "category_age"):
        assert found[name].tolist() == wanted[name].tolist()
    present = candidate_labels(prepared, groups, "department")[3]
    assert set(np.nonzero(present)[0] + 2) == set(prepared.department_of[items].tolist())


def test_household_counts_add_up_to_f1_of_all():
    random = np.random.default_rng(0)

    class Owned:
        household = random.integers(0, 9, 80)

    predicted, truth = random.random((80, 5)) < 0.4, random.random((80, 5)) < 0.3
    total = household_counts(predicted, truth, Owned).sum(0)
    counts = confusion(predicted, truth)
    assert float(micro(total.sum(1, keepdims=True)[None])[0]) == pytest.approx(micro_f1(counts))
    assert float(macro(total[None])[0]) == pytest.approx(macro_f1(counts))


def test_thresholds_separate_what_can_be_separated():
    truth = np.random.default_rng(1).random((200, 3)) < np.array([0.5, 0.1, 0.9])
    scores = truth * 0.2 + np.array([0.1, 0.5, 0.3])
    found = tune(scores, truth)
    assert ((scores >= found.by_label) == truth).all()
