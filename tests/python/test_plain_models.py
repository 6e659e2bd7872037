"""Models without a manifest: found, checked, served and shown; a model repository of Triton is taken over as it is."""

from __future__ import annotations

import shutil
from pathlib import Path

import onnx
import pytest
from grpc_health.v1 import health_pb2

import plain
from bundle import graph
from client import Client, refusal
from repository import reason, states, until
from server import PLAIN_MODELS, TEST_MODELS, Server, podium
from test_health import stub

CANDIDATES = {"ids": ["a"]}
SERVED = {"apart": {1, 2}, "fixed": {3}, "joined": {1, 2}, "lengths": {1}, "mixing": {1}, "summing": {1}}


def ready(client: Client, name: str) -> set[int]:
    """Returns the versions of a model that answer."""
    return {version for version, state in states(client, name).items() if state == "READY"}


def test_a_repository_of_triton_is_served_without_a_change(log: Path) -> None:
    with Server(PLAIN_MODELS, log) as server:
        client = Client(server.address)
        infos = client.info().models
        assert {name: ready(client, name) for name in {info.name for info in infos}} == SERVED
        assert {client.enum_name("ModelRole", info.role) for info in infos} == {"MODEL_ROLE_TENSORS"}
        assert {(info.name, info.version) for info in infos if info.live} == {
            (name, max(versions)) for name, versions in SERVED.items()
        }
        joined = next(info for info in infos if info.name == "joined")
        assert (joined.instances, list(joined.outputs), list(joined.features)) == (1, ["sum"], [])
        for service in ("", "model/summing"):
            health = stub(client).Check(health_pb2.HealthCheckRequest(service=service), timeout=5)
            assert health.status == health_pb2.HealthCheckResponse.SERVING
        refused = refusal(lambda: client.rank(model={"name": "summing"}, candidates=CANDIDATES))
        assert (refused.code.name, refused.reason()) == ("INVALID_ARGUMENT", "NOT_A_RANKER")
        assert "podium quickstart" in refused.violations()["model.name"]
        listed = podium("models", "list", "--admin", f"http://127.0.0.1:{server.admin_port}")
        assert "summing" in listed.stdout, listed.stdout + listed.stderr
        client.close()
        assert "model   summing/1  (tensors)" in server.output()
        assert "`instance_group.kind` is not used" in server.output()


def test_rankers_answer_beside_models_without_a_manifest(tmp_path: Path, log: Path) -> None:
    shutil.copytree(TEST_MODELS / "nan-ranker", tmp_path / "models" / "nan-ranker")
    plain.write_model(tmp_path / "models", "a-sum/1", plain.summing())
    with Server(tmp_path / "models", log) as server:
        client = Client(server.address)
        assert client.info().default_model == "nan-ranker"
        assert ready(client, "a-sum") == {1}
        client.close()


def test_a_model_that_comes_is_looked_at_twice(tmp_path: Path, log: Path) -> None:
    models = tmp_path / "models"
    plain.write_model(models, "first/1", plain.summing())
    with Server(models, log, {"PODIUM_MODELS__POLL_INTERVAL": "200ms"}) as server:
        client = Client(server.address)
        plain.write_model(models, "second/1", plain.mixing())
        until(lambda: ready(client, "second"), "the model was not loaded")
        (models / "first" / "2").mkdir()
        (models / "first" / "2" / "model.onnx").write_bytes(plain.summing().SerializeToString()[:-9])
        until(lambda: states(client, "first").get(2) == "FAILED", "half a graph has not failed")
        assert ready(client, "first") == {1}
        client.close()
        said = server.output()
    assert "it has no manifest yet" in said


def test_values_beside_the_graph_are_taken_from_its_directory(tmp_path: Path) -> None:
    model = graph("weighing (float[n, 64] x) => (float[n, 2] y) { y = MatMul(x, w) }",
                  {"w": plain.weights()})  # fmt: skip
    directory = tmp_path / "weighing" / "1"
    directory.mkdir(parents=True)
    onnx.save(model, directory / "model.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    ended = podium("check", directory)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "2 read" in ended.stdout
    (directory / "w.bin").rename(directory / "real.bin")
    (directory / "w.bin").symlink_to("real.bin")
    ended = podium("check", directory)
    assert ended.returncode == 1
    assert "w.bin: is not a regular file" in ended.stderr, ended.stderr


@pytest.mark.parametrize("name", SERVED)
def test_each_is_fit_to_serve(name: str) -> None:
    directory = PLAIN_MODELS / name
    version = directory / str(max(SERVED[name]))
    ended = podium("check", version if version.exists() else directory)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    company = "company moves answers" in ended.stdout
    assert company == (name == "mixing"), ended.stdout


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ('platform: "tensorrt_plan"', ["line 1: platform", "only ONNX models"]),
        ("max_batch_size: 8\nsequence_batching { }", ["line 2: sequence_batching", "cannot be honoured"]),
        ("max_batch_sise: 8", ["line 1: max_batch_sise: is not known"]),
        ('input { name: "x" dims: [ 2, 4 ] }', ["input.x.dims[1]: is 4, and the graph has 3", "write 3"]),
        ('input { name: "y" }', ["input.y: is not in the graph", "input.x: is not described"]),
        ('output { name: "sum" data_type: TYPE_INT64 }', ["output.sum.data_type: is int64"]),
    ],
)
def test_what_cannot_be_honoured_is_told_with_the_fix(tmp_path: Path, config: str, words: list[str]) -> None:
    directory = plain.write_model(tmp_path, "summing/1", plain.summing())
    (tmp_path / "summing" / "config.pbtxt").write_text(config, encoding="utf-8")
    ended = podium("check", directory)
    assert ended.returncode == 1, ended.stdout
    for word in [*words, "config.pbtxt", "Fix: "]:
        assert word in ended.stderr, (word, ended.stderr)


def test_a_model_of_another_kind_fails_and_leaves_the_others_alone(tmp_path: Path, log: Path) -> None:
    plain.write_model(tmp_path / "models", "summing/1", plain.summing())
    other = tmp_path / "models" / "other"
    (other / "1").mkdir(parents=True)
    (other / "1" / "model.pt").write_bytes(b"weights")
    (other / "config.pbtxt").write_text('backend: "pytorch"', encoding="utf-8")
    doubles = graph("doubles (double[n] x) => (double[n] y) { y = Identity(x) }")
    plain.write_model(tmp_path / "models", "doubles/1", doubles)
    with Server(tmp_path / "models", log) as server:
        client = Client(server.address)
        assert ready(client, "summing") == {1}
        assert "backend: is `pytorch`" in reason(client, "other", 1)
        assert "inputs.x: has the type float64" in reason(client, "doubles", 1)
        client.close()


def test_values_that_are_no_tensors_are_refused(tmp_path: Path) -> None:
    model = graph("sequences (float[n] x) => (seq(float[n]) y) { y = SequenceConstruct(x) }")
    ended = podium("check", plain.write_model(tmp_path, "sequences/1", model))
    assert ended.returncode == 1
    assert "outputs.y: has the type sequence" in ended.stderr, ended.stderr
