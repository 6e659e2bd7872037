"""Asks the interest heads about every department and category, and their rivals too."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from podium_models.bundle.vocabulary import FIRST
from podium_models.ranker.data.assemble import Arrays, week_inputs
from podium_models.ranker.data.labels import label_columns, label_count, label_of
from podium_models.ranker.data.prepared import Prepared
from podium_models.ranker.data.signatures import LABEL_FEATURES, LABELS, RANKER_OUTPUTS
from podium_models.ranker.data.transforms import CANDIDATE_TRANSFORMS
from podium_models.ranker.data.visits import Visits
from podium_models.ranker.evaluation.groups import Bought, Groups
from podium_models.ranker.evaluation.scoring import BATCH, Scorer, embed_households, progress

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

PRIOR_WEEKS = 4.0
"""Weeks of everybody's rate that the smoothed own rate starts from; chosen on validation."""


def probe_items(prepared: Prepared, label: str, cutoff: int) -> Ints:
    """Returns the most popular item of each label, [labels - 2] int64: whom to ask about it."""
    popular = np.argsort(-prepared.features.popularity[cutoff], kind="stable")
    popular = popular[popular >= FIRST]
    labels, first = np.unique(label_of(prepared, label)[popular], return_index=True)
    items = np.zeros(label_count(prepared, label), dtype=np.int64)
    items[labels] = popular[first]
    return items[FIRST:]


def probe_rows(prepared: Prepared, visits: Visits, items: Ints) -> Arrays:
    """Builds row inputs for the same ``items`` [n] for every visit, each [visits * n].

    An interest depends on the item's label and the history alone, so all other features stand at
    their defaults.
    """
    count = len(visits.household)
    labels = label_columns(prepared, visits)
    rows: Arrays = {
        "user_index": np.repeat(np.arange(count, dtype=np.int64), len(items)),
        "item": np.tile(items, count),
        "category": np.tile(prepared.category_of[items], count),
    }
    for name, transform in CANDIDATE_TRANSFORMS.items():
        rows[name] = np.full(count * len(items), transform.default, dtype=np.float32)
    for label, names in LABEL_FEATURES.items():
        for name in names:
            rows[name] = labels[name][:, label_of(prepared, label)[items]].reshape(-1)
    for name, transform in CANDIDATE_TRANSFORMS.items():
        rows[name] = transform.apply(rows[name])
    return rows


def score_interests(
    scorer: Scorer, prepared: Prepared, groups: Groups, max_length: int
) -> dict[str, Floats]:
    """Returns probabilities by sort of label, [groups, labels - 2] float64."""
    cutoff = int(groups.visits.cutoff[0])
    probes = {label: probe_items(prepared, label, cutoff) for label in LABELS}
    items, bounds = np.concatenate(list(probes.values())), len(probes[LABELS[0]])
    embedding = embed_households(scorer, prepared, groups.visits, max_length)
    parts: dict[str, list[Floats]] = {label: [] for label in LABELS}
    for at in progress(len(groups.week), "interests"):
        visits = groups.visits.take(slice(at, at + BATCH))
        rows = probe_rows(prepared, visits, items)
        week = week_inputs(prepared, visits.week)
        heads = scorer.rank(embedding[at : at + BATCH], week, rows)
        named = dict(zip(RANKER_OUTPUTS, heads, strict=True))
        for label, mine in zip(LABELS, (slice(0, bounds), slice(bounds, None)), strict=True):
            logits = named[f"{label}_interest"].reshape(len(week), -1)[:, mine]
            parts[label].append(1.0 / (1.0 + np.exp(-logits.astype(np.float64))))
    return {label: np.concatenate(found) for label, found in parts.items()}


def bought_labels(prepared: Prepared, groups: Groups, label: str) -> Flags:
    """Tells which labels each group bought: [groups, labels - 2]."""
    bought = Bought(prepared.histories, label_of(prepared, label), label_count(prepared, label))
    return bought.table(groups.household, groups.week)[:, FIRST:]


def candidate_labels(prepared: Prepared, groups: Groups, label: str) -> Flags:
    """Tells which labels some candidate of each group has: [groups, labels - 2]."""
    found = np.zeros((len(groups.week), label_count(prepared, label)), dtype=bool)
    mine = label_of(prepared, label)[groups.candidates(prepared)]
    np.put_along_axis(found, mine, True, axis=1)
    return found[:, FIRST:]


def own_events(prepared: Prepared, groups: Groups, label: str) -> Floats:
    """Counts each household's bounded history by label: [groups, labels - 2]."""
    households, first, place = np.unique(groups.household, return_index=True, return_inverse=True)
    columns = label_columns(prepared, groups.visits.take(first))
    assert len(households) == len(first)
    counts: Floats = columns[LABEL_FEATURES[label][0]][place].astype(np.float64)
    return counts[:, FIRST:]


def overall_rates(prepared: Prepared, label: str, cutoff: int) -> Floats:
    """Returns the share of shopping weeks up to the cutoff that hold the label: [labels - 2]."""
    histories = prepared.histories
    owner = np.repeat(np.arange(len(histories.households)), np.diff(histories.offsets))
    past = histories.weeks <= cutoff
    weeks = np.unique(np.stack([owner[past], histories.weeks[past]]), axis=1).shape[1]
    mine = label_of(prepared, label)[histories.items[past]]
    pairs = np.unique(np.stack([owner[past], histories.weeks[past], mine]), axis=1)
    counts = np.bincount(pairs[2], minlength=label_count(prepared, label))
    rates: Floats = counts[FIRST:] / max(1, weeks)
    return rates


def own_rates(prepared: Prepared, groups: Groups, label: str, cutoff: int, prior: float) -> Floats:
    """Returns the share of a household's own shopping weeks that hold the label.

    Out of its bounded history, started from ``prior`` weeks of everybody's rate; a household
    without a history gets that rate. [groups, labels - 2].
    """
    overall = overall_rates(prepared, label, cutoff)
    households, place = np.unique(groups.household, return_inverse=True)
    rates = np.empty((len(households), len(overall)))
    mapped, histories = label_of(prepared, label), prepared.histories
    for row, household in enumerate(households):
        start, stop = histories.bounds(int(household), cutoff)
        start = max(start, stop - prepared.data.history_events)
        weeks = histories.weeks[start:stop]
        pairs = np.unique(np.stack([weeks, mapped[histories.items[start:stop]]]), axis=1)
        counts = np.bincount(pairs[1], minlength=len(overall) + FIRST)[FIRST:]
        active = len(np.unique(weeks))
        start_from = prior if active else 1.0
        rates[row] = (counts + start_from * overall) / (active + start_from)
    return rates[place]


def rival_scores(prepared: Prepared, groups: Groups, label: str) -> dict[str, Floats]:
    """Scores every label without a model, by name of the rival: [groups, labels - 2] each."""
    cutoff = int(groups.visits.cutoff[0])
    overall = overall_rates(prepared, label, cutoff)
    return {
        "popularity": np.broadcast_to(overall, (len(groups.week), len(overall))),
        "own frequency": own_events(prepared, groups, label),
        "own rate": own_rates(prepared, groups, label, cutoff, 0.0),
        "own rate, smoothed": own_rates(prepared, groups, label, cutoff, PRIOR_WEEKS),
    }
