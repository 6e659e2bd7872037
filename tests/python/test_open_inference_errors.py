"""What the Open Inference Protocol's callers are told when a request is wrong, late, or about what is not there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.grpc import service_pb2

from client import Client, refusal
from server import TEST_MODELS, Server
from slow import rounds_for
from triton import (
    Tensors,
    check,
    collected,
    connected,
    expected,
    inputs_of,
    message,
    outputs_of,
    refused,
    slow_inputs,
    stub,
    tiny,
)


@pytest.fixture(scope="module")
def caller(server: Server) -> Iterator[Any]:
    """A `tritonclient` of the shared server."""
    with connected(server.port) as client:
        yield client


def without(tensors: Tensors, name: str) -> Tensors:
    """Returns the tensors without one."""
    return {own: values for own, values in tensors.items() if own != name}


@pytest.mark.parametrize(
    ("model", "version", "said"),
    [
        ("nobody", "", "the model `nobody` is not loaded"),
        ("tiny-ranker", "9", "not loaded in version 9; loaded are: 1, 2"),
        ("tiny-ranker", "x", "no label `x`"),
    ],
)
def test_what_is_not_there_is_not_found(caller: Any, model: str, version: str, said: str) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: caller.infer(model, inputs_of(tiny(1)), version),
        lambda: caller.get_model_metadata(model, version),
        lambda: caller.get_model_config(model, version),
        lambda: caller.get_inference_statistics(model, version),
    ]
    for call in calls:
        code, told = refused(call)
        assert code == "NOT_FOUND"
        assert said in told


@pytest.mark.parametrize(
    ("tensors", "faults"),
    [
        (without(tiny(2), "price"), ["inputs: `price` is missing; every input is needed"]),
        (tiny(2) | {"prise": np.zeros(2, np.float32)}, ["inputs[9].name: the model has no `prise`"]),
        (tiny(2) | {"price": np.zeros(2, np.int64)}, ["inputs[2].datatype: `price` is float32, not int64"]),
        (tiny(2) | {"price": np.zeros(2, np.float64)}, ["inputs[2].datatype: is none that a model takes"]),
        (tiny(2) | {"price": np.zeros((2, 1), np.float32)}, ["inputs[2].shape: `price` has 1 dims, not 2"]),
        (tiny(2) | {"price": np.zeros(3, np.float32)}, ["inputs[2].shape[0]: of `price` is 3", "both are `rows`"]),
        (tiny(2) | {"user": np.zeros((1, 5), np.float32)}, ["inputs[5].shape[1]: of `user` is 4, not 5"]),
        (tiny(2) | {"user_index": np.array([0, 1])}, ["inputs[6].contents[1]: must be a number from 0 to 0"]),
        (tiny(2) | {"user_index": np.array([-1, 0])}, ["inputs[6].contents[0]: must be a number from 0 to 0"]),
        (tiny(20001), ["has 20001 candidates, and max_candidates is 20000"]),
        (
            without(tiny(2), "hour") | {"price": np.zeros(2, np.int32), "boost": np.zeros(9, np.float32)},
            ["inputs[1].shape[0]", "inputs[2].datatype", "`hour` is missing"],
        ),
    ],
)  # fmt: skip
def test_every_fault_is_told_with_its_field(caller: Any, tensors: Tensors, faults: list[str]) -> None:
    code, told = refused(lambda: caller.infer("tiny-ranker", inputs_of(tensors)))
    assert code == "INVALID_ARGUMENT"
    for fault in faults:
        assert fault in told


def test_faults_are_typed_for_machines(server: Server) -> None:
    with stub(server.port) as service:
        request = message("tiny-ranker", without(tiny(2), "price"))
        failed = refusal(lambda: service.ModelInfer(request, timeout=20))
    assert (failed.code, failed.reason()) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert set(failed.violations()) == {"inputs"}


def test_an_unknown_output_is_named(caller: Any) -> None:
    wanted = [triton.InferRequestedOutput("click"), triton.InferRequestedOutput("clack")]
    code, told = refused(lambda: caller.infer("tiny-ranker", inputs_of(tiny(2)), outputs=wanted))
    assert code == "INVALID_ARGUMENT"
    assert "outputs[1].name: the model has no `clack`; it has: click, margin" in told
    classes = [triton.InferRequestedOutput("click", class_count=3)]
    code, told = refused(lambda: caller.infer("tiny-ranker", inputs_of(tiny(2)), outputs=classes))
    assert code == "INVALID_ARGUMENT"
    assert "outputs[0].parameters[classification]: is not there" in told


def raw(shape: list[int], datatype: str, *contents: bytes) -> Any:
    """Returns a request to the NaN ranker with these raw contents."""
    request = service_pb2.ModelInferRequest(model_name="nan-ranker")
    request.inputs.add(name="price", datatype=datatype, shape=shape)
    request.raw_input_contents.extend(contents)
    return request


def mixed() -> Any:
    """Returns a request with raw and typed contents."""
    request = raw([1], "FP32", b"\0\0\0\0")
    request.inputs[0].contents.fp32_contents.append(1)
    return request


@pytest.mark.parametrize(
    ("request_", "fault"),
    [
        (raw([2], "FP32", b"\0\0\0\0"), "raw_input_contents[0]: has 4 bytes, and its shape needs 8"),
        (raw([1], "FP32", b"\0\0\0"), "raw_input_contents[0]: has 3 bytes"),
        (raw([1 << 40, 1 << 40], "FP32", b"\0\0\0\0"), "inputs[0].shape: has more elements than there can be"),
        (raw([1 << 40], "BYTES", b"\0\0\0\0"), "raw_input_contents[0]: has 4 bytes, which is less"),
        (raw([-1], "FP32", b"\0\0\0\0"), "inputs[0].shape: has a negative dim"),
        (raw([1], "BYTES", b"\x05\0\0\0abc"), "raw_input_contents[0]: does not end with the last of the 1 texts"),
        (raw([1], "BYTES", b"\x01\0\0\0\xff"), "raw_input_contents[0]: has a text that is not UTF-8 at place 0"),
        (raw([1], "FP32", b"\0\0\0\0", b""), "raw_input_contents: has 2 entries, and there are 1 inputs"),
        (mixed(), "inputs[0].contents: is there beside raw_input_contents"),
    ],
)
def test_contents_are_held_against_their_shape(server: Server, request_: Any, fault: str) -> None:
    with stub(server.port) as service:
        failed = refusal(lambda: service.ModelInfer(request_, timeout=20))
    assert failed.code == grpc.StatusCode.INVALID_ARGUMENT
    assert fault in failed.message


def test_what_the_graph_refuses_spoils_nobody_elses_run(caller: Any, server: Server) -> None:
    """An item beyond the graph's table fails its own request alone, whoever shares its batch."""
    bad = tiny(2) | {"item": np.array([2, 999_999])}
    callback, answers = collected()
    for number in range(8):
        tensors = bad if number % 2 else tiny(2, seed=number)
        caller.async_infer("tiny-ranker", inputs_of(tensors), callback)
    errors = [answers.get(timeout=20)[1] for _ in range(8)]
    failed = [error for error in errors if error is not None]
    assert len(failed) == 4
    assert {str(error.status()) for error in failed} == {"StatusCode.INTERNAL"}
    assert all("999999" not in error.message() for error in failed)
    assert "999999" not in server.output()


def test_sequences_and_shared_memory_are_refused(caller: Any) -> None:
    code, told = refused(lambda: caller.infer("tiny-ranker", inputs_of(tiny(1)), sequence_id=7, sequence_start=True))
    assert code == "INVALID_ARGUMENT"
    assert "parameters[sequence_id]: is not there: models remember nothing" in told
    shared = inputs_of(tiny(1))
    for one in shared:
        one.set_shared_memory("region", 4)
    code, told = refused(lambda: caller.infer("tiny-ranker", shared))
    assert code == "INVALID_ARGUMENT"
    assert "names shared memory, which is not there" in told


@pytest.mark.parametrize(
    "call",
    [
        "get_system_shared_memory_status",
        "get_cuda_shared_memory_status",
        "get_trace_settings",
        "get_log_settings",
        "unregister_system_shared_memory",
    ],
)
def test_what_is_not_served_is_unimplemented(caller: Any, call: str) -> None:
    assert refused(getattr(caller, call))[0] == "UNIMPLEMENTED"


@pytest.mark.parametrize("parameters", [{"timeout": -5}, {"priority": -1}])
def test_parameters_are_checked(server: Server, parameters: dict[str, int]) -> None:
    request = message("tiny-ranker", tiny(1))
    for name, value in parameters.items():
        request.parameters[name].int64_param = value
    with stub(server.port) as service:
        failed = refusal(lambda: service.ModelInfer(request, timeout=20))
    assert failed.code == grpc.StatusCode.INVALID_ARGUMENT
    assert "must be a whole number from 0" in failed.message


def test_other_parameters_are_passed_over(caller: Any) -> None:
    result = caller.infer("tiny-ranker", inputs_of(tiny(2)), priority=99, parameters={"my_own": "text", "more": 3})
    check(outputs_of(result), expected("tiny-ranker", tiny(2), version=2))


def test_the_timeout_parameter_and_the_deadline_end_a_run(client: Client, caller: Any) -> None:
    rounds = rounds_for(client, 2)
    ask = partial(caller.infer, "slow-ranker", inputs_of(slow_inputs(rounds)))
    started = time.monotonic()
    code, told = refused(lambda: ask(timeout=150_000))
    assert code == "DEADLINE_EXCEEDED" or (code == "RESOURCE_EXHAUSTED" and "cannot answer in time" in told)
    code, _ = refused(lambda: ask(client_timeout=0.15))
    assert code in ("DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED")
    assert time.monotonic() - started < 1.5
    assert refused(lambda: ask(timeout=1))[0] in ("DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED")


def test_the_server_has_so_many_runs_in_flight(client: Client, log: Path) -> None:
    rounds = rounds_for(client, 1)
    with Server(TEST_MODELS, log, {"PODIUM_SERVER__MAX_IN_FLIGHT": "1"}) as server, connected(server.port) as caller:
        callback, answers = collected()
        caller.async_infer("slow-ranker", inputs_of(slow_inputs(rounds)), callback)
        time.sleep(0.3)
        code, told = refused(lambda: caller.infer("tiny-ranker", inputs_of(tiny(1))))
        assert (code, "1 requests in flight" in told) == ("RESOURCE_EXHAUSTED", True)
        _, error = answers.get(timeout=20)
        assert error is None


def test_a_draining_server_is_not_ready(log: Path) -> None:
    with Server(TEST_MODELS, log, {"PODIUM_SERVER__DRAIN_DELAY": "3s"}) as server, connected(server.port) as caller:
        assert caller.is_server_ready()
        server.terminate()
        give_up = time.monotonic() + 2.5
        while caller.is_server_ready() and time.monotonic() < give_up:
            time.sleep(0.02)
        assert not caller.is_server_ready()
        assert not caller.is_model_ready("tiny-ranker")
        assert caller.is_server_live()
