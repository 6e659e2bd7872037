"""The server and the graphs that Podium is compared with answer what ONNX Runtime answers."""

from __future__ import annotations

import functools
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import tritonclient.grpc

import external
from bundle import write
from server import ROOT, SHIPPED_MODELS, TEST_MODELS, free_port
from triton import Tensors, check, connected, golden, inputs_of, outputs_of, refused

PEERS = ROOT / "benches" / "peers"
GROCERY, VECTORS = "grocery-ranker", "vector-ranker"
CALLERS, CALLS = 32, 4


def made(bundle: Path, out: Path) -> subprocess.CompletedProcess[str]:
    """Makes the graph of a bundle whose users are repeated."""
    command = [sys.executable, str(PEERS / "repeated.py"), str(bundle), str(out), "--check"]
    return subprocess.run(command, text=True, capture_output=True, timeout=60, check=False)


@functools.cache
def session(path: Path) -> Any:
    """Returns a session of a graph."""
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def answers(path: Path, tensors: Tensors) -> Tensors:
    """Returns what ONNX Runtime answers."""
    runner = session(path)
    names = [output.name for output in runner.get_outputs()]
    return dict(zip(names, runner.run(names, tensors), strict=True))


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The graphs that are served, by name."""
    repeated = tmp_path_factory.mktemp("peers") / f"{GROCERY}.onnx"
    told = made(SHIPPED_MODELS / GROCERY / "1", repeated)
    assert told.returncode == 0, told.stdout + told.stderr
    assert "repeated for each row: user_embedding, week" in told.stdout
    return {GROCERY: repeated, VECTORS: TEST_MODELS / VECTORS / "1" / "model.onnx"}


@pytest.fixture(scope="module")
def port(graphs: dict[str, Path]) -> Iterator[int]:
    """A running server with the graphs, which waits a little for company."""
    port = free_port()
    command = [sys.executable, str(PEERS / "python_server.py"), *map(str, graphs.values()), "--port", str(port)]
    options = ["--instances", "2", "--max-batch", "64", "--wait-us", "20000"]
    with subprocess.Popen([*command, *options], text=True, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline().startswith(f"ready: {GROCERY}, {VECTORS} on ")
            yield port
        finally:
            process.terminate()
    assert process.returncode == 0


def counted(port: int) -> tuple[int, int]:
    """Returns how many rows and runs the server has counted."""
    with connected(port) as caller:
        told = [caller.get_inference_statistics(name).model_stats[0] for name in (GROCERY, VECTORS)]
    return sum(one.inference_count for one in told), sum(one.execution_count for one in told)


def rows_of(tensors: Tensors, rows: int, seed: int) -> Tensors:
    """Returns so many rows, drawn from those that there are."""
    there = len(next(iter(tensors.values())))
    drawn = np.random.default_rng(seed).integers(0, there, rows)
    return {name: values[drawn] for name, values in tensors.items()}


def one_user() -> Tensors:
    """Returns the largest golden vector of the grocery ranker that has one user."""
    cases = [case for case in golden(GROCERY, root=SHIPPED_MODELS) if len(case["week"]) == 1]
    return max(cases, key=lambda case: len(case["price"]))


def repeated_golden() -> Tensors:
    """Returns the same with its user on every row."""
    tensors = one_user()
    index = tensors.pop("user_index")
    return {name: values[index] if name in ("user_embedding", "week") else values for name, values in tensors.items()}


def test_repeating_one_user_gives_the_same_scores(graphs: dict[str, Path]) -> None:
    assert len(one_user()["price"]) > 1
    want = answers(SHIPPED_MODELS / GROCERY / "1" / "model.onnx", one_user())
    check(answers(graphs[GROCERY], repeated_golden()), want)


def test_weights_from_everywhere_survive(tmp_path: Path) -> None:
    bundle = write(external.ranker(1, external.PLACES), tmp_path)
    told = made(bundle, tmp_path / "alone" / "out.onnx")
    assert told.returncode == 1, told.stdout
    assert "has no golden vectors" in told.stderr
    tensors = {"price": np.array([3, 1001, 2], np.float32)}
    check(answers(tmp_path / "alone" / "out.onnx", tensors), answers(bundle / "model.onnx", tensors))


def test_lists_cannot_be_repeated(tmp_path: Path) -> None:
    told = made(TEST_MODELS / "list-ranker" / "1", tmp_path / "out.onnx")
    assert told.returncode == 1
    assert "only rankers of the layout rows" in told.stderr


def test_the_server_tells_what_it_has(port: int) -> None:
    with connected(port) as caller:
        assert caller.is_server_live()
        assert caller.is_server_ready()
        assert caller.is_model_ready(GROCERY)
        assert not caller.is_model_ready("other")
        assert caller.get_server_metadata().name == "python-server"
        told = {one.name: (one.datatype, list(one.shape)) for one in caller.get_model_metadata(GROCERY).inputs}
        assert told["user_embedding"] == ("FP32", [-1, 4, 64])
        assert told["item"] == ("INT64", [-1])
        assert "user_index" not in told


def test_many_callers_share_runs_and_get_their_own_rows(port: int, graphs: dict[str, Path]) -> None:
    start = threading.Barrier(CALLERS)
    sources = {GROCERY: repeated_golden(), VECTORS: golden(VECTORS)[0]}

    def call(number: int) -> int:
        start.wait()
        rows = 0
        with connected(port) as caller:
            for turn in range(CALLS):
                name = (GROCERY, VECTORS)[turn % 2]
                tensors = rows_of(sources[name], 1 + number % 3, seed=number * CALLS + turn)
                got = outputs_of(caller.infer(name, inputs_of(tensors)))
                check(got, answers(graphs[name], tensors))
                rows += 1 + number % 3
        return rows

    rows_before, runs_before = counted(port)
    with ThreadPoolExecutor(CALLERS) as pool:
        rows = sum(pool.map(call, range(CALLERS)))
    rows_after, runs_after = counted(port)
    assert rows_after - rows_before == rows
    assert runs_after - runs_before < CALLERS * CALLS / 2, "requests that wait are run together"


def test_what_is_asked_for_comes_and_what_is_wrong_is_named(port: int) -> None:
    tensors = repeated_golden()
    with connected(port) as caller:
        asked = [tritonclient.grpc.InferRequestedOutput("purchase")]
        assert list(outputs_of(caller.infer(GROCERY, inputs_of(tensors), outputs=asked))) == ["purchase"]
        without = {name: values for name, values in tensors.items() if name != "price"}
        wrong = {
            "input price: it is missing": without,
            "input nobody: the model has none": tensors | {"nobody": tensors["price"]},
            "input item: its type is INT32": tensors | {"item": tensors["item"].astype(np.int32)},
            "input user_embedding: its shape is": tensors | {"user_embedding": tensors["user_embedding"][:, :3]},
            "input price: it has 1 rows": tensors | {"price": tensors["price"][:1]},
        }
        for why, given in wrong.items():
            code, told = refused(functools.partial(caller.infer, GROCERY, inputs_of(given)))
            assert code == "INVALID_ARGUMENT"
            assert why in told
        assert refused(lambda: caller.infer("other", inputs_of(tensors)))[0] == "NOT_FOUND"
