"""Versions come and go while the server serves; who ranks notices no more than another version in the answer."""

from __future__ import annotations

import shutil
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2

import faulty
import swap
import tiny
from client import Client, refusal
from expected import column
from repository import SOON, Repository, reaches, reason, states, until
from server import TEST_MODELS, Server, podium
from slow import rounds_for, slow
from test_health import stub

QUICK = {"PODIUM_MODELS__POLL_INTERVAL": "100ms"}
POLLS = 1.0  # seconds in which a quick server has looked several times
PRICES = {"ids": ["a", "b", "c"], "columns": [column("price", [3, 1, 2])]}
READY, FAILED, FOUND, FREED = "READY", "FAILED", "FOUND", "FREED"


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A repository with the first version of the swap ranker."""
    made = Repository(tmp_path)
    made.publish(swap.ranker(1))
    return made


@contextmanager
def serving(
    repository: Repository, log: Path, settings: dict[str, str] | None = None
) -> Iterator[tuple[Server, Client]]:
    """Starts a server that follows the repository."""
    with Server(repository.path, log, QUICK if settings is None else settings) as server:
        client = Client(server.address)
        yield server, client
        client.close()
        server.terminate()
        assert server.wait() == 0
    assert "panicked" not in server.output()
    assert "this is a bug" not in server.output()


def answering(client: Client, **model: Any) -> int:
    """Ranks, holds the scores against the version that the answer names, and returns that version."""
    answer = client.rank(model={"name": swap.NAME} | model, candidates=PRICES)
    assert [item.index for item in answer.items] == [0, 2, 1]
    assert {swap.version_of(item.score) for item in answer.items} == {answer.model_version}
    version: int = answer.model_version
    return version


def answers_with(client: Client, version: int, seconds: float = SOON, **model: Any) -> None:
    """Waits until requests go to the version."""
    until(lambda: answering(client, **model) == version, f"version {version} never answered", seconds)


@dataclass
class Load:
    """Callers who rank without a pause, and what they were told."""

    versions: list[list[int]]
    errors: list[str]


@contextmanager
def load(server: Server, callers: int = 3) -> Iterator[Load]:
    """Ranks from several connections until the block ends."""
    told = Load([[] for _ in range(callers)], [])
    stop = threading.Event()

    def call(seen: list[int]) -> None:
        client = Client(server.address)
        try:
            while not stop.is_set():
                seen.append(answering(client))
        except (grpc.RpcError, AssertionError) as error:
            told.errors.append(repr(error))
        client.close()

    threads = [threading.Thread(target=call, args=(seen,)) for seen in told.versions]
    for thread in threads:
        thread.start()
    try:
        yield told
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_a_version_that_is_renamed_into_its_place_answers_within_ten_seconds(repository: Repository, log: Path) -> None:
    with serving(repository, log, {}) as (server, client), load(server) as told:
        time.sleep(0.5)
        repository.publish(swap.ranker(2))
        answers_with(client, 2, seconds=10)
        time.sleep(0.5)
    assert not told.errors
    for seen in told.versions:
        assert seen == sorted(seen), "an answer came from the old version after one from the new"
        assert set(seen) == {1, 2}


def test_versions_order_as_numbers(repository: Repository, log: Path) -> None:
    with serving(repository, log) as (_, client):
        for version in (9, 10):
            repository.publish(swap.ranker(version))
            answers_with(client, version)
        repository.publish(swap.ranker(2))
        reaches(client, swap.NAME, {1: READY, 2: READY, 9: READY, 10: READY})
        assert answering(client) == 10
        assert answering(client, version=2) == 2
        assert answering(client, label="latest") == 10


def test_what_has_another_name_or_no_manifest_is_not_looked_at(repository: Repository, log: Path) -> None:
    with serving(repository, log) as (server, client):
        for name in ("2.tmp", ".2", "02", "2 ", "%2e%2e", "v2"):
            repository.move_in(repository.stage(swap.ranker(2)), swap.NAME, name)
        for name in (".swap-ranker", "Swap", "a b"):
            repository.move_in(repository.stage(swap.ranker(2)), name, "2")
        unfinished = repository.stage(swap.ranker(3))
        (unfinished / "model.toml").unlink()
        repository.move_in(unfinished, swap.NAME, 3)
        time.sleep(POLLS)
        assert states(client, swap.NAME) == {1: READY}
        assert {model.name for model in client.info().models} == {swap.NAME}
        assert "left out" not in server.output()


def test_a_bundle_that_is_being_copied_is_loaded_when_it_is_whole(repository: Repository, log: Path) -> None:
    staged = repository.stage(swap.ranker(2, model_bytes=200_000))
    graph = (staged / "model.onnx").read_bytes()
    place = repository.path / swap.NAME / "2"
    # A copy that pauses from one look to the next is given up for the time being.
    with serving(repository, log, {"PODIUM_MODELS__POLL_INTERVAL": "1s"}) as (_, client):
        place.mkdir()
        shutil.copy(staged / "model.toml", place)
        seen = set()
        with (place / "model.onnx").open("wb", buffering=0) as copy:
            for start in range(0, len(graph), 10_000):
                copy.write(graph[start : start + 10_000])
                seen.add(states(client, swap.NAME).get(2, FOUND))
                time.sleep(0.06)
        answers_with(client, 2)
    assert seen <= {FOUND, "VERIFYING"}, "it was given up, or loaded, while it was being copied"
    assert "it may be being copied" in log.read_text(encoding="utf-8")


def test_a_copy_that_stops_half_way_fails_and_is_mended(repository: Repository, log: Path) -> None:
    staged = repository.stage(swap.ranker(2))
    graph = (staged / "model.onnx").read_bytes()
    place = repository.path / swap.NAME / "2"
    with serving(repository, log) as (_, client):
        place.mkdir()
        (place / "model.onnx").write_bytes(graph[:-10])
        shutil.copy(staged / "model.toml", place)
        reaches(client, swap.NAME, {1: READY, 2: FAILED})
        assert "sha256" in reason(client, swap.NAME, 2)
        assert answering(client) == 1
        (place / "model.onnx").write_bytes(graph)
        answers_with(client, 2)
        assert reason(client, swap.NAME, 2) == ""


SPOILT = sorted(set(faulty.FAULTS) - {"missing-manifest", "version-zero", "version-text", "golden-off"})


def test_a_bundle_that_is_at_fault_leaves_the_live_version_serving(repository: Repository, log: Path) -> None:
    right = replace(faulty.RIGHT, name="shop")
    repository.publish(right)
    features = {"name": "features", "vectors": {"dim": 3, "values": [1, 1, 1]}}
    candidates = {"ids": ["a"], "columns": [column("price", [1]), features]}
    with serving(repository, log) as (server, client):
        for version, name in enumerate(SPOILT, start=2):
            spoilt = faulty.write_fault(name, repository.staging)
            repository.move_in(spoilt, "shop", version)
        want = {1: READY} | {version: FAILED for version, _ in enumerate(SPOILT, start=2)}
        reaches(client, "shop", want, seconds=60)
        for version, name in enumerate(SPOILT, start=2):
            words = [word.replace("outside.txt", "") for word in faulty.FAULTS[name].words]
            told = reason(client, "shop", version)
            assert all(word in told for word in words), f"{name}: {told}"
            asked = {"name": "shop", "version": version}
            failed = refusal(partial(client.rank, model=asked, candidates=candidates))
            assert failed.code == grpc.StatusCode.NOT_FOUND
        answer = client.rank(model={"name": "shop"}, candidates=candidates)
        assert answer.model_version == 1
        health = stub(client).Check(health_pb2.HealthCheckRequest(service="model/shop"), timeout=5)
        assert health.status == health_pb2.HealthCheckResponse.SERVING
        assert server.output().count("left out") == len(SPOILT), "a failure was tried or told again without a change"


def test_a_version_whose_directory_is_gone_is_unloaded(repository: Repository, log: Path) -> None:
    for bundle in (swap.ranker(2), swap.ranker(3), swap.ranker(1, name="other")):
        repository.publish(bundle)
    with serving(repository, log) as (_, client):
        repository.remove(swap.NAME, 2)
        reaches(client, swap.NAME, {1: READY, 3: READY})
        gone = refusal(lambda: answering(client, version=2))
        assert (gone.code, gone.resource()) == (grpc.StatusCode.NOT_FOUND, f"{swap.NAME}/2")
        repository.remove(swap.NAME, 3)
        answers_with(client, 1)
        reaches(client, swap.NAME, {1: READY})
        repository.publish(swap.ranker(3))
        answers_with(client, 3)
        repository.remove("other")
        reaches(client, "other", {})
        check = health_pb2.HealthCheckRequest(service="model/other")
        time.sleep(POLLS)
        assert refusal(lambda: stub(client).Check(check, timeout=5)).code == grpc.StatusCode.NOT_FOUND


def test_a_repository_that_vanishes_changes_nothing(repository: Repository, log: Path) -> None:
    away = repository.path.with_name("away")
    with serving(repository, log) as (server, client), load(server) as told:
        repository.path.rename(away)
        until(lambda: "cannot be read" in client.info().repository_fault, "nobody says that it is gone")
        repository.path.mkdir()
        until(lambda: "no bundle is left" in client.info().repository_fault, "nobody says that it is empty")
        assert states(client, swap.NAME) == {1: READY}
        repository.path.rmdir()
        away.rename(repository.path)
        until(lambda: not client.info().repository_fault, "nobody says that it is right again")
        repository.publish(swap.ranker(2))
        answers_with(client, 2)
    assert not told.errors


def test_a_request_ends_on_the_version_that_it_began_with(repository: Repository, log: Path) -> None:
    shutil.copytree(TEST_MODELS / "slow-ranker", repository.path / "slow-ranker")
    with serving(repository, log) as (_, client):
        rounds = rounds_for(client, 3)
        call = client.rank_later(**slow(rounds))
        time.sleep(0.3)
        repository.remove("slow-ranker")
        reaches(client, "slow-ranker", {1: "DRAINING"})
        failed = refusal(lambda: client.rank(**slow(1)))
        assert failed.code == grpc.StatusCode.NOT_FOUND
        assert call.result().model_version == 1
        reaches(client, "slow-ranker", {})


def test_the_file_says_what_is_live(repository: Repository, log: Path) -> None:
    for version in (2, 3):
        repository.publish(swap.ranker(version))
    with serving(repository, log, QUICK | {"PODIUM_MODELS__LABELS": "{swap-ranker={stable=1,old=1}}"}) as (
        server,
        client,
    ):
        assert [answering(client), answering(client, label="stable")] == [3, 1]
        with load(server) as told:
            repository.say(f"[models.{swap.NAME}]\nlive = 2\nlabels = {{ stable = 2, canary = 3 }}")
            answers_with(client, 2)
            want = {"stable": 2, "canary": 3, "old": 1, "latest": 3}
            until(lambda: {label: answering(client, label=label) for label in want} == want, "the labels")
            live = {model.version: (model.live, list(model.labels)) for model in client.info().models}
            assert live == {1: (False, ["old"]), 2: (True, ["stable"]), 3: (False, ["latest", "canary"])}
            repository.publish(swap.ranker(4))
            reaches(client, swap.NAME, {1: READY, 2: READY, 3: READY, 4: READY})
            assert answering(client) == 2
            repository.say(f"[models.{swap.NAME}]\nlive = 4")
            answers_with(client, 4)
            repository.say(f"[models.{swap.NAME}]\nlive = 3")
            answers_with(client, 3)
            failed = refusal(lambda: answering(client, label="canary"))
            assert failed.code == grpc.StatusCode.NOT_FOUND
            (repository.path / "serving.toml").unlink()
            answers_with(client, 4)
            answers_with(client, 1, label="stable")
        assert not told.errors


def test_only_what_the_file_needs_is_loaded(repository: Repository, log: Path) -> None:
    for version in (2, 3, 4):
        repository.publish(swap.ranker(version))
    repository.say(f'[models.{swap.NAME}]\nlive = 2\nload = "live"\nlabels = {{ canary = 3 }}\nkeep_warm = "0s"')
    with serving(repository, log) as (server, client):
        assert states(client, swap.NAME) == {1: FOUND, 2: READY, 3: READY, 4: FOUND}
        assert answering(client) == 2
        with load(server) as told:
            repository.say(f'[models.{swap.NAME}]\nload = "live"\nkeep_warm = "0s"')
            answers_with(client, 4)
            reaches(client, swap.NAME, {1: FOUND, 2: FREED, 3: FREED, 4: READY})
            repository.say(f'[models.{swap.NAME}]\nload = "live"\nlive = 2\nkeep_warm = "0s"')
            answers_with(client, 2)
            reaches(client, swap.NAME, {1: FOUND, 2: READY, 3: FREED, 4: FREED})
        assert not told.errors


def test_the_next_best_stays_where_the_latest_is_at_fault(repository: Repository, log: Path) -> None:
    repository.say(f'[models.{swap.NAME}]\nload = "live"\nkeep_warm = "0s"')
    with serving(repository, log) as (server, client), load(server) as told:
        spoilt = repository.stage(swap.ranker(2))
        faulty.write_garbage(spoilt)
        repository.move_in(spoilt, swap.NAME, 2)
        reaches(client, swap.NAME, {1: READY, 2: FAILED})
        repository.publish(swap.ranker(3))
        answers_with(client, 3)
        reaches(client, swap.NAME, {1: FREED, 2: FAILED, 3: READY})
    assert not told.errors


def test_a_live_version_that_is_not_there_is_told_and_changes_nothing(repository: Repository, log: Path) -> None:
    with serving(repository, log) as (_, client):
        repository.say(f"[models.{swap.NAME}]\nlive = 7\n[models.nobody]\nlive = 1")
        fault = until(lambda: client.info().repository_fault, "nobody says that version 7 is missing")
        assert "live is 7" in fault
        assert "models.nobody" in fault
        assert answering(client) == 1
        repository.publish(swap.ranker(2))
        reaches(client, swap.NAME, {1: READY, 2: READY})
        assert answering(client) == 1
        repository.publish(swap.ranker(7))
        answers_with(client, 7)


FAULTY_FILES = {
    "[models.swap-ranker]\nlife = 1": "unknown field `life`",
    "[model.swap-ranker]\nlive = 1": "unknown field `model`",
    "[models.swap-ranker\nlive = 1": "line 1",
    '[models.swap-ranker]\nlive = "newest"': "newest",
    "[models.swap-ranker]\nlive = 0": "live: is 0",
    "[models.swap-ranker]\nlabels = { latest = 1 }": "reserved",
    '[models."../x"]\nlive = 1': "no model's name",
}


def tells(client: Client, words: str) -> bool:
    """Says whether the server tells these words of its repository."""
    return words in client.info().repository_fault


def test_a_faulty_file_keeps_the_last_good_state(repository: Repository, log: Path) -> None:
    for version in (2, 3):
        repository.publish(swap.ranker(version))
    repository.say(f"[models.{swap.NAME}]\nlive = 2\nlabels = {{ stable = 1 }}")
    with serving(repository, log) as (server, client):
        for number, (text, words) in enumerate(FAULTY_FILES.items(), start=1):
            repository.say(text)
            until(partial(tells, client, words), f"{text!r} is not told")
            time.sleep(POLLS / 2)
            assert [answering(client), answering(client, label="stable")] == [2, 1]
            assert server.output().count("something is wrong") == number, "each fault is told once"
        repository.publish(swap.ranker(4))
        reaches(client, swap.NAME, {1: READY, 2: READY, 3: READY, 4: READY})
        assert answering(client) == 2
        repository.say(f"[models.{swap.NAME}]\nlive = 3")
        answers_with(client, 3)
        assert not client.info().repository_fault


def test_a_faulty_file_at_the_start_is_refused(repository: Repository) -> None:
    repository.say("[models.swap-ranker]\nlife = 1")
    ended = podium("serve", "--models", repository.path, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0")
    assert ended.returncode != 0
    assert "unknown field `life`" in ended.stderr


def test_an_encoder_and_its_rankers_come_and_go_together(repository: Repository, log: Path) -> None:
    def tiny_ranker(version: int, encoder: int) -> Any:
        made = tiny.ranker(2)
        named = made.manifest.replace(
            'name = "tiny-encoder"\nversion = 1', f'name = "tiny-encoder"\nversion = {encoder}'
        )
        return replace(made, version=str(version), manifest=named)

    def rank(client: Client) -> tuple[int, int]:
        candidates = {"ids": ["item-01"], "columns": [column("price", [1])]}
        answer = client.rank(model={"name": "tiny-ranker"}, user={"id": "anna"}, candidates=candidates)
        return answer.model_version, answer.encoder_version

    encoder = tiny.encoder()
    repository.publish(encoder)
    repository.publish(tiny_ranker(1, 1))
    keys = 'load = "live"\nkeep_warm = "0s"'
    repository.say(f"[models.tiny-ranker]\n{keys}\n[models.tiny-encoder]\n{keys}")
    with serving(repository, log) as (_, client):
        assert rank(client) == (1, 1)
        repository.publish(tiny_ranker(2, 2))
        reaches(client, "tiny-ranker", {1: READY, 2: FAILED})
        assert "tiny-encoder/2 is not loaded" in reason(client, "tiny-ranker", 2)
        assert rank(client) == (1, 1)
        repository.publish(replace(encoder, version="2"))
        until(lambda: rank(client) == (2, 2), "the new ranker never answered with its encoder")
        reaches(client, "tiny-encoder", {1: FREED, 2: READY})
        reaches(client, "tiny-ranker", {1: FREED, 2: READY})
        repository.remove("tiny-encoder", 2)
        answers = {rank(client) for _ in range(50)}
        time.sleep(POLLS)
        assert answers | {rank(client)} == {(2, 2)}, "a ranker lost the encoder that it holds"


def test_health_follows_each_model(repository: Repository, log: Path) -> None:
    with serving(repository, log) as (_, client):
        broken = repository.stage(swap.ranker(1, name="new"))
        faulty.write_garbage(broken)
        repository.move_in(broken, "new", 1)
        reaches(client, "new", {1: FAILED})
        updates = iter(stub(client).Watch(health_pb2.HealthCheckRequest(service="model/new"), timeout=20))
        assert next(updates).status == health_pb2.HealthCheckResponse.NOT_SERVING
        repository.publish(swap.ranker(2, name="new"))
        assert next(updates).status == health_pb2.HealthCheckResponse.SERVING
        repository.remove("new", 2)
        time.sleep(POLLS)
        assert states(client, "new")[2] == READY, "the last version that answers went although none could follow"


def usage(server: Server) -> tuple[int, int, int]:
    """Returns the server's file descriptors, threads, and resident memory in KiB."""
    process = Path(f"/proc/{server.process.pid}")
    status = (process / "status").read_text(encoding="utf-8")
    fields = {
        line.split(":")[0]: line.split()[1] for line in status.splitlines() if ":" in line and len(line.split()) > 1
    }
    return len(list((process / "fd").iterdir())), int(fields["Threads"]), int(fields["VmRSS"])


SWAPS = 30
BALLAST = 4 << 20


def test_thirty_swaps_lose_nothing_and_leak_nothing(repository: Repository, log: Path) -> None:
    repository.say(f'[models.{swap.NAME}]\nload = "live"')
    # A trial of each version would take most of the time, and is held against its own tests.
    with serving(repository, log, QUICK | {"PODIUM_MODELS__TRIAL": "false"}) as (server, client):
        with load(server, callers=2) as told:
            readings = []
            for version in range(2, 2 + SWAPS):
                repository.publish(swap.ranker(version, model_bytes=BALLAST))
                answers_with(client, version)
                repository.remove(swap.NAME, version - 1)
                reaches(client, swap.NAME, {version: READY})
                readings.append(usage(server))
        assert not told.errors
        assert set(told.versions[0]) >= set(range(3, SWAPS))
        assert all(seen == sorted(seen) for seen in told.versions)
    # The first third is for the allocators to find their size.
    settled, rest = readings[: SWAPS // 3], readings[SWAPS // 3 :]
    assert max(fds for fds, _, _ in rest) <= max(fds for fds, _, _ in settled) + 2
    assert max(threads for _, threads, _ in rest) <= max(threads for _, threads, _ in settled) + 2
    # Allocators give and take tens of MiB from one swap to the next; versions that stay would be twice the bound.
    first, last = (statistics.median(kib for _, _, kib in some) for some in (settled, rest[-len(settled) :]))
    assert last - first < 10 * BALLAST / 1024, f"resident memory grew by {last - first} KiB over {len(rest)} swaps"


def test_a_server_that_shall_not_look_does_not(repository: Repository, log: Path) -> None:
    with serving(repository, log, {"PODIUM_MODELS__POLL_INTERVAL": "0s"}) as (_, client):
        repository.publish(swap.ranker(2))
        time.sleep(3)
        assert states(client, swap.NAME) == {1: READY}
        assert answering(client) == 1


def test_the_route_does_not_go_back_to_what_is_kept_warm(repository: Repository, log: Path) -> None:
    repository.say(f'[models.{swap.NAME}]\nload = "live"\nkeep_warm = "1h"')
    with serving(repository, log) as (server, client), load(server) as told:
        for version in (2, 3, 4):
            repository.publish(swap.ranker(version))
            answers_with(client, version)
    assert not told.errors
    assert all(seen == sorted(seen) for seen in told.versions)
    assert server.output().count("a route is led") == 4
