"""Graphs without a manifest and a model repository of Triton's, asked by `tritonclient`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from server import ROOT, Server
from triton import Tensors, check, collected, connected, inputs_of, outputs_of, refused

PLAIN = ROOT / "target" / "test-models-plain"
REQUESTS = 24


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of models that have no manifest, whose queue waits a little for company."""
    settings = {"PODIUM_BATCHING__MAX_QUEUE_DELAY": "20ms"}
    with Server(PLAIN, tmp_path_factory.mktemp("plain") / "log", settings) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[Any]:
    """A client of that server."""
    with connected(server.port) as caller:
        yield caller


def graph_of(model: str) -> Path:
    """Returns where the graph of a model's live version is."""
    versions = sorted(
        (path for path in (PLAIN / model).iterdir() if path.name.isdigit()), key=lambda path: int(path.name)
    )
    return (versions[-1] if versions else PLAIN / model) / "model.onnx"


def tensors(model: str, rows: int, seed: int = 0) -> Tensors:
    """Returns made-up inputs of a model."""
    random = np.random.default_rng(seed)
    if model == "lengths":
        return {"ids": random.integers(-9, 9, (rows, 5)), "kept": random.random((rows, 5)) < 0.5}
    shape = {"mixing": (rows,), "fixed": (2, 2)}.get(model, (rows, 3))
    return {"x": random.normal(0, 1, shape).astype(np.float32)}


def expected(model: str, inputs: Tensors) -> Tensors:
    """Returns what ONNX Runtime answers."""
    session = onnxruntime.InferenceSession(graph_of(model), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


@pytest.mark.parametrize("model", ["summing", "mixing", "fixed", "lengths", "apart", "joined"])
def test_a_model_without_a_manifest_answers_as_onnx_runtime_does(client: Any, model: str) -> None:
    assert client.is_model_ready(model)
    for rows in (1, 3):
        inputs = tensors(model, rows)
        check(outputs_of(client.infer(model, inputs_of(inputs))), expected(model, inputs))


@pytest.mark.parametrize(
    ("model", "most", "joins", "shape"),
    [
        ("summing", True, True, [-1, 3]),
        ("lengths", True, True, [-1, -1]),
        ("mixing", False, False, [-1]),
        ("fixed", False, False, [2, 2]),
        ("apart", True, False, [-1, 3]),
        ("joined", True, True, [-1, 3]),
    ],
)
def test_clients_are_told_how_it_is_run(client: Any, model: str, most: bool, joins: bool, shape: list[int]) -> None:
    metadata, config = client.get_model_metadata(model), client.get_model_config(model).config
    assert list(metadata.inputs[0].shape) == shape
    assert (config.max_batch_size > 0, config.HasField("dynamic_batching")) == (most, joins)
    assert list(config.input[0].dims) == (shape[1:] if most else shape)
    if model in ("apart", "joined"):
        assert config.max_batch_size == 4


def test_requests_share_runs_where_the_configuration_says_so(client: Any) -> None:
    def runs(model: str) -> int:
        """Sends requests at once, holds every answer, and returns in how many runs they went."""
        before = client.get_inference_statistics(model).model_stats[-1].execution_count
        told, answers = collected()
        given = [tensors(model, 1, seed) for seed in range(REQUESTS)]
        for at, inputs in enumerate(given):
            client.async_infer(model, inputs_of(inputs), told, request_id=str(at))
        for _ in given:
            result, error = answers.get(timeout=20)
            assert error is None
            at = int(result.get_response().id)
            check(outputs_of(result), expected(model, given[at]))
        after = client.get_inference_statistics(model).model_stats[-1].execution_count
        return int(after - before)

    assert runs("joined") < REQUESTS
    assert runs("apart") == REQUESTS


@pytest.mark.parametrize(
    ("model", "inputs", "told"),
    [
        ("summing", {"x": np.zeros((2, 4), np.float32)}, "inputs[0]"),
        ("summing", {"x": np.zeros((2, 3), np.int64)}, "inputs[0]"),
        ("summing", {"y": np.zeros((2, 3), np.float32)}, "`x` is missing"),
        ("lengths", {"ids": np.zeros((2, 3), np.int64), "kept": np.zeros((3, 3), bool)}, "inputs[1]"),
    ],
)
def test_tensors_that_do_not_fit_are_named(client: Any, model: str, inputs: Tensors, told: str) -> None:
    code, message = refused(lambda: client.infer(model, inputs_of(inputs)))
    assert code == "INVALID_ARGUMENT"
    assert told in message
