"""A caller by the Open Inference Protocol, and what ONNX Runtime itself answers to the same tensors."""

from __future__ import annotations

import functools
import json
import queue
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
import tritonclient.grpc as triton
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from server import TEST_MODELS

TIMEOUT = 20.0
Tensors = dict[str, npt.NDArray[Any]]


@contextmanager
def connected(port: int) -> Iterator[Any]:
    """Gives a `tritonclient` that is connected to a port of this machine."""
    with triton.InferenceServerClient(f"127.0.0.1:{port}") as client:
        yield client


@contextmanager
def stub(port: int) -> Iterator[Any]:
    """Gives the service's plain stub, for messages that `tritonclient` does not write."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield service_pb2_grpc.GRPCInferenceServiceStub(channel)


def inputs_of(tensors: Tensors) -> list[Any]:
    """Returns tensors as `tritonclient` sends them: raw."""
    inputs = []
    for name, values in tensors.items():
        one = triton.InferInput(name, list(values.shape), np_to_triton_dtype(values.dtype))
        inputs.append(one.set_data_from_numpy(values))
    return inputs


def outputs_of(result: Any) -> Tensors:
    """Returns the tensors of an answer by name, in its order."""
    return {output.name: result.as_numpy(output.name) for output in result.get_response().outputs}


def array(tensor: dict[str, Any]) -> npt.NDArray[Any]:
    """Returns a tensor of a file of golden vectors."""
    dtype = object if tensor["dtype"] == "string" else tensor["dtype"]
    return np.array(tensor["data"], dtype=dtype).reshape(tensor["shape"])


def manifest(model: str, version: int = 1, root: Path = TEST_MODELS) -> dict[str, Any]:
    """Returns a bundle's manifest."""
    return tomllib.loads((root / model / str(version) / "model.toml").read_text(encoding="utf-8"))


def golden(model: str, version: int = 1, root: Path = TEST_MODELS) -> list[Tensors]:
    """Returns the inputs of a bundle's golden vectors."""
    text = (root / model / str(version) / "golden.json").read_text(encoding="utf-8")
    return [{name: array(one) for name, one in case["inputs"].items()} for case in json.loads(text)["cases"]]


@functools.cache
def session(model: str, version: int = 1) -> Any:
    """Returns a session of a bundle's graph."""
    path = TEST_MODELS / model / str(version) / "model.onnx"
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def expected(model: str, tensors: Tensors, version: int = 1) -> Tensors:
    """Returns what ONNX Runtime answers, with the outputs that the manifest lists."""
    names = [output["name"] for output in manifest(model, version)["outputs"]]
    return dict(zip(names, session(model, version).run(names, tensors), strict=True))


def check(got: Tensors, want: Tensors) -> None:
    """Compares tensors: names in their order, element types, dims and values; NaN is NaN."""
    assert list(got) == list(want)
    for name, values in want.items():
        assert (got[name].dtype, got[name].shape) == (values.dtype, values.shape), name
        np.testing.assert_allclose(got[name], values, rtol=1e-5, atol=1e-6, err_msg=name)


def refused(call: Callable[[], Any]) -> tuple[str, str]:
    """Makes a call that has to fail, and returns its code and message as `tritonclient` tells them."""
    with pytest.raises(InferenceServerException) as caught:
        call()
    return str(caught.value.status()).removeprefix("StatusCode."), caught.value.message()


def message(model: str, tensors: Tensors, **fields: Any) -> Any:
    """Returns a request whose tensors are typed rather than raw."""
    fields_of = {
        "FP32": "fp32_contents", "INT64": "int64_contents", "INT32": "int_contents", "BOOL": "bool_contents",
        "BYTES": "bytes_contents",
    }  # fmt: skip
    request = service_pb2.ModelInferRequest(model_name=model, **fields)
    for name, values in tensors.items():
        datatype = np_to_triton_dtype(values.dtype)
        one = request.inputs.add(name=name, datatype=datatype, shape=values.shape)
        flat = [text.encode() if isinstance(text, str) else text for text in values.flatten().tolist()]
        getattr(one.contents, fields_of[datatype]).extend(flat)
    return request


def tiny(rows: int, users: int = 1, seed: int = 1) -> Tensors:
    """Returns made-up inputs of the tiny ranker."""
    random = np.random.default_rng(seed)
    each = {
        name: random.uniform(0, 3, rows).astype(np.float32)
        for name in ("popularity", "boost", "price", "bought", "same_department")
    }
    return each | {
        "user": random.normal(0, 1, (users, 4)).astype(np.float32),
        "user_index": random.integers(0, users, rows),
        "item": random.integers(2, 52, rows),
        "hour": random.uniform(0, 24, users).astype(np.float32),
    }


def slow_inputs(rounds: int) -> Tensors:
    """Returns inputs of the ranker that runs as long as it is told."""
    return {"price": np.array([1, 2], np.float32), "rounds": np.array([rounds], np.int64)}


def collected() -> tuple[Callable[[Any, Any], None], queue.Queue[tuple[Any, Any]]]:
    """Returns a callback for `tritonclient`, and where what it is told comes: results and errors."""
    told: queue.Queue[tuple[Any, Any]] = queue.Queue()

    def callback(result: Any, error: Any) -> None:
        told.put((result, error))

    return callback, told
