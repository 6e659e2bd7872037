"""The Open Inference Protocol, driven by `tritonclient`: health, descriptions, and runs of every bundle."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from google.protobuf import descriptor_pool, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from tritonclient.grpc import service_pb2

from client import Client
from server import TEST_MODELS, Server
from test_reflection import ask
from triton import (
    Tensors,
    check,
    connected,
    expected,
    golden,
    inputs_of,
    manifest,
    message,
    outputs_of,
    stub,
    tiny,
)

BUNDLES = [(path.parent.name, int(path.name)) for path in sorted(TEST_MODELS.glob("*/*"))]
SERVICE = "inference.GRPCInferenceService"
DTYPES = {"float32": "FP32", "float16": "FP16", "int64": "INT64", "int32": "INT32", "bool": "BOOL", "string": "BYTES"}


@pytest.fixture(scope="module")
def caller(server: Server) -> Iterator[Any]:
    """A `tritonclient` of the shared server."""
    with connected(server.port) as client:
        yield client


def test_the_server_and_its_models_are_ready(caller: Any) -> None:
    assert caller.is_server_live()
    assert caller.is_server_ready()
    for model, version in BUNDLES:
        assert caller.is_model_ready(model)
        assert caller.is_model_ready(model, str(version))
    assert not caller.is_model_ready("nobody")
    assert not caller.is_model_ready("tiny-ranker", "9")
    assert not caller.is_model_ready("tiny-ranker", "no-such-label")


def test_the_server_tells_what_it_has(caller: Any, client: Client, server: Server) -> None:
    told = caller.get_server_metadata()
    assert (told.name, told.version) == ("podium", client.info().server_version)
    assert list(told.extensions) == ["model_configuration", "schedule_policy", "statistics"]
    with connected(server.admin_port) as admin:
        assert "model_repository" in admin.get_server_metadata().extensions


@pytest.mark.parametrize(("model", "version"), BUNDLES)
def test_a_model_tells_what_it_takes_and_gives(caller: Any, model: str, version: int) -> None:
    written = manifest(model, version)
    told = caller.get_model_metadata(model, str(version))
    assert (told.name, told.platform) == (model, "onnxruntime_onnx")
    assert list(told.versions) == [str(own) for name, own in BUNDLES if name == model]

    def dims(shape: list[Any]) -> list[int]:
        return [dim if isinstance(dim, int) else -1 for dim in shape]

    inputs = [(one["name"], DTYPES[one["dtype"]], dims(one["shape"])) for one in written["inputs"]]
    assert [(one.name, one.datatype, list(one.shape)) for one in told.inputs] == inputs
    outputs = [(one["name"], dims(one["shape"])) for one in written["outputs"]]
    assert [(one.name, list(one.shape)) for one in told.outputs] == outputs
    got = outputs_of(caller.infer(model, inputs_of(golden(model, version)[0]), str(version)))
    assert [one.datatype for one in told.outputs] == [DTYPES[str(values.dtype)] for values in got.values()]


def test_a_model_tells_how_it_is_run(caller: Any) -> None:
    led_by_users = caller.get_model_config("tiny-encoder").config
    assert (led_by_users.platform, led_by_users.backend) == ("onnxruntime_onnx", "onnxruntime")
    assert led_by_users.max_batch_size == 4096
    assert [list(one.dims) for one in led_by_users.input] == [[-1]] * 3
    assert [list(one.dims) for one in led_by_users.output] == [[4]]
    assert led_by_users.dynamic_batching.priority_levels == 8
    assert led_by_users.dynamic_batching.default_priority_level == 2
    assert led_by_users.dynamic_batching.max_queue_delay_microseconds == 2000
    assert led_by_users.instance_group[0].count >= 1
    assert list(led_by_users.version_policy.specific.versions) == [1]
    led_by_two = caller.get_model_config("tiny-ranker", as_json=True)["config"]
    assert "max_batch_size" not in led_by_two
    assert led_by_two["input"][0] == {"name": "user", "data_type": "TYPE_FP32", "dims": ["-1", "4"]}
    assert led_by_two["version_policy"]["specific"]["versions"] == ["1", "2"]
    led_by_rows = caller.get_model_config("types-ranker").config
    assert led_by_rows.max_batch_size == 4096
    kinds = [(one.name, one.data_type, list(one.dims)) for one in led_by_rows.input]
    assert kinds == [("brand", 13, []), ("stock", 9, []), ("size", 8, []), ("weight", 10, []), ("sold", 11, [])]


@pytest.mark.parametrize(("model", "version"), BUNDLES)
def test_every_bundle_answers_what_onnx_runtime_answers(caller: Any, model: str, version: int) -> None:
    for tensors in golden(model, version):
        result = caller.infer(model, inputs_of(tensors), str(version), request_id="r7")
        told = result.get_response()
        assert (told.model_name, told.model_version, told.id) == (model, str(version), "r7")
        check(outputs_of(result), expected(model, tensors, version))


@pytest.mark.parametrize(("rows", "users"), [(1, 1), (40, 3), (5000, 2)])
def test_without_a_version_the_live_one_answers(caller: Any, rows: int, users: int) -> None:
    tensors = tiny(rows, users)
    result = caller.infer("tiny-ranker", inputs_of(tensors))
    assert result.get_response().model_version == "2"
    check(outputs_of(result), expected("tiny-ranker", tensors, version=2))
    assert caller.infer("tiny-ranker", inputs_of(tensors), "latest").get_response().model_version == "2"


def test_outputs_come_as_they_are_asked_for(caller: Any) -> None:
    tensors = tiny(3)
    wanted = [triton.InferRequestedOutput("margin"), triton.InferRequestedOutput("click")]
    got = outputs_of(caller.infer("tiny-ranker", inputs_of(tensors), outputs=wanted))
    whole = expected("tiny-ranker", tensors, version=2)
    check(got, {name: whole[name] for name in ("margin", "click")})
    check(
        outputs_of(caller.infer("tiny-ranker", inputs_of(tensors), outputs=wanted[:1])),
        {"margin": whole["margin"]},
    )


def test_what_is_not_finite_comes_out_as_it_is(caller: Any) -> None:
    tensors: Tensors = {"price": np.array([1, 2, np.nan, -1], np.float32)}
    want = expected("nan-ranker", tensors)
    assert not np.isfinite(want["score"]).all()
    check(outputs_of(caller.infer("nan-ranker", inputs_of(tensors))), want)


def types(rows: int) -> Tensors:
    """Returns made-up inputs of the ranker that has one of each dtype."""
    random = np.random.default_rng(rows)
    return {
        "brand": np.array(["", "über", "acme", "x" * 300][:rows], dtype=object),
        "stock": random.integers(-9, 9, rows),
        "size": random.integers(-9, 9, rows).astype(np.int32),
        "weight": random.uniform(0, 9, rows).astype(np.float16),
        "sold": random.uniform(0, 9, rows).astype(np.float32),
    }


def test_texts_and_every_dtype_go_in(caller: Any) -> None:
    for rows in (1, 4):
        check(outputs_of(caller.infer("types-ranker", inputs_of(types(rows)))), expected("types-ranker", types(rows)))
    as_bytes = types(4) | {"brand": np.array([text.encode() for text in types(4)["brand"]], dtype=object)}
    check(outputs_of(caller.infer("types-ranker", inputs_of(as_bytes))), expected("types-ranker", types(4)))


@pytest.mark.parametrize("model", ["tiny-ranker", "list-ranker", "tiny-encoder", "text-ranker"])
def test_typed_contents_say_the_same_as_raw_ones(server: Server, model: str) -> None:
    tensors = golden(model)[0]
    with stub(server.port) as service:
        answer = service.ModelInfer(message(model, tensors, model_version="1", id="typed"))
    assert answer.id == "typed"
    assert len(answer.raw_output_contents) == len(answer.outputs)
    check(outputs_of(triton.InferResult(answer)), expected(model, tensors))


def test_many_runs_at_once_are_answered_each_with_its_own(caller: Any) -> None:
    answers: queue.Queue[Any] = queue.Queue()

    def done(number: int, result: Any, error: Any) -> None:
        answers.put((number, result, error))

    for number in range(24):
        tensors = inputs_of(tiny(1 + number, 1 + number % 3, seed=number))
        caller.async_infer("tiny-ranker", tensors, partial(done, number), request_id=str(number))
    for _ in range(24):
        number, result, error = answers.get(timeout=20)
        assert error is None
        assert result.get_response().id == str(number)
        want = expected("tiny-ranker", tiny(1 + number, 1 + number % 3, seed=number), version=2)
        check(outputs_of(result), want)


def test_the_asyncio_client_works(server: Server) -> None:
    async def all_of_it() -> Any:
        async with triton_aio.InferenceServerClient(f"127.0.0.1:{server.port}") as caller:
            assert await caller.is_server_ready()
            assert await caller.is_model_ready("tiny-ranker", "1")
            return await caller.infer("tiny-ranker", inputs_of(tiny(5)), "1")

    check(outputs_of(asyncio.run(all_of_it())), expected("tiny-ranker", tiny(5), version=1))


def test_compressed_messages_are_taken_or_refused(caller: Any) -> None:
    """Podium compresses nothing; a caller who does is told."""
    with pytest.raises(triton.InferenceServerException) as caught:
        caller.infer("tiny-ranker", inputs_of(tiny(5)), compression_algorithm="gzip")
    assert "UNIMPLEMENTED" in str(caught.value.status())


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection_lists_the_service_on_both_listeners(server: Server, client: Client, version: str) -> None:
    admin = Client(f"127.0.0.1:{server.admin_port}")
    for one in (client, admin):
        listed = {service.name for service in ask(one, version, list_services="").list_services_response.service}
        assert SERVICE in listed
    admin.close()


def test_the_contract_is_the_clients_own(client: Client) -> None:
    """Every name and number of the server's messages is one of `tritonclient`'s."""
    pool = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(client.channel))
    own = pool.FindServiceByName(SERVICE)
    theirs = service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"]
    seen: set[str] = set()

    def same(ours: Any, other: Any) -> None:
        assert ours.full_name == other.full_name
        if ours.full_name in seen:
            return
        seen.add(ours.full_name)
        for field in ours.fields:
            twin = other.fields_by_name[field.name]
            told = (field.number, field.type, field.is_repeated)
            assert told == (twin.number, twin.type, twin.is_repeated), field.full_name
            if field.message_type:
                same(field.message_type, twin.message_type)
            if field.enum_type:
                assert field.enum_type.values_by_name.keys() == twin.enum_type.values_by_name.keys()
                numbers = [value.number for value in field.enum_type.values]
                assert numbers == [value.number for value in twin.enum_type.values], field.full_name

    for method in own.methods:
        twin = theirs.methods_by_name[method.name]
        assert (method.client_streaming, method.server_streaming) == (twin.client_streaming, twin.server_streaming)
        same(method.input_type, twin.input_type)
        same(method.output_type, twin.output_type)
    assert len(seen) > 30
    assert message_factory.GetMessageClass(own.methods[0].output_type) is not None
