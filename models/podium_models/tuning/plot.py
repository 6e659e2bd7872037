"""Draws a search: the metric by trial, and by the value of each setting."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, NullFormatter
from optuna.trial import FrozenTrial, TrialState

from podium_models.tuning.space import Parameter, to_text
from podium_models.tuning.study import values_of

COLUMNS = 3


def draw_course(axes: Axes, numbers: list[int], values: list[float]) -> None:
    """Draws the metric of each trial, and the best so far."""
    axes.plot(numbers, values, "o", markersize=4, label="trial")
    axes.plot(numbers, np.maximum.accumulate(values), color="tab:red", label="best so far")
    axes.set(xlabel="trial", ylabel="validation metric", title="Trials")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(fontsize=8)


def bounds(parameter: Parameter) -> tuple[float, float]:
    """Returns the ends of a range's axis, with a margin of a twentieth on either side."""
    low, high = parameter.low, parameter.high
    if parameter.log:
        margin = (high / low) ** 0.05
        return low / margin, high * margin
    margin = (high - low) * 0.05
    return low - margin, high + margin


def draw_parameter(
    axes: Axes, parameter: Parameter, given: list[bool | int | float | str], values: list[float]
) -> None:
    """Draws the metric against one setting; choices stand side by side in their order."""
    if parameter.choices:
        labels = [to_text(one) for one in parameter.choices]
        axes.plot([labels.index(to_text(one)) for one in given], values, "o", markersize=4)
        axes.set_xticks(range(len(labels)), labels)
        axes.set_xlim(-0.5, len(labels) - 0.5)
    else:
        axes.plot([float(one) for one in given], values, "o", markersize=4)
        axes.set_xscale("log" if parameter.log else "linear")
        axes.set_xlim(*bounds(parameter))
        axes.xaxis.set_minor_formatter(NullFormatter())
        if parameter.whole and not parameter.log:
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title(parameter.name)


def draw_trials(trials: list[FrozenTrial], space: list[Parameter], path: Path) -> None:
    """Writes a PNG of the trials that succeeded."""
    good = [one for one in trials if one.state == TrialState.COMPLETE]
    values = [float(one.values[0]) for one in good]
    panels = 1 + len(space)
    columns = min(COLUMNS, panels)
    rows = -(-panels // columns)
    figure, grid = plt.subplots(
        rows, columns, figsize=(3.6 * columns, 2.9 * rows), layout="constrained", squeeze=False
    )
    axes = list(grid.flat)
    draw_course(axes[0], [one.number for one in good], values)
    for one, panel in zip(space, axes[1:], strict=False):
        draw_parameter(panel, one, [values_of(trial, space)[one.name] for trial in good], values)
    for panel in axes[:panels]:
        panel.grid(alpha=0.3)
    for panel in axes[panels:]:
        panel.set_axis_off()
    figure.savefig(path, dpi=110, metadata={"Software": ""})
    plt.close(figure)
