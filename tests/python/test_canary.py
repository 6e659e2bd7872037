"""A version is tried with a share of the users, or in the shadow, and promoted or taken back by itself."""

from __future__ import annotations

import random
import threading
import time
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest

import tiny
import trial
from client import Client
from expected import column
from repository import Repository, reaches, reason, states, until
from server import Server

QUICK = {"PODIUM_MODELS__POLL_INTERVAL": "100ms"}
USERS = [f"user-{number}" for number in range(600)]
RAILS = "guard_rails = { min_requests = 40, compare_share = 100, max_psi = 5.0, max_latency_ratio = 1000.0"
PATIENCE = 60.0


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A repository with a live version."""
    made = Repository(tmp_path)
    made.publish(trial.ranker(1))
    return made


@contextmanager
def serving(repository: Repository, *logs: Path, **settings: str) -> Iterator[list[Server]]:
    """Starts a server for each log, all of which follow the repository."""
    with ExitStack() as stack:
        servers = [stack.enter_context(Server(repository.path, log, QUICK | settings)) for log in logs]
        yield servers
        for server in servers:
            server.terminate()
        for server in servers:
            assert server.wait() == 0
            assert "panicked" not in server.output()
            assert "this is a bug" not in server.output()


@pytest.fixture
def server(repository: Repository, log: Path) -> Iterator[Server]:
    """A server that follows the repository."""
    with serving(repository, log) as servers:
        yield servers[0]


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    """A client of that server."""
    caller = Client(server.address)
    yield caller
    caller.close()


def say(repository: Repository, *lines: str) -> None:
    """Says these things of the model in `serving.toml`."""
    repository.say("\n".join([f"[models.{trial.NAME}]", *lines, ""]))


def said(repository: Repository) -> dict[str, Any]:
    """Returns what `serving.toml` says of the model."""
    text = (repository.path / "serving.toml").read_text(encoding="utf-8")
    models: dict[str, Any] = tomllib.loads(text)["models"]
    said: dict[str, Any] = models[trial.NAME]
    return said


def candidates(seed: int, poison: bool = False) -> dict[str, Any]:
    """Returns twelve candidates with features at random."""
    draw = random.Random(seed)
    prices, qualities = ([draw.gauss(0, 1) for _ in range(12)] for _ in range(2))
    if poison:
        qualities[3] = trial.POISON
    columns = [column("price", prices), column("quality", qualities)]
    return {"ids": [f"item-{number}" for number in range(12)], "columns": columns}


def request(**more: Any) -> dict[str, Any]:
    """Returns a request that names neither version nor label, unless it is told to."""
    return {"model": {"name": trial.NAME}, "candidates": candidates(0)} | more


def versions(client: Client) -> list[int]:
    """Returns the version that answers each user."""
    answers = client.rank_stream(request(user={"id": user}, request_id=user) for user in USERS)
    by_user = {answer.request_id: answer.model_version for answer in answers}
    return [by_user[user] for user in USERS]


def share_is_above(client: Client, users: int) -> bool:
    """Says whether the second version answers more users than that."""
    return versions(client).count(2) > users


def nobody_is_tried(client: Client) -> bool:
    """Says whether the first version answers everybody."""
    return set(versions(client)) == {1}


def tells(client: Client, why: str) -> bool:
    """Says whether the second version shows this reason."""
    return reason(client, trial.NAME, 2) == why


def answering(client: Client, caller: str | None = None, **more: Any) -> int:
    """Returns the version that answers one request."""
    version: int = client.rank(caller=caller, **request(**more)).model_version
    return version


class Load:
    """Users who rank without a pause until the block ends, and the versions that answered."""

    def __init__(self, *servers: Server, poison: bool = False, takes: str = "") -> None:
        """Prepares two callers of each server, who then buy the item that has most of what they like, if anything."""
        self.stop = threading.Event()
        self.poison = poison
        self.takes = takes
        self.answered: list[int] = []
        self.failed: list[str] = []
        callers = [server for server in servers for _ in range(2)]
        self.threads = [threading.Thread(target=self.call, args=(n, server)) for n, server in enumerate(callers)]

    def call(self, number: int, server: Server) -> None:
        """Ranks as many users, one after the other."""
        client = Client(server.address)
        turn = number
        while not self.stop.wait(0.002):
            turn += 7
            asked = request(user={"id": USERS[turn % len(USERS)]}, candidates=candidates(turn, self.poison))
            try:
                self.answered.append(client.rank(**asked).model_version)
                if self.takes:
                    self.buy(client, asked, turn)
            except grpc.RpcError as error:
                self.failed.append(str(error.code()))
        client.close()

    def buy(self, client: Client, asked: dict[str, Any], turn: int) -> None:
        """Buys the best item, a moment after the answer."""
        self.stop.wait(0.03)
        columns = {column["name"]: column["floats"]["values"] for column in asked["candidates"]["columns"]}
        liked = columns[self.takes]
        item = asked["candidates"]["ids"][liked.index(max(liked))]
        event = {"event_id": f"event-{turn}", "user_id": asked["user"]["id"], "item_id": item}
        client.record([event | {"kind": "EVENT_KIND_PURCHASE", "time": {"seconds": int(time.time())}}])

    def __enter__(self) -> Load:
        """Begins."""
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Ends."""
        self.stop.set()
        for thread in self.threads:
            thread.join()


def test_a_version_has_its_share_of_the_users_on_every_server(repository: Repository, tmp_path: Path) -> None:
    repository.publish(trial.ranker(2))
    repository.publish(trial.ranker(3))
    say(repository, "live = 1", "labels = { canary = 2 }", "split = { canary = 10 }")
    with serving(repository, tmp_path / "one.log", tmp_path / "two.log") as (one, two):
        clients = [Client(server.address) for server in (one, two)]
        first = versions(clients[0])
        assert first == versions(clients[1]), "a user is answered by another version on another server"
        assert set(first) == {1, 2}
        # Within four standard deviations of 60 of 600.
        assert 31 <= first.count(2) <= 89
        say(repository, "live = 1", "labels = { canary = 2 }", "split = { canary = 30 }")
        drawn = [user for user, version in zip(USERS, first, strict=True) if version == 2]
        for client in clients:
            until(partial(share_is_above, client, 120), "the share never grew")
        grown = versions(clients[0])
        assert grown == versions(clients[1])
        assert 135 <= grown.count(2) <= 225
        assert {user for user, version in zip(USERS, grown, strict=True) if version == 2} >= set(drawn)
        say(repository, "live = 1", "split = { 3 = 30 }")
        until(lambda: set(versions(clients[0])) == {1, 3}, "another version never came")
        others = {user for user, version in zip(USERS, versions(clients[0]), strict=True) if version == 3}
        both = others & {user for user, version in zip(USERS, grown, strict=True) if version == 2}
        assert 25 <= len(both) <= 85, "another version has drawn the same users"
        assert answering(clients[0], model={"name": trial.NAME, "version": 2}) == 2
        for client in clients:
            client.close()


def test_callers_and_who_has_no_name_are_led(repository: Repository, client: Client) -> None:
    repository.publish(trial.ranker(2))
    say(repository, "live = 1", "labels = { new = 2 }", 'callers = { tests = "new" }', "split = { 2 = 50 }")
    until(lambda: answering(client, caller="tests", user={"id": "anna"}) == 2, "the caller never had its version")
    assert {answering(client, caller="tests", user={"id": user}) for user in USERS[:40]} == {2}
    assert {answering(client, caller="others", user={"id": user}) for user in USERS[:40]} == {1, 2}
    for asked in ({"request_id": "r-7"}, {"user": {"id": "anna"}}):
        assert len({answering(client, **asked) for _ in range(20)}) == 1
    assert {answering(client) for _ in range(40)} == {1, 2}
    say(repository, "live = 1", "split = { gone = 40, 7 = 10 }")
    until(lambda: client.info().repository_fault, "nobody says that the share leads nowhere")
    fault = client.info().repository_fault
    assert "split.gone names the label gone, which is not there" in fault
    assert "split.7 names 7, which is not in the repository" in fault
    assert set(versions(client)) == {1}


def test_a_shadow_answers_nobody_until_it_is_live(repository: Repository, server: Server, client: Client) -> None:
    say(repository, "shadow = { version = 2 }", f"{RAILS} }}")
    repository.publish(trial.ranker(2, trial.WORSE))
    reaches(client, trial.NAME, {1: "READY", 2: "SHADOW"})
    with Load(server) as load:
        until(lambda: "a version breaks its guard rails" in server.output(), "nothing was compared", PATIENCE)
    assert set(load.answered) == {1}
    assert not load.failed
    assert "rejected" not in said(repository)
    assert answering(client, model={"name": trial.NAME, "version": 2}) == 2
    say(repository, "live = 2")
    until(lambda: answering(client) == 2, "it never became the live one")
    reaches(client, trial.NAME, {1: "READY", 2: "READY"})
    say(repository, "live = 1", "shadow = { version = 2 }")
    reaches(client, trial.NAME, {1: "READY", 2: "SHADOW"})
    assert answering(client) == 1


def test_a_worse_canary_is_rolled_back_by_every_server(repository: Repository, tmp_path: Path) -> None:
    repository.publish(trial.ranker(2, trial.WORSE))
    say(repository, "# who, when", "live = 1", "labels = { canary = 2 }", "split = { canary = 10 }", f"{RAILS} }}")
    with serving(repository, tmp_path / "one.log", tmp_path / "two.log") as (one, two), Load(one, two) as load:
        until(lambda: "rejected" in said(repository), "it was never rolled back", PATIENCE)
        why: str = said(repository)["rejected"]["2"]
        assert "kendall_tau" in why
        assert "is below 0.6" in why
        assert "after" in why
        clients = [Client(server.address) for server in (one, two)]
        for client in clients:
            until(partial(nobody_is_tried, client), "it still has users")
            until(partial(tells, client, f"rejected: {why}"), "no reason is shown")
            reaches(client, trial.NAME, {1: "READY", 2: "FREED"})
            assert not client.info().repository_fault
            client.close()
    assert not load.failed
    assert {1, 2} == set(load.answered)
    assert said(repository).keys() == {"live", "rejected", "guard_rails"}, "its share and its label are still there"
    assert "# who, when" in (repository.path / "serving.toml").read_text(encoding="utf-8")


def test_a_canary_that_is_as_good_is_promoted(repository: Repository, server: Server, client: Client) -> None:
    repository.publish(trial.ranker(2, trial.ALIKE))
    say(repository, "live = 1", "split = { 2 = 50 }", f"{RAILS}, promote = false }}")
    with Load(server) as load:
        until(lambda: "a version keeps to its guard rails" in server.output(), "it never passed", PATIENCE)
        until(lambda: {1, 2} <= set(versions(client)), "it was promoted although nobody said so")
        say(repository, "live = 1", "split = { 2 = 50 }", f"{RAILS} }}")
        until(lambda: said(repository)["live"] == 2, "it was never promoted", PATIENCE)
        until(lambda: set(versions(client)) == {2}, "the old version still answers")
    assert not load.failed
    assert (said(repository)["previous"], said(repository).get("split", {})) == (1, {})
    assert states(client, trial.NAME) == {1: "READY", 2: "READY"}


@pytest.mark.parametrize("takes", ["quality", "price"])
def test_what_users_take_decides(repository: Repository, server: Server, client: Client, takes: str) -> None:
    repository.publish(trial.ranker(2, trial.WORSE))
    rails = RAILS.replace("max_psi = 5.0", "max_psi = 1000.0, min_kendall_tau = -1.0, min_top_k_overlap = 0.0")
    say(repository, "live = 1", "split = { 2 = 50 }", f"{rails}, min_reward_difference = 0.0 }}")
    until(lambda: set(versions(client)) == {1, 2}, "it never had its share")
    with Load(server, takes=takes) as load:
        until(lambda: "split" not in said(repository) or not said(repository)["split"], "nothing was decided", PATIENCE)
    assert not load.failed
    match takes:
        case "quality":
            assert said(repository)["live"] == 2, said(repository)
        case _:
            assert "reward_difference -" in said(repository)["rejected"]["2"], said(repository)


def test_a_canary_that_fails_is_rolled_back(repository: Repository, server: Server, client: Client) -> None:
    repository.publish(trial.ranker(2, fails=True))
    say(repository, "live = 1", "split = { 2 = 50 }", "guard_rails = { min_requests = 100000 }")
    until(lambda: set(versions(client)) == {1, 2}, "it never had its share")
    with Load(server, poison=True) as load:
        until(lambda: "rejected" in said(repository), "it was never rolled back", PATIENCE)
        until(lambda: set(versions(client)) == {1}, "it still has users")
    assert "error_rate" in said(repository)["rejected"]["2"]
    assert set(load.failed) == {"StatusCode.INTERNAL"}
    assert set(load.answered) == {1}


def test_a_canary_that_fails_has_no_users_where_nobody_can_write(
    repository: Repository, server: Server, client: Client
) -> None:
    lock = repository.path / ".serving.toml.lock"
    lock.mkdir()
    repository.publish(trial.ranker(2, trial.WORSE))
    lines = ("live = 1", "split = { 2 = 50 }", f"{RAILS} }}")
    say(repository, *lines)
    with Load(server) as load:
        until(lambda: set(load.answered) == {1, 2}, "it never had its share")
        until(lambda: "rejected by this server alone" in client.info().repository_fault, "nobody says so", PATIENCE)
        assert "cannot be written" in client.info().repository_fault
        assert set(versions(client)) == {1}
        assert reason(client, trial.NAME, 2).startswith("rejected: kendall_tau")
        assert "rejected" not in said(repository)
        assert server.output().count("by this server alone") <= 3, "it is told again and again"
        lock.rmdir()
        until(lambda: "rejected" in said(repository), "it was not written when it could be")
        until(lambda: not client.info().repository_fault, "the fault stayed")
        assert set(versions(client)) == {1}
    assert not load.failed


def rows(client: Client, model: str, version: int) -> int:
    """Returns how many rows a version has run."""
    models = client.info().models
    counted: int = next(m.run_counters.rows for m in models if (m.name, m.version) == (model, version))
    return counted


def test_a_shadow_keeps_nothing_of_users(repository: Repository, log: Path) -> None:
    ranker = tiny.ranker(1)
    manifest = ranker.manifest.replace('name = "tiny-encoder"\nversion = 1', 'name = "tiny-encoder"\nversion = 2')
    for bundle in (tiny.encoder(), replace(tiny.encoder(), version="2")):
        repository.publish(bundle)
    repository.publish(ranker)
    repository.publish(replace(ranker, version="2", manifest=manifest))
    repository.say("[models.tiny-ranker]\nshadow = { version = 2 }")
    items = {"ids": tiny.ITEMS[:8], "columns": [column("price", [1.0] * 8)]}
    asked: dict[str, Any] = {"model": {"name": "tiny-ranker"}, "user": {"id": "anna"}, "candidates": items}
    with serving(repository, log, PODIUM_MODELS__WARM_USERS="0") as (server,):
        client = Client(server.address)
        reaches(client, "tiny-ranker", {1: "READY", 2: "SHADOW"})
        before = rows(client, "tiny-ranker", 2), rows(client, "tiny-encoder", 2)
        assert client.rank(**asked).model_version == 1
        until(lambda: rows(client, "tiny-ranker", 2) == before[0] + 8, "the shadow scored nothing")
        assert rows(client, "tiny-encoder", 2) == before[1] + 1, "the shadow's encoder was not asked"
        kept = {stored.encoder_version: stored.HasField("created_time") for stored in client.user("anna").embeddings}
        assert kept == {1: True, 2: False}
        client.close()
