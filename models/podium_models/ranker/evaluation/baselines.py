"""Scores candidates without a model: by popularity and by the household's own frequency."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from podium_models.ranker.data.prepared import Prepared
from podium_models.ranker.evaluation.groups import Groups

Floats = npt.NDArray[np.float64]


def popularity_scores(prepared: Prepared, groups: Groups, cutoff: int) -> Floats:
    """Scores by buying households a week before the cutoff: [groups, candidates] float64."""
    candidates = groups.candidates(prepared)
    scores: Floats = prepared.features.popularity[cutoff][candidates].astype(np.float64)
    return scores


def frequency_scores(prepared: Prepared, groups: Groups, cutoff: int) -> Floats:
    """Scores by the bounded history's count, ties by popularity: [groups, candidates] float64."""
    popularity = popularity_scores(prepared, groups, cutoff)
    count: Floats = prepared.pairs.own_count[groups.pairs(prepared)].astype(np.float64)
    return count + popularity / (float(popularity.max()) + 1.0)


def lifetime_frequency_scores(prepared: Prepared, groups: Groups, cutoff: int) -> Floats:
    """Scores by the count in the whole, unbounded history up to the cutoff, ties by popularity."""
    popularity = popularity_scores(prepared, groups, cutoff)
    candidates = groups.candidates(prepared)
    counts: Floats = np.zeros(candidates.shape)
    everything = len(prepared.histories.items)
    for household in np.unique(groups.household):
        items, _ = prepared.histories.recent(int(household), cutoff, everything)
        total = np.bincount(items, minlength=prepared.items.size)
        mine = groups.household == household
        counts[mine] = total[candidates[mine]]
    return counts + popularity / (float(popularity.max()) + 1.0)
