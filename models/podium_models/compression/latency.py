"""Measures how long a graph takes on the CPU."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

WARM_UP = 3


def measure_latency(
    path: Path, feeds: Mapping[str, npt.NDArray[Any]], threads: int = 1, seconds: float = 2.0
) -> dict[str, float]:
    """Runs a graph again and again for ``seconds`` and returns p50, p95 and the least, in ms.

    ``megabytes`` is the file's size. On a machine with other work the least is the steadiest.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    given = dict(feeds)
    for _ in range(WARM_UP):
        session.run(None, given)
    taken: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(taken) < WARM_UP:
        start = time.perf_counter()
        session.run(None, given)
        taken.append((time.perf_counter() - start) * 1000.0)
    p50, p95 = np.quantile(taken, [0.5, 0.95])
    return {
        "p50_ms": float(p50),
        "p95_ms": float(p95),
        "least_ms": min(taken),
        "runs": float(len(taken)),
        "megabytes": path.stat().st_size / 1e6,
    }
