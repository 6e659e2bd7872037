"""A model moves to another encoder: embeddings are there before, and no ranker is ever given another encoder's."""

from __future__ import annotations

import random
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import grpc
import pytest

import moves
from client import Client
from expected import column
from repository import Repository, reaches, reason, states, until
from server import Server, free_port
from test_hot_swap import FREED, QUICK, READY, serving

CANDIDATES = {"ids": ["a", "b"], "columns": [column("price", [1, 2])]}
EVENT = {"item_id": "a", "time": {"seconds": 1_700_000_000}}


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """An empty repository."""
    return Repository(tmp_path)


def rank(client: Client, **user: object) -> tuple[int, int, str]:
    """Ranks for a user; returns the versions of ranker and encoder, which the scores tell too, and the user's state."""
    answer = client.rank(model={"name": moves.RANKER}, user=user, candidates=CANDIDATES)
    versions = (answer.model_version, answer.encoder_version)
    assert {moves.told_by(item.score) for item in answer.items} == {versions}, "a ranker had another encoder's vectors"
    return *versions, client.enum_name("UserState", answer.user_state).removeprefix("USER_STATE_")


def leads_to(client: Client, version: int) -> bool:
    """Says whether who names no version is answered by this one."""
    return rank(client)[0] == version


def held(client: Client) -> set[int]:
    """Returns the versions of the ranker of which something is held."""
    return {version for version, state in states(client, moves.RANKER).items() if state not in {"FOUND", FREED}}


def encoded(client: Client, version: int) -> int:
    """Returns how many histories an encoder version has encoded."""
    counters = {(info.name, info.version): info.run_counters.rows for info in client.info().models}
    rows: int = counters[moves.ENCODER, version]
    return rows


def test_embeddings_are_there_before_the_move(repository: Repository, log: Path) -> None:
    users = 1200
    repository.publish(moves.encoder(1, users))
    repository.publish(moves.ranker(1, 1))
    with serving(repository, log) as (server, client):
        assert "embeddings are there" not in server.output(), "the start waited for embeddings"
        assert rank(client, id=moves.shopper(5)) == (1, 1, "COMPUTED")
        repository.publish(moves.encoder(2, users, rounds=40))
        reaches(client, moves.ENCODER, {1: READY, 2: READY})
        alone = encoded(client, 2)
        repository.publish(moves.ranker(2, 2))
        told = set()
        while states(client, moves.RANKER).get(2) != READY:
            if states(client, moves.RANKER).get(2) == "WARMING" and (why := reason(client, moves.RANKER, 2)):
                told.add(why)
            assert rank(client, id=moves.shopper(7))[:2] in {(1, 1), (2, 2)}
        assert any(f"of 1,200 users have embeddings of {moves.ENCODER}/2" in why for why in told), told
        assert encoded(client, 2) - alone == users
        assert reason(client, moves.RANKER, 2) == ""
        until(lambda: rank(client)[0] == 2, "version 2 never answered")
        for number in range(0, users, 97):
            assert rank(client, id=moves.shopper(number)) == (2, 2, "CACHED")
        assert encoded(client, 2) - alone == users
        assert "embeddings are there ahead of the move" in server.output()
        assert moves.shopper(7) not in server.output()


def test_a_move_does_not_wait_for_ever_for_embeddings(repository: Repository, log: Path) -> None:
    repository.publish(moves.encoder(1, 500))
    repository.publish(moves.ranker(1, 1))
    settings = QUICK | {"PODIUM_MODELS__WARM_USERS_TIMEOUT": "500ms"}
    with serving(repository, log, settings) as (server, client):
        repository.publish(moves.encoder(2, 500, rounds=3_000))
        repository.publish(moves.ranker(2, 2))
        until(lambda: rank(client)[0] == 2, "version 2 never answered", 60)
        assert "models.warm_users_timeout passed" in server.output()
        assert rank(client, id=moves.shopper(3))[:2] == (2, 2)


def test_only_as_many_users_as_are_asked_for(repository: Repository, log: Path) -> None:
    for encoder in (1, 2, 3):
        repository.publish(moves.encoder(encoder, 40))
    repository.publish(moves.ranker(1, 1))
    with serving(repository, log, QUICK | {"PODIUM_MODELS__WARM_USERS": "10"}) as (_, client):
        alone = encoded(client, 2)
        repository.publish(moves.ranker(2, 2))
        until(lambda: rank(client)[0] == 2, "version 2 never answered")
        assert encoded(client, 2) - alone == 10
        # The last ten of them were active last.
        assert rank(client, id=moves.shopper(39)) == (2, 2, "CACHED")
        assert rank(client, id=moves.shopper(29)) == (2, 2, "COMPUTED")
        before = encoded(client, 2)
        repository.publish(moves.ranker(3, 2))
        until(lambda: rank(client)[0] == 3, "version 3 never answered")
        assert encoded(client, 2) == before, "the same encoder needs nothing ahead"
    with serving(repository, log, QUICK | {"PODIUM_MODELS__WARM_USERS": "0"}) as (_, client):
        alone = encoded(client, 3)
        repository.publish(moves.ranker(4, 3))
        until(lambda: rank(client)[0] == 4, "version 4 never answered")
        assert encoded(client, 3) == alone


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """Starts a redis-server on a free port; gives its URL."""
    port = free_port()
    command = ["redis-server", "--port", str(port), "--dir", str(folder), "--save", "", "--appendonly", "no"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        with socket.socket() as caller:
            until(lambda: caller.connect_ex(("127.0.0.1", port)) == 0, "redis-server never listened")
        yield f"redis://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def test_servers_that_share_a_redis_encode_each_user_once(repository: Repository, log: Path) -> None:
    users = 400
    repository.publish(moves.encoder(1, users))
    repository.publish(moves.encoder(2, users, rounds=20))
    repository.publish(moves.ranker(1, 1))
    with redis_server(log.parent) as url:
        patient = {
            "LEASE": "30s",
            "READ_TIMEOUT": "10s",
            "WRITE_TIMEOUT": "10s",
        }  # A busy machine is no reason to compute twice.
        settings = QUICK | {f"PODIUM_USERS__REDIS__{name}": value for name, value in ({"URL": url} | patient).items()}
        with (
            serving(repository, log, settings) as (_, client),
            serving(repository, log.with_name("other.log"), settings) as (_, other),
        ):
            both = (client, other)
            alone = sum(encoded(one, 2) for one in both)
            repository.publish(moves.ranker(2, 2))
            for one in both:
                until(partial(leads_to, one, 2), "version 2 never answered", 30)
            assert sum(encoded(one, 2) for one in both) - alone == users
            for number in range(0, users, 29):
                assert rank(other, id=moves.shopper(number))[2] in {"CACHED", "LOCAL"}


@contextmanager
def load(server: Server) -> Iterator[tuple[list[tuple[int, int, str]], list[str]]]:
    """Ranks for users of every kind without a pause, holding each answer against its own versions."""
    seen: list[tuple[int, int, str]] = []
    errors: list[str] = []
    stop = threading.Event()

    def call(number: int) -> None:
        client, dice = Client(server.address), random.Random(number)
        try:
            while not stop.is_set():
                user: dict[str, object] = dice.choice(
                    [
                        {},
                        {"id": moves.shopper(dice.randrange(8))},
                        {"id": f"guest-{dice.randrange(3)}"},
                        {"history": [EVENT]},
                    ]
                )
                seen.append(rank(client, **user))
                if dice.random() < 0.1:
                    event = {"user_id": f"guest-{dice.randrange(3)}", "item_id": "a", "event_id": f"{dice.random()}"}
                    client.record([event | {"time": {"seconds": 1_700_000_000 + dice.randrange(1000)}}])
        except (grpc.RpcError, AssertionError) as error:
            errors.append(repr(error))
        client.close()

    threads = [threading.Thread(target=call, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    try:
        yield seen, errors
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@pytest.mark.parametrize("seed", [1, 2])
def test_no_ranker_is_given_another_encoders_vectors(seed: int, repository: Repository, log: Path) -> None:
    pairs = {1: 1, 2: 2, 3: 1, 4: 3, 5: 2}
    for encoder in (1, 2, 3):
        repository.publish(moves.encoder(encoder))
    for version, encoder in pairs.items():
        repository.publish(moves.ranker(version, encoder))

    def say(live: int, which: str) -> None:
        every = f'[models.{moves.RANKER}]\nlive = {live}\nload = "{which}"\nkeep_warm = "0s"\n'
        repository.say(every + f'[models.{moves.ENCODER}]\nload = "live"\nlive = 3\n')

    say(1, "live")
    dice = random.Random(seed)
    with serving(repository, log) as (server, client), load(server) as (seen, errors):
        for _ in range(14):
            live = dice.choice(list(pairs))
            say(live, dice.choice(["live", "live", "all"]))
            if dice.random() < 0.7:
                until(partial(leads_to, client, live), f"version {live} never answered", 30)
            else:
                time.sleep(dice.random() / 4)
        say(2, "live")
        until(lambda: rank(client)[:2] == (2, 2), "version 2 never answered", 30)
        until(lambda: held(client) == {2}, "only version 2 is wanted", 30)
    assert not errors, errors[:3]
    answered = {versions[:2] for versions in seen}
    assert answered <= set(pairs.items())
    assert len(answered) > 2, "the versions hardly changed"
    assert {"COMPUTED", "CACHED", "INLINE", "DEFAULT"} <= {state for _, _, state in seen}
