"""The repository by the Open Inference Protocol: on the admin listener only, and by the rules of `serving.toml`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tritonclient.grpc import service_pb2

import swap
from repository import Repository
from server import Server
from test_model_service import RARELY
from triton import connected, inputs_of, refused, stub

PRICE = {"price": np.array([1, 2], np.float32)}


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A repository with three versions of the swap ranker."""
    made = Repository(tmp_path)
    for version in (1, 2, 3):
        made.publish(swap.ranker(version))
    return made


def states(admin: Any, **fields: Any) -> dict[str, str]:
    """Returns the states of the swap ranker's versions."""
    index = service_pb2.RepositoryIndexRequest(**fields)
    return {one.version: one.state for one in admin.RepositoryIndex(index).models if one.name == swap.NAME}


def test_versions_are_listed_loaded_and_unloaded(repository: Repository, log: Path) -> None:
    with Server(repository.path, log, RARELY) as server:
        port = server.admin_port
        with stub(port) as plain, connected(port) as admin, connected(server.port) as caller:
            assert states(plain) == {"1": "READY", "2": "READY", "3": "READY"}
            admin.unload_model(f"{swap.NAME}/1")
            assert not caller.is_model_ready(swap.NAME, "1")
            for call in (
                lambda: caller.infer(swap.NAME, inputs_of(PRICE), "1"),
                lambda: caller.get_model_metadata(swap.NAME, "1"),
            ):
                code, told = refused(call)
                assert (code, f"{swap.NAME}/1 is" in told) == ("UNAVAILABLE", True), told
            assert refused(lambda: caller.infer(swap.NAME, inputs_of(PRICE), "9"))[0] == "NOT_FOUND"
            assert states(plain)["1"] in ("UNLOADING", "UNAVAILABLE")
            assert states(plain, ready=True) == {"2": "READY", "3": "READY"}
            assert "unloaded" in (repository.path / "serving.toml").read_text(encoding="utf-8")
            admin.load_model(f"{swap.NAME}/1")
            assert caller.is_model_ready(swap.NAME, "1")
            admin.load_model(swap.NAME)
            result = caller.infer(swap.NAME, inputs_of(PRICE), "1")
            assert swap.version_of(result.as_numpy("score")[0]) == 1
            assert len(admin.get_model_repository_index().models) == 3


def test_what_serving_toml_forbids_is_a_failed_precondition(repository: Repository, log: Path) -> None:
    text = f'[models.{swap.NAME}]\nlive = 3\nlabels = {{ stable = 2 }}\nrejected = {{ 1 = "slow" }}\n'
    repository.say(text)
    with Server(repository.path, log, RARELY) as server, connected(server.admin_port) as admin:
        for call, said in (
            (lambda: admin.unload_model(swap.NAME), "is live; promote another version first"),
            (lambda: admin.unload_model(f"{swap.NAME}/3"), "is live"),
            (lambda: admin.unload_model(f"{swap.NAME}/2"), "has the label `stable`"),
            (lambda: admin.load_model(f"{swap.NAME}/1"), "is rejected (slow)"),
        ):
            code, told = refused(call)
            assert (code, said in told) == ("FAILED_PRECONDITION", True), told
        assert (repository.path / "serving.toml").read_text(encoding="utf-8") == text
        assert refused(lambda: admin.load_model("nobody"))[0] == "NOT_FOUND"
        assert refused(lambda: admin.load_model(f"{swap.NAME}/9"))[0] == "NOT_FOUND"
        for wrong in (
            lambda: admin.load_model("no/such/model"),
            lambda: admin.load_model(swap.NAME, config="{}"),
            lambda: admin.unload_model(swap.NAME, unload_dependents=True),
        ):
            assert refused(wrong)[0] == "INVALID_ARGUMENT"


def test_the_listener_for_everybody_tells_where_to_ask(repository: Repository, log: Path) -> None:
    with Server(repository.path, log, RARELY) as server, connected(server.port) as caller:
        for call in (
            caller.get_model_repository_index,
            lambda: caller.load_model(f"{swap.NAME}/1"),
            lambda: caller.unload_model(f"{swap.NAME}/1"),
        ):
            code, told = refused(call)
            assert code == "FAILED_PRECONDITION"
            assert f"on the admin listener only; ask it at 127.0.0.1:{server.admin_port}" in told
        assert caller.is_model_ready(swap.NAME, "1")
    assert not (repository.path / "serving.toml").exists()
