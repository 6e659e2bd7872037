"""Compresses the graphs of a trained model file by file, and adopts them only if they hold."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from podium_models.compression.report import (
    TABLE,
    Comparison,
    Side,
    refuse_beyond,
    write_report,
)

METHODS = ("int8-dynamic", "int8-static", "fp16")
"""Methods that need no training: they turn a graph into another."""

Feeds = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Graphs:
    """A directory of graphs and what measuring them takes.

    ``calibration`` gives batches of inputs by file name, of training data alone; the first batch
    is timed too. ``quality`` measures the graphs of a directory on held-out data.
    """

    directory: Path
    calibration: Mapping[str, list[Feeds]]
    quality: Callable[[Path], dict[str, float]]
    metric: str
    notes: Mapping[str, str]


def compress_graph(method: str, source: Path, target: Path, batches: Iterable[Feeds]) -> None:
    """Writes a graph compressed by one of ``METHODS``.

    Dynamic int8 rounds row by row, so that no row's score depends on its neighbours in a batch.
    """
    from podium_models.compression import quantise

    if method == "int8-dynamic":
        quantise.quantise_rowwise(source, target)
    elif method == "int8-static":
        quantise.quantise_static(source, target, batches)
    elif method == "fp16":
        quantise.to_fp16(source, target)
    else:
        there = ", ".join(METHODS)
        raise ValueError(f"--method {method} needs training of its own kind; here are {there}")


def measure_side(graphs: Graphs, directory: Path) -> Side:
    """Measures quality, latency (p50 of the first batch) and size of a directory's graphs."""
    from podium_models.compression.latency import measure_latency

    latency = {
        name: measure_latency(directory / name, batches[0])["p50_ms"]
        for name, batches in graphs.calibration.items()
    }
    size = sum((directory / name).stat().st_size for name in graphs.calibration)
    return Side(graphs.quality(directory), latency, size)


def compress_graphs(graphs: Graphs, method: str, max_loss: float) -> Path:
    """Writes ``graphs-METHOD`` beside a model's graphs, with the comparison; returns it.

    Beyond ``max_loss`` the graphs are removed, the comparison stays, and ``ValueError`` is raised.
    """
    target = graphs.directory.parent / f"graphs-{method}"
    shutil.rmtree(target, ignore_errors=True)
    work = target.with_suffix(".tmp")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        for name, batches in graphs.calibration.items():
            compress_graph(method, graphs.directory / name, work / name, batches)
        before, after = measure_side(graphs, graphs.directory), measure_side(graphs, work)
        comparison = Comparison(method, graphs.metric, max_loss, before, after, graphs.notes)
        write_report(target, comparison)
        refuse_beyond(graphs.metric, comparison.loss, max_loss)
        for name in graphs.calibration:
            (work / name).rename(target / name)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print(f"the graphs and {TABLE} are in {target}")
    return target
