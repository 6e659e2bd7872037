"""Draws the training curves of a run."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot as plt

from podium_models.ranker.config import Config

PARTS = {
    "rows": "purchase, by row (scaled)",
    "listwise": "purchase, by list",
    "department": "department",
    "category": "category",
    "next_item": "next item",
}


def draw_curves(
    history: list[dict[str, float]], baseline: float, config: Config, path: Path
) -> None:
    """Writes a PNG: each training loss as a share of its first epoch, and validation NDCG@10.

    ``baseline`` is the validation NDCG@10 of the household's own frequency.
    """
    weeks = config.split.validation_weeks
    epochs = list(range(1, len(history) + 1))
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for part, label in PARTS.items():
        first = history[0][part]
        left.plot(epochs, [entry[part] / first for entry in history], marker="o", label=label)
    left.set(title="Training losses", xlabel="epoch", ylabel="share of the first epoch's loss")
    left.legend(fontsize=8)
    values = [entry["validation_ndcg@10"] for entry in history]
    right.plot(epochs, values, marker="o", color="black", label=config.bundle.ranker)
    right.axhline(baseline, color="tab:red", linestyle="--", label="own frequency")
    right.set(
        title=f"Validation, weeks {weeks[0]} to {weeks[-1]}", xlabel="epoch", ylabel="NDCG@10"
    )
    right.legend(fontsize=8)
    for axes in (left, right):
        axes.set_xticks(epochs)
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110, metadata={"Software": ""})
    plt.close(figure)
