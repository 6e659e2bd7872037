"""Triton's own load tester against a server: it reads what Podium tells of models, asks them, and counts their runs."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from server import PLAIN_MODELS, ROOT, TEST_MODELS, Server
from triton import connected, golden, tiny

SCRIPT = ROOT / "scripts" / "perf-analyzer"


@pytest.fixture(scope="module", autouse=True)
def fetched() -> None:
    """The program; where this machine cannot have it, the tests say so and are passed over."""
    ended = subprocess.run([sys.executable, SCRIPT, "--fetch"], text=True, capture_output=True, check=False)
    if ended.returncode != 0:
        pytest.skip(ended.stderr.strip())


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of models without a manifest."""
    with Server(PLAIN_MODELS, tmp_path_factory.mktemp("plain") / "log") as running:
        yield running


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of bundles."""
    with Server(TEST_MODELS, tmp_path_factory.mktemp("bundles") / "log") as running:
        yield running


def input_data(folder: Path, requests: list[dict[str, Any]]) -> Path:
    """Writes requests in the form that the program reads."""

    def entry(tensor: Any) -> dict[str, list[Any]]:
        array = np.asarray(tensor)
        return {"content": array.reshape(-1).tolist(), "shape": list(array.shape)}

    path = folder / "inputs.json"
    data = [{name: entry(tensor) for name, tensor in request.items()} for request in requests]
    path.write_text(json.dumps({"data": data}), encoding="utf-8")
    return path


def analyze(server: Server, model: str, data: Path, *more: str) -> tuple[subprocess.CompletedProcess[str], Path]:
    """Runs the program for some dozens of requests; returns what came of it, and where its figures are."""
    figures = data.with_suffix(".csv")
    command = [sys.executable, SCRIPT, "-m", model, "-u", server.address, "-i", "grpc", "--input-data", data]
    command += ["--measurement-mode", "count_windows", "--measurement-request-count", "40", "-f", figures]
    command += ["--stability-percentage", "999", *more]
    ended = subprocess.run(list(map(str, command)), text=True, capture_output=True, timeout=100, check=False)
    return ended, figures


def check(server: Server, model: str, data: Path, *more: str) -> None:
    """Holds a run against what the server counted meanwhile."""
    with connected(server.port) as caller:

        def counted() -> int:
            stats = caller.get_inference_statistics(model).model_stats
            return sum(one.inference_stats.success.count for one in stats)

        before = counted()
        ended, path = analyze(server, model, data, *more)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        rows = list(csv.DictReader(path.open(encoding="utf-8")))
        assert [row["Concurrency"] for row in rows] == ["1", "5"]
        assert all(float(row["Inferences/Second"]) > 0 for row in rows)
        assert all(float(row["Server Compute Infer"]) > 0 for row in rows)
        assert "Request count: 0" not in ended.stdout
        assert counted() - before >= 2 * 40


def test_a_model_without_a_manifest(plain: Server, tmp_path: Path) -> None:
    data = input_data(tmp_path, [{"x": [float(at), 2.0, 3.0]} for at in range(4)])
    check(plain, "joined", data, "--concurrency-range", "1:5:4")


def test_a_bundle_by_its_tensors(bundles: Server, tmp_path: Path) -> None:
    data = input_data(tmp_path, [tiny(rows) for rows in (1, 4)])
    check(bundles, "tiny-ranker", data, "--concurrency-range", "1:5:4")


def test_a_stream(bundles: Server, tmp_path: Path) -> None:
    first = {name: tensor[0] for name, tensor in golden("tiny-encoder")[0].items()}  # the program adds the batch's dim
    data = input_data(tmp_path, [first])
    check(bundles, "tiny-encoder", data, "--concurrency-range", "1:5:4", "--streaming")


def test_what_the_server_refuses_is_shown(bundles: Server, tmp_path: Path) -> None:
    request = tiny(2)
    name = next(name for name, tensor in request.items() if np.asarray(tensor).shape == (2,))
    data = input_data(tmp_path, [request | {name: np.asarray([1, 2, 3], dtype=np.asarray(request[name]).dtype)}])
    ended, _ = analyze(bundles, "tiny-ranker", data, "--concurrency-range", "1")
    assert ended.returncode != 0
    assert "rows" in ended.stdout + ended.stderr
