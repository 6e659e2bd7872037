"""Measures the department head: from which departments a household buys in a week."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from podium_models.bundle.vocabulary import FIRST
from podium_models.measure.averages import by_owner
from podium_models.measure.classification import auc
from podium_models.ranker.data.prepared import Prepared
from podium_models.ranker.evaluation.groups import WEEK_SPAN, Groups

Floats = npt.NDArray[np.float64]

ABSENT = -1e30
"""Scores a department that no candidate belongs to; such a department is left out."""


def spread(prepared: Prepared, groups: Groups, logits: npt.NDArray[np.float32]) -> Floats:
    """Lays the head's values out by department: [groups, departments - 2] float64.

    ``logits`` [groups, candidates]; departments without a candidate get ``ABSENT``.
    """
    department = prepared.department_of[prepared.pairs.candidates[groups.pair]]
    values = np.full((len(logits), prepared.departments.size), ABSENT)
    np.put_along_axis(values, department, logits.astype(np.float64), axis=1)
    return values[:, FIRST:]


def bought_departments(prepared: Prepared, groups: Groups) -> npt.NDArray[np.bool_]:
    """Tells which departments each household-week bought from: [groups, departments - 2]."""
    histories = prepared.histories
    owner = np.repeat(np.arange(len(histories.households)), np.diff(histories.offsets))
    shape = (len(histories.households), WEEK_SPAN, prepared.departments.size)
    bought = np.zeros(shape, dtype=bool)
    bought[owner, histories.weeks, prepared.department_of[histories.items]] = True
    return bought[groups.household, groups.week][:, FIRST:]


def own_shares(prepared: Prepared, groups: Groups, cutoff: int, limit: int) -> Floats:
    """Counts each household's bounded history by department: [groups, departments - 2]."""
    households, place = np.unique(groups.household, return_inverse=True)
    counts = np.zeros((len(households), prepared.departments.size))
    for row, household in enumerate(households):
        items, _ = prepared.histories.recent(int(household), cutoff, limit)
        counts[row] = np.bincount(
            prepared.department_of[items], minlength=prepared.departments.size
        )
    return counts[place][:, FIRST:]


def overall_shares(prepared: Prepared, groups: Groups, cutoff: int) -> Floats:
    """Counts everybody's events up to the cutoff by department: [groups, departments - 2]."""
    items = prepared.histories.items[prepared.histories.weeks <= cutoff]
    counts = np.bincount(prepared.department_of[items], minlength=prepared.departments.size)
    return np.broadcast_to(counts[FIRST:].astype(np.float64), (len(groups.week), len(counts) - 2))


def department_auc(
    prepared: Prepared, groups: Groups, scores: Floats, present: npt.NDArray[np.bool_]
) -> Floats:
    """Returns AUC over the departments present among the candidates, mean by household.

    ``scores``, ``present`` [groups, departments - 2]. Absent departments count as never bought at
    the lowest rank in a dense table, so each group is measured on its present columns alone.
    """
    bought = bought_departments(prepared, groups)
    result = np.full(len(scores), np.nan)
    for group in range(len(scores)):
        kept = present[group]
        result[group] = auc(scores[group][kept], bought[group][kept])
    return by_owner(result, groups.household)
