"""Renders what ``evaluate`` measured as tables and plots."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from podium_models.measure.bootstrap import Interval
from podium_models.measure.calibration import Reliability
from podium_models.text.evaluation.lists import METRICS, NDCG


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Renders a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def metrics_table(systems: Mapping[str, Any]) -> str:
    """Renders one row a system, with intervals."""
    rows = [
        [name, *(str(Interval(**values[metric])) for metric in METRICS)]
        for name, values in systems.items()
    ]
    return table(["", *METRICS], rows)


def gains_table(gains: Mapping[str, Any]) -> str:
    """Renders paired differences of NDCG@10, one column a view."""
    views = list(gains)
    names = list(gains[views[0]])
    rows = [[one, *(str(Interval(**gains[view][one])) for view in views)] for one in names]
    return table([f"{NDCG}, paired", *views], rows)


def calibration_table(calibration: Mapping[str, Any]) -> str:
    """Renders how well probabilities of "relevant" fit."""
    names = ("predicted", "happened", "accuracy", "brier", "ece")
    rows = [[key, *(f"{one[name]:.4f}" for name in names)] for key, one in calibration.items()]
    return table(["", *names], rows)


def all_tables(content: Mapping[str, Any]) -> str:
    """Renders everything that was measured."""
    parts = [f"{view}:\n\n{metrics_table(some)}" for view, some in content["metrics"].items()]
    parts += [gains_table(content["gains"]), calibration_table(content["calibration"])]
    return "\n".join(parts)


def write_tables(path: Path, content: Mapping[str, Any]) -> str:
    """Writes and returns all tables."""
    text = (
        f"{content['queries']} queries with ratings that differ, of {content['all_queries']}; "
        f"{content['folds']} folds by query. 95% bootstrap intervals over queries.\n\n"
    ) + all_tables(content)
    path.write_text(text, encoding="utf-8")
    return text


def draw_report(
    path: Path, values: Mapping[str, Mapping[str, Any]], tables: Mapping[str, Reliability]
) -> None:
    """Writes a PNG: NDCG@10 of each query by system, and reliability of fitted systems."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(values) + 1, figsize=(14, 4), layout="constrained")
    for place, (view, systems) in enumerate(values.items()):
        names = list(systems)
        axes[place].boxplot([systems[name][NDCG] for name in names], showmeans=True)
        axes[place].set_xticks(np.arange(len(names)) + 1, names, rotation=20, fontsize=7)
        axes[place].set(title=view, ylabel=f"{NDCG} by query")
    for name, one in tables.items():
        axes[-1].plot(one.predicted, one.happened, marker=".", label=name)
    axes[-1].plot([0, 1], [0, 1], color="grey", linestyle=":")
    axes[-1].set(title="Calibration", xlabel="predicted", ylabel="rated 2 or 3")
    if tables:
        axes[-1].legend(fontsize=6)
    figure.savefig(path, dpi=110, metadata={"Software": ""})
    plt.close(figure)
