"""`podium.v1.ModelService` on the admin listener: what serves is changed as a whole, at once, and on every server."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_reflection.v1alpha import reflection_pb2

import faulty
import swap
from client import MODEL_SERVICE, RANK_SERVICE, Client, refusal
from repository import Repository, reaches, states, until
from server import Server
from test_hot_swap import FOUND, FREED, QUICK, READY, answering, answers_with, load
from test_reflection import ask

RARELY = {"PODIUM_MODELS__POLL_INTERVAL": "1h"}
BY_HAND = f"# What serves.\n[models.{swap.NAME}]\nlive = 2  # since May\n"


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A repository with three versions of the swap ranker."""
    made = Repository(tmp_path)
    for version in (1, 2, 3):
        made.publish(swap.ranker(version))
    return made


@contextmanager
def managed(
    repository: Repository, log: Path, settings: dict[str, str] | None = None
) -> Iterator[tuple[Server, Client, Client]]:
    """Starts a server, and returns it with a caller and a manager."""
    with Server(repository.path, log, RARELY if settings is None else settings) as server:
        client, manager = Client(server.address), Client(f"127.0.0.1:{server.admin_port}")
        yield server, client, manager
        client.close()
        manager.close()
        server.terminate()
        assert server.wait() == 0
    assert "panicked" not in server.output()
    assert "this is a bug" not in server.output()


def said(repository: Repository) -> str:
    """Returns the text of `serving.toml`."""
    return (repository.path / "serving.toml").read_text(encoding="utf-8")


def model(manager: Client) -> Any:
    """Returns the swap ranker as the service tells it."""
    return manager.models("ListModels", name=swap.NAME).models[0]


def conflicts(call: Any) -> list[tuple[str, str]]:
    """Makes a call that has to conflict, and returns with what: kinds and subjects."""
    failed = refusal(call)
    assert failed.code == grpc.StatusCode.FAILED_PRECONDITION, failed
    detail = failed.detail(error_details_pb2.PreconditionFailure)
    return [(violation.type, violation.subject) for violation in detail.violations]


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_only_the_admin_listener_has_the_service(repository: Repository, log: Path, version: str) -> None:
    with managed(repository, log) as (_, client, manager):

        def listed(caller: Client) -> set[str]:
            return {s.name for s in ask(caller, version, list_services="").list_services_response.service}

        assert {MODEL_SERVICE, "grpc.health.v1.Health"} <= listed(manager)
        assert RANK_SERVICE not in listed(manager)
        assert MODEL_SERVICE not in listed(client)
        assert RANK_SERVICE in listed(client)
        call = client.channel.unary_unary(
            f"/{MODEL_SERVICE}/ListModels", bytes, reflection_pb2.ErrorResponse.FromString
        )
        assert refusal(lambda: call(b"", timeout=5)).code == grpc.StatusCode.UNIMPLEMENTED
        call = manager.channel.unary_unary(f"/{RANK_SERVICE}/Rank", bytes, reflection_pb2.ErrorResponse.FromString)
        assert refusal(lambda: call(b"", timeout=5)).code == grpc.StatusCode.UNIMPLEMENTED


def test_a_change_is_followed_at_once_and_keeps_what_a_person_wrote(repository: Repository, log: Path) -> None:
    repository.say(BY_HAND)
    with managed(repository, log) as (server, client, manager):
        assert answering(client) == 2
        with load(server) as told:
            before = manager.models("ListModels").revision
            promoted = manager.models("PromoteModel", name=swap.NAME, target="3")
            answers_with(client, 3)
            assert said(repository) == BY_HAND.replace("live = 2", "live = 3") + "previous = 2\n"
            assert promoted.live == 3
            assert promoted.revision == until(lambda: manager.models("ListModels").revision, "") != before
            back = manager.models("RollbackModel", name=swap.NAME, reason="it was worse")
            answers_with(client, 2)
            assert (back.rolled_back, back.live) == (3, 2)
        assert not told.errors
        assert said(repository) == f'{BY_HAND}\n[models.{swap.NAME}.rejected]\n3 = "it was worse"\n'
        now = model(manager)
        assert (now.live, now.answering, now.previous) == (2, 2, 0)
        assert [(rejected.version, rejected.reason) for rejected in now.rejected] == [(3, "it was worse")]


def test_latest_does_not_choose_what_was_rolled_back(repository: Repository, log: Path) -> None:
    with managed(repository, log, QUICK) as (_, client, manager):
        assert answering(client) == 3
        assert manager.models("RollbackModel", name=swap.NAME).live == 0
        answers_with(client, 2)
        assert "live" not in said(repository)
        repository.publish(swap.ranker(4))
        answers_with(client, 4)
        manager.models("PromoteModel", name=swap.NAME, target="3")
        answers_with(client, 3)
        assert "rejected" not in said(repository)


def test_versions_are_loaded_and_unloaded(repository: Repository, log: Path) -> None:
    with managed(repository, log) as (_, client, manager):
        manager.models("UnloadModel", name=swap.NAME, version=1)
        reaches(client, swap.NAME, {1: FREED, 2: READY, 3: READY})
        assert refusal(lambda: answering(client, version=1)).code == grpc.StatusCode.NOT_FOUND
        manager.models("LoadModel", name=swap.NAME, version=1)
        answers_with_version = partial(answering, client, version=1)
        reaches(client, swap.NAME, {1: READY, 2: READY, 3: READY})
        assert answers_with_version() == 1


def test_what_conflicts_with_the_state_is_refused(repository: Repository, log: Path) -> None:
    bad = repository.stage(swap.ranker(4))
    faulty.write_garbage(bad)
    repository.move_in(bad, swap.NAME, 4)
    text = (
        f"[models.{swap.NAME}]\nlive = 3\nlabels = {{ stable = 2 }}\nsplit = {{ stable = 5 }}\n"
        'callers = { batch = 1 }\nrejected = { 1 = "slow" }\n'
    )
    repository.say(text)
    with managed(repository, log) as (_, _, manager):
        call = partial(manager.models, name=swap.NAME)

        def of(version: int) -> str:
            return f"{swap.NAME}/{version}"

        assert conflicts(lambda: call("UnloadModel", version=3)) == [("LIVE", of(3))]
        assert conflicts(lambda: call("UnloadModel", version=2)) == [("LABEL", of(2)), ("SPLIT", of(2))]
        assert conflicts(lambda: call("UnloadModel", version=1)) == [("CALLER", of(1))]
        assert conflicts(lambda: call("PromoteModel", target="4")) == [("FAILED", of(4))]
        assert conflicts(lambda: call("LoadModel", version=1)) == [("REJECTED", of(1))]
        assert conflicts(lambda: call("SetShadow", target="3")) == [("LIVE", of(3))]
        assert conflicts(lambda: call("SplitTraffic", split=[{"target": "1", "percent": 5}])) == [("REJECTED", of(1))]
        stale = conflicts(lambda: call("PromoteModel", target="2", revision="0123456789abcdef"))
        assert stale == [("REVISION", "serving.toml")]
        for method, fields, resource in (
            ("LoadModel", {"version": 9}, of(9)),
            ("PromoteModel", {"target": "canary"}, f"{swap.NAME}/canary"),
        ):
            failed = refusal(partial(call, method, **fields))
            assert (failed.code, failed.resource()) == (grpc.StatusCode.NOT_FOUND, resource)
        failed = refusal(lambda: manager.models("LoadModel", name="nobody", version=1))
        assert (failed.code, failed.resource()) == (grpc.StatusCode.NOT_FOUND, "nobody")
        failed = refusal(lambda: manager.models("LoadModel", name="../x", version=0))
        assert (failed.code, set(failed.violations())) == (grpc.StatusCode.INVALID_ARGUMENT, {"name", "version"})
        shares = [{"target": "2", "percent": 70}, {"target": "1", "percent": 40}]
        failed = refusal(lambda: call("SplitTraffic", split=shares))
        assert (failed.code, set(failed.violations())) == (grpc.StatusCode.INVALID_ARGUMENT, {"split"})
        assert said(repository) == text, "a change that was refused has changed something"
        repository.say("[models.x\n")
        assert conflicts(lambda: call("LoadModel", version=2)) == [("SERVING_FILE", "serving.toml")]


def test_of_many_who_change_the_same_state_one_wins(repository: Repository, log: Path) -> None:
    repository.say(BY_HAND)
    with managed(repository, log) as (_, _, manager):
        revision = manager.models("ListModels").revision
        told: list[str] = []

        def promote(target: str) -> None:
            method, message = manager.method(MODEL_SERVICE, "PromoteModel"), "PromoteModelRequest"
            call = method.future(manager.message(message, name=swap.NAME, target=target, revision=revision), timeout=20)
            told.append(call.code().name if call.exception() else call.result().revision)

        threads = [threading.Thread(target=promote, args=(str(1 + 2 * (n % 2)),)) for n in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        refused = told.count("FAILED_PRECONDITION")
        assert (len(told), refused) == (16, 15), told
        until(lambda: manager.models("ListModels").revision in told, "the change is not followed")


def test_what_was_published_a_moment_ago_is_found(repository: Repository, log: Path) -> None:
    with managed(repository, log) as (_, client, manager):
        repository.publish(swap.ranker(12))
        assert manager.models("PromoteModel", name=swap.NAME, target="12").live == 12
        answers_with(client, 12)


def test_other_replicas_follow_and_a_restarted_one_comes_back(repository: Repository, tmp_path: Path) -> None:
    with managed(repository, tmp_path / "a") as (_, client, manager):
        with managed(repository, tmp_path / "b", QUICK) as (_, other, _):
            manager.models("PromoteModel", name=swap.NAME, target="1")
            answers_with(client, 1)
            answers_with(other, 1)
        with managed(repository, tmp_path / "c") as (_, other, its_manager):
            assert answering(other) == 1
            assert its_manager.models("ListModels").revision == manager.models("ListModels").revision


def test_a_watcher_is_told_of_every_change(repository: Repository, log: Path) -> None:
    with Server(repository.path, log, RARELY) as server:
        manager = Client(f"127.0.0.1:{server.admin_port}")
        told: list[Any] = []
        watch = manager.models("WatchModels", timeout=60, name=swap.NAME)

        def listen() -> None:
            told.extend(response.state for response in watch)

        listener = threading.Thread(target=listen)
        listener.start()
        until(lambda: told, "nothing is told at first")
        manager.models("PromoteModel", name=swap.NAME, target="1")
        until(lambda: told[-1].models[0].answering == 1, "the promotion is not told")
        manager.models("UnloadModel", name=swap.NAME, version=3)
        freed = manager.pool.FindEnumTypeByName("podium.v1.ModelState").values_by_name["MODEL_STATE_FREED"].number
        until(lambda: told[-1].models[0].versions[2].state == freed, "the unloading is not told")
        assert len(told) < 12, "it is told over and over"
        assert refusal(lambda: manager.models("ListModels", name="nobody")).code == grpc.StatusCode.NOT_FOUND
        server.terminate()
        listener.join(20)
        assert not listener.is_alive()
        assert watch.code() == grpc.StatusCode.OK
        assert server.wait() == 0
        manager.close()


def loads(server: Server) -> int:
    """Returns how often a version was loaded."""
    return server.output().count('"message":"loaded"')


def test_a_rollback_loads_nothing_while_the_version_before_is_warm(repository: Repository, log: Path) -> None:
    repository.say(f'[models.{swap.NAME}]\nload = "live"\nlive = 1\n')
    with managed(repository, log) as (server, client, manager):
        manager.models("PromoteModel", name=swap.NAME, target="2")
        answers_with(client, 2)
        assert states(client, swap.NAME) == {1: READY, 2: READY, 3: FOUND}
        before = loads(server)
        begun = time.monotonic()
        manager.models("RollbackModel", name=swap.NAME)
        while answering(client) != 1:
            assert time.monotonic() < begun + 15
        print(f"rolled back within {(time.monotonic() - begun) * 1e3:.1f} ms")
        reaches(client, swap.NAME, {1: READY, 2: FREED, 3: FOUND})
        assert loads(server) == before, "the rollback loaded something"


def test_what_was_live_is_freed_when_its_time_is_up(repository: Repository, log: Path) -> None:
    repository.say(f'[models.{swap.NAME}]\nload = "live"\nlive = 1\nkeep_warm = "2s"\n')
    with managed(repository, log) as (_, client, manager):
        manager.models("PromoteModel", name=swap.NAME, target="2")
        answers_with(client, 2)
        assert states(client, swap.NAME)[1] == READY
        reaches(client, swap.NAME, {1: FREED, 2: READY, 3: FOUND})
        manager.models("PromoteModel", name=swap.NAME, target="3")
        answers_with(client, 3)
        assert states(client, swap.NAME)[2] == READY
        repository.remove(swap.NAME, 2)
        manager.models("SplitTraffic", name=swap.NAME, callers=[{"caller": "batch", "target": "1"}])
        reaches(client, swap.NAME, {1: READY, 3: READY})


def test_a_rollback_waits_for_no_version_that_is_loaded(repository: Repository, log: Path) -> None:
    with managed(repository, log) as (_, client, manager):
        manager.models("PromoteModel", name=swap.NAME, target="2")
        answers_with(client, 2)
        repository.publish(swap.ranker(9, model_bytes=24 << 20))
        manager.models("LoadModel", name=swap.NAME, version=9)
        at_it = {"VERIFYING", "LOADING", "WARMING"}
        until(lambda: states(client, swap.NAME).get(9) in at_it, "version 9 is not being loaded", 30)
        manager.models("RollbackModel", name=swap.NAME)
        answers_with(client, 3)
        assert states(client, swap.NAME)[9] in at_it, "version 9 came first: this says nothing"
        until(lambda: states(client, swap.NAME)[9] == READY, "version 9 never came", 60)
        assert answering(client) == 3


def test_the_default_model_takes_over_when_it_comes(repository: Repository, log: Path) -> None:
    with managed(repository, log, QUICK | {"PODIUM_MODELS__DEFAULT": "the-default"}) as (_, client, _):

        def nameless() -> Any:
            column = {"name": "price", "floats": {"values": [1]}}
            return client.rank(candidates={"ids": ["a"], "columns": [column]}).model_name

        assert nameless() == client.info().default_model == swap.NAME
        repository.publish(swap.ranker(1, name="the-default"))
        until(lambda: nameless() == "the-default", "the default model never took over")
        assert client.info().default_model == "the-default"
        repository.remove("the-default")
        until(lambda: nameless() == swap.NAME, "nobody answers in place of the default model")
