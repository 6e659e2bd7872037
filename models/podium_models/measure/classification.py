"""Measures yes-or-no predictions: AUC, accuracy, and F1 over many labels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


def auc(scores: Floats, truth: Flags) -> float:
    """Returns the chance that a true one outscores a false one, ties one half; both [n].

    NaN where there is no true or no false one.
    """
    positives = scores[truth]
    others = len(scores) - len(positives)
    if len(positives) == 0 or others == 0:
        return float("nan")
    ordered = np.sort(scores)
    left = np.searchsorted(ordered, positives, side="left")
    right = np.searchsorted(ordered, positives, side="right")
    ranks = (left + right + 1) / 2.0
    wins = ranks.sum() - len(positives) * (len(positives) + 1) / 2.0
    return float(wins / (len(positives) * others))


def auc_by_row(scores: Floats, truth: Flags) -> Floats:
    """Returns each row's AUC over its columns, [groups] float64, NaN where it is undefined."""
    return np.asarray([auc(*row) for row in zip(scores, truth, strict=True)], dtype=np.float64)


def accuracy(probabilities: Floats, truth: Flags, threshold: float = 0.5) -> float:
    """Returns the share of entries whose side of the threshold is right; equal counts as yes."""
    if truth.size == 0:
        raise ValueError("there is nothing to measure")
    return float(((probabilities >= threshold) == truth).mean())


class Confusion(NamedTuple):
    """Counts of true and false decisions, all of one shape, float64."""

    true_positive: Floats
    false_positive: Floats
    false_negative: Floats


def confusion(predicted: Flags, truth: Flags) -> Confusion:
    """Counts decisions by label: [groups, labels] flags to three arrays [labels]."""
    return Confusion(
        (predicted & truth).sum(axis=0).astype(np.float64),
        (predicted & ~truth).sum(axis=0).astype(np.float64),
        (~predicted & truth).sum(axis=0).astype(np.float64),
    )


def f1(counts: Confusion) -> Floats:
    """Returns 2 TP / (2 TP + FP + FN) entry by entry; 0 where nothing is true nor predicted."""
    below = 2 * counts.true_positive + counts.false_positive + counts.false_negative
    return np.divide(2 * counts.true_positive, below, out=np.zeros_like(below), where=below > 0)


def micro_f1(counts: Confusion) -> Floats:
    """Returns F1 of all labels' decisions together; counts [..., labels] to [...]."""
    return f1(Confusion(*(part.sum(axis=-1) for part in counts)))


def macro_f1(counts: Confusion) -> Floats:
    """Returns the plain mean of the labels' F1; counts [..., labels] to [...].

    A label that is never true and never predicted counts as 0, as in scikit-learn's default.
    """
    return np.asarray(f1(counts).mean(axis=-1), dtype=np.float64)


THRESHOLDS: Floats = np.round(np.arange(0.02, 0.99, 0.01), 2)


def best_threshold(scores: Floats, truth: Flags, thresholds: Floats = THRESHOLDS) -> float:
    """Returns the threshold with the best micro F1, the lowest of equals.

    It is chosen on validation data. ``scores``, ``truth`` [groups, labels].
    """
    reached = [float(micro_f1(confusion(scores >= one, truth))) for one in thresholds]
    return float(thresholds[int(np.argmax(reached))])
