"""Draws the data report: lengths of histories, popularity, events over time, and the split."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import numpy as np
import numpy.typing as npt
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from podium_models.bundle.vocabulary import FIRST
from podium_models.sequence.data.interactions import Interactions
from podium_models.sequence.data.render import PLOTS

Ints = npt.NDArray[np.int64]

BINS = 60
COLOURS = {"train": "tab:blue", "validation": "tab:orange", "test": "tab:green"}


def counts_axis(axes: Axes, values: Ints) -> None:
    """Draws how often each count occurs, both axes by powers of ten."""
    found, often = np.unique(values, return_counts=True)
    axes.plot(found, often, ".", markersize=4)
    axes.set(xscale="log", yscale="log")


def draw_lengths(axes: Axes, data: Interactions) -> None:
    """Draws the number of users by their number of events."""
    counts_axis(axes, np.diff(data.offsets))
    axes.set(xlabel="events of a user", ylabel="users")


def draw_popularity(axes: Axes, data: Interactions) -> None:
    """Draws the events of each item, the most popular first."""
    counts = np.sort(np.bincount(data.event_items, minlength=data.items.size)[FIRST:])[::-1]
    axes.plot(np.arange(1, len(counts) + 1), counts)
    axes.set(xscale="log", yscale="log", xlabel="rank of the item", ylabel="events")


def is_timed(data: Interactions) -> bool:
    """Says whether events have times rather than positions."""
    return str(data.report["treated"]["times"]) == "seconds"


def time_edges(data: Interactions) -> npt.NDArray[np.float64]:
    """Returns the bounds of the bars, for times or for positions (up to the 99.5th percentile)."""
    times = data.event_times
    if is_timed(data):
        return np.linspace(times.min(), times.max() + 1, BINS + 1)
    last = int(np.percentile(times, 99.5)) + 1
    step = 1.0 + last // BINS
    return np.arange(-0.5, last + step, step, dtype=np.float64)


def label_time(axes: Axes, data: Interactions) -> None:
    """Writes days under an axis of unix seconds, or says that it has positions."""
    if not is_timed(data):
        axes.set(xlabel="position in the history (the log has no times)", ylabel="events")
        return
    times = data.event_times
    ticks = np.linspace(int(times.min()), int(times.max()), 5)
    days = [datetime.fromtimestamp(int(tick), UTC).strftime("%Y-%m-%d") for tick in ticks]
    axes.set_xticks(ticks, days, fontsize=8)
    axes.set(ylabel="events")


def draw_time(axes: Axes, data: Interactions) -> None:
    """Draws the number of events over time."""
    counts, edges = np.histogram(data.event_times, time_edges(data))
    axes.stairs(counts, edges, fill=True)
    label_time(axes, data)


def draw_splits(axes: Axes, data: Interactions) -> None:
    """Draws the events of each part of the split over time, one upon another."""
    starts, ends = data.offsets[:-1], data.offsets[1:]
    bounds = (starts, data.train_ends, data.validation_ends, ends)
    lengths = np.stack([np.diff(pair, axis=0)[0] for pair in pairwise(bounds)])
    part = np.repeat(np.tile(np.arange(3, dtype=np.int8), len(starts)), lengths.T.ravel())
    edges = time_edges(data)
    below = np.zeros(len(edges) - 1)
    for number, (name, colour) in enumerate(COLOURS.items()):
        counts = np.histogram(data.event_times[part == number], edges)[0]
        label = f"{name}: {int((part == number).sum()):,}"
        axes.stairs(below + counts, edges, baseline=below, fill=True, color=colour, label=label)
        below = below + counts
    axes.legend(fontsize=8)
    label_time(axes, data)


DRAWINGS: dict[str, Callable[[Axes, Interactions], None]] = {
    "history_lengths": draw_lengths,
    "item_popularity": draw_popularity,
    "events_over_time": draw_time,
    "splits": draw_splits,
}


def draw_report(data: Interactions, directory: Path) -> list[str]:
    """Writes one PNG for each of ``PLOTS`` and returns their names."""
    for name, draw in DRAWINGS.items():
        figure, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
        draw(axes, data)
        axes.set_title(PLOTS[name])
        axes.grid(alpha=0.3)
        figure.savefig(directory / f"{name}.png", dpi=110, metadata={"Software": ""})
        plt.close(figure)
    return list(DRAWINGS)
