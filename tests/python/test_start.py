"""Starting with wrong bundles, wrong settings, or nothing to serve."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2

from client import Client, refusal
from expected import column
from faulty import FAULTS
from repository import reason, states
from server import FAULTY_MODELS, TEST_MODELS, Server, free_port, podium
from test_health import stub

PRICES = {"ids": ["a"], "columns": [column("price", [1])]}
# A directory that is no version, or that holds neither manifest nor graph, is no bundle and passed over.
SILENT = {"missing-manifest", "version-zero", "version-text"}
SERVED = {"right"}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A model repository of the test's own."""
    path = tmp_path / "models"
    path.mkdir()
    return path


def test_faulty_bundles_are_reported_and_the_others_serve(log: Path) -> None:
    with Server(FAULTY_MODELS, log) as server:
        client = Client(server.address)
        assert {model.name for model in client.info().models if states(client, model.name) == {1: "READY"}} == SERVED
        features = {"name": "features", "vectors": {"dim": 3, "values": [1, 1, 1]}}
        candidates = {"ids": ["a"], "columns": [column("price", [1]), features]}
        assert len(client.rank(model={"name": "right"}, candidates=candidates).items) == 1
        assert refusal(lambda: client.rank(model={"name": "wrong-dim"}, candidates=candidates)).code.name in (
            "NOT_FOUND",
            "UNAVAILABLE",
        )
        health = stub(client).Check(health_pb2.HealthCheckRequest(service="model/wrong-dim"), timeout=5)
        assert health.status == health_pb2.HealthCheckResponse.NOT_SERVING
        client.close()
        report = server.output()
    for name in set(FAULTS) - SILENT - SERVED:
        assert name in report, name


def test_versions_are_ordered_as_numbers(repository: Path, log: Path) -> None:
    for version in ("2", "9", "10"):
        shutil.copytree(TEST_MODELS / "nan-ranker" / "1", repository / "nan-ranker" / version)
    with Server(repository, log) as server:
        client = Client(server.address)
        assert [model.version for model in client.info().models] == [2, 9, 10]
        assert client.rank(model={"name": "nan-ranker"}, candidates=PRICES).model_version == 10
        assert client.rank(model={"name": "nan-ranker", "version": 9}, candidates=PRICES).model_version == 9
        client.close()


def test_a_label_names_a_version(log: Path) -> None:
    with Server(TEST_MODELS, log, {"PODIUM_MODELS__LABELS": "{tiny-ranker={stable=1}}"}) as server:
        client = Client(server.address)
        candidates = {"ids": ["item-01"], "columns": [column("price", [1])]}
        answer = client.rank(model={"name": "tiny-ranker", "label": "stable"}, candidates=candidates)
        assert answer.model_version == 1
        client.close()


def test_the_default_model_answers_a_request_that_names_none(log: Path) -> None:
    with Server(TEST_MODELS, log, {"PODIUM_MODELS__DEFAULT": "nan-ranker"}) as server:
        client = Client(server.address)
        assert client.info().default_model == "nan-ranker"
        assert client.rank(candidates=PRICES).model_name == "nan-ranker"
        client.close()


def test_a_ranker_without_its_encoder_is_reported(repository: Path, log: Path) -> None:
    for name in ("tiny-ranker", "nan-ranker"):
        shutil.copytree(TEST_MODELS / name, repository / name)
    with Server(repository, log) as server:
        client = Client(server.address)
        assert states(client, "nan-ranker") == {1: "READY"}
        assert states(client, "tiny-ranker") == {1: "FAILED", 2: "FAILED"}
        assert "tiny-encoder/1 is not loaded" in reason(client, "tiny-ranker", 2)
        assert "tiny-encoder" in server.output()
        client.close()


def refused_start(*arguments: str | Path, settings: dict[str, str] | None = None) -> str:
    """Starts a server that has to refuse, and returns what it says."""
    listen = f"127.0.0.1:{free_port()}"
    ended = podium(
        "serve", "--listen", listen, "--admin-listen", f"127.0.0.1:{free_port()}", *arguments, settings=settings
    )
    assert ended.returncode != 0
    assert "panicked" not in ended.stderr, ended.stderr
    return ended.stdout + ended.stderr


def test_a_repository_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "no-such-directory" in refused_start("--models", tmp_path / "no-such-directory")


def test_cuda_is_refused_where_there_is_none() -> None:
    said = refused_start("--models", TEST_MODELS, settings={"PODIUM_RUNTIME__DEVICE": "cuda"})
    assert "cuda" in said.lower()


def test_a_missing_library_says_what_to_do(tmp_path: Path) -> None:
    missing = str(tmp_path / "libonnxruntime.so")
    said = refused_start("--models", TEST_MODELS, settings={"ORT_DYLIB_PATH": missing})
    assert missing in said
    assert "fetch-onnxruntime" in said


def test_a_library_that_is_none_says_so(tmp_path: Path) -> None:
    wrong = tmp_path / "libonnxruntime.so"
    wrong.write_bytes(b"no library")
    assert str(wrong) in refused_start("--models", TEST_MODELS, settings={"PODIUM_RUNTIME__LIBRARY": str(wrong)})


def test_a_port_in_use_is_named() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        ended = podium("serve", "--models", TEST_MODELS, "--listen", taken, "--admin-listen", "127.0.0.1:0")
    assert ended.returncode != 0
    assert taken in ended.stdout + ended.stderr


def test_the_right_bundle_alone_serves_without_a_default_named(repository: Path, log: Path) -> None:
    shutil.copytree(TEST_MODELS / "nan-ranker", repository / "nan-ranker")
    with Server(repository, log) as server:
        client = Client(server.address)
        named = client.rank(model={"name": "nan-ranker"}, candidates=PRICES)
        assert named.model_name == "nan-ranker"
        call = client.rank_later(candidates=PRICES)
        assert call.code() in (grpc.StatusCode.OK, grpc.StatusCode.NOT_FOUND)
        client.close()
