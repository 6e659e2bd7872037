"""Draws reliability diagrams."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot as plt

from podium_models.measure.calibration import Reliability


def draw_reliability(tables: dict[str, Reliability], path: Path) -> None:
    """Writes a PNG with one diagram a table: prediction against outcome."""
    count = len(tables)
    figure, axes = plt.subplots(
        1, count, figsize=(4 * count, 3.6), layout="constrained", squeeze=False
    )
    for panel, (name, table) in zip(axes[0], tables.items(), strict=True):
        high = 1.05 * max(float(table.predicted.max()), float(table.happened.max()), 1e-6)
        panel.plot([0, high], [0, high], color="tab:gray", linestyle="--", label="exact")
        panel.plot(table.predicted, table.happened, marker="o", color="black", label=name)
        panel.set(xlabel="predicted probability", ylabel="share that happened", title=name)
        panel.grid(alpha=0.3)
    figure.savefig(path, dpi=110, metadata={"Software": ""})
    plt.close(figure)
