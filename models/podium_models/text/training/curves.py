"""Draws how validation NDCG@10 moved while each fold was fitted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt


def draw_curves(histories: Mapping[str, Sequence[Mapping[str, float]]], path: Path) -> None:
    """Writes a PNG: loss and validation NDCG@10 by epoch, one line a fold; epoch 0 is MiniLM."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for name, history in histories.items():
        epochs = range(len(history))
        left.plot(epochs, [one["loss"] for one in history], marker=".", label=name)
        right.plot(epochs, [one["ndcg"] for one in history], marker=".", label=name)
    left.set(title="Training loss", xlabel="epoch")
    right.set(title="Validation, NDCG@10", xlabel="epoch")
    right.legend(title="without fold", fontsize=7)
    for axes in (left, right):
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110, metadata={"Software": ""})
    plt.close(figure)
