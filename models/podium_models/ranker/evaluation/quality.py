"""Says how far probabilities can be trusted, and how much of the catalogue the lists show."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from podium_models.bundle.vocabulary import FIRST
from podium_models.measure.calibration import (
    Reliability,
    brier,
    expected_calibration_error,
    reliability,
)
from podium_models.measure.classification import accuracy, auc
from podium_models.measure.coverage import catalogue_coverage, exposure, gini
from podium_models.measure.ranking import order
from podium_models.ranker.data.prepared import Prepared
from podium_models.ranker.evaluation.groups import Groups
from podium_models.ranker.evaluation.metrics import CUT

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

BINS = 10


def sigmoid(logits: npt.NDArray[np.floating]) -> Floats:
    """Applies the activation that the manifest declares, in float64."""
    result: Floats = 1.0 / (1.0 + np.exp(-logits.astype(np.float64)))
    return result


def calibration(probabilities: Floats, truth: Flags) -> tuple[dict[str, float], Reliability]:
    """Measures a head's probabilities over all its entries; also returns the reliability table.

    ``always no`` is the accuracy of saying no to everything, which rare events make high.
    """
    table = reliability(probabilities, truth, BINS)
    rate = float(truth.mean())
    found = {
        "predicted": float(probabilities.mean()),
        "happened": rate,
        "ece": expected_calibration_error(table),
        "brier": brier(probabilities, truth),
        "brier_of_the_rate": rate * (1.0 - rate),
        "accuracy": accuracy(probabilities, truth),
        "always_no": 1.0 - rate,
        "auc_over_all": auc(probabilities.reshape(-1), truth.reshape(-1)),
    }
    return {name: round(value, 6) for name, value in found.items()}, table


def coverage(
    scores: dict[str, npt.NDArray[np.floating]], prepared: Prepared, groups: Groups
) -> dict[str, dict[str, Any]]:
    """Measures, by method, what share of the vocabulary some top ten shows, and how evenly."""
    items = groups.candidates(prepared).astype(np.int64)
    result = {}
    for name, one in scores.items():
        shown = np.take_along_axis(items, order(one.astype(np.float64))[:, :CUT], axis=1)
        counts = exposure(shown, prepared.items.size)[FIRST:]
        result[name] = {
            "catalogue_coverage": round(catalogue_coverage(counts), 6),
            "gini": round(gini(counts), 6),
        }
    return result
