"""Draws the training curves of one model."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot as plt


def draw_curves(entries: list[dict[str, float]], path: Path) -> None:
    """Writes a PNG with the training loss and the validation metrics by epoch."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    left.plot(range(1, len(entries) + 1), [one["loss"] for one in entries], color="black")
    left.set(title="Training loss", xlabel="epoch", ylabel="loss")
    for name, color in (("ndcg@10", "tab:blue"), ("hr@10", "tab:orange")):
        key = f"validation_{name}"
        points = [(epoch, one[key]) for epoch, one in enumerate(entries, 1) if key in one]
        right.plot(*zip(*points, strict=True), marker=".", color=color, label=name.upper())
    right.set(title="Validation, all items ranked", xlabel="epoch", ylim=(0, None))
    right.legend()
    for axes in (left, right):
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110, metadata={"Software": ""})
    plt.close(figure)
