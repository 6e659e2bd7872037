"""A version is held against what callers send, and tried with it, before it answers anybody."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest

import moves
import swap
from bundle import Bundle
from client import Client, refusal
from expected import column
from repository import Repository, reaches, reason
from test_hot_swap import FAILED, QUICK, READY, answering, answers_with, serving

ACCEPT = f"[models.{swap.NAME}]\nlive = 1\n[models.{swap.NAME}.limits]\naccept_new_signature = true"


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A repository with the first version of the swap ranker."""
    made = Repository(tmp_path)
    made.publish(swap.ranker(1))
    return made


# Seconds after which a request is kept for rehearsals again, once there are as many as may be: a slow start asks many.
KEPT_EVERY = 0.3


def ask(client: Client, times: int = 5) -> None:
    """Has the live version asked as callers do."""
    for _ in range(times):
        assert answering(client) == 1


UNFIT: dict[str, tuple[Callable[[int], Bundle], list[str]]] = {
    "it needs more": (
        moves.wanting,
        ["candidates.columns[stock]: is needed by the model, as floats", "5 of the last 5 requests"],
    ),
    "it knows less": (
        moves.renamed,
        ["candidates.columns[price]: is no feature of this model", "candidates.columns[cost]: is needed by the model"],
    ),
    "it reads another type": (
        moves.retyped,
        ["candidates.columns[price]: holds floats, and the model takes ints", "5 of the last 5"],
    ),
}


@pytest.mark.parametrize("name", UNFIT)
def test_a_version_that_refuses_what_callers_send_fails(name: str, repository: Repository, log: Path) -> None:
    make, words = UNFIT[name]
    with serving(repository, log) as (_, client):
        ask(client)
        repository.publish(make(2))
        reaches(client, swap.NAME, {1: READY, 2: FAILED})
        told = reason(client, swap.NAME, 2)
        assert all(word in told for word in [*words, "accept_new_signature"]), told
        ask(client)


def test_a_new_signature_can_be_accepted(repository: Repository, log: Path) -> None:
    with serving(repository, log) as (server, client):
        ask(client)
        repository.publish(moves.wanting(2))
        reaches(client, swap.NAME, {1: READY, 2: FAILED})
        repository.say(ACCEPT)
        reaches(client, swap.NAME, {1: READY, 2: READY})
        assert "which is accepted" in server.output()
        failed = refusal(partial(answering, client, version=2))
        assert failed.code == grpc.StatusCode.INVALID_ARGUMENT
        assert answering(client) == 1


def test_a_version_that_takes_more_than_callers_send_is_welcome(repository: Repository, log: Path) -> None:
    with serving(repository, log) as (server, client):
        ask(client)
        repository.publish(moves.wanting(2, moves.FLOAT + "\ndefault = 0.0"))
        answers_with(client, 2)
        assert "it takes what callers of the live version send" in server.output()


def test_without_callers_nothing_is_judged(repository: Repository, log: Path) -> None:
    with serving(repository, log) as (server, client):
        for _ in range(5):
            answering(client, version=1)  # They mean this version, and say nothing of what the live one is asked.
        repository.say(f"[models.{swap.NAME}]\nlive = 1")
        repository.publish(moves.wanting(2))
        reaches(client, swap.NAME, {1: READY, 2: READY})
        assert "its signature was not judged" in server.output()


def test_callers_of_another_version_are_not_the_live_ones(repository: Repository, log: Path) -> None:
    repository.publish(moves.wanting(2))
    repository.say(f"[models.{swap.NAME}]\nlive = 1\nlabels = {{ new = 2 }}")
    more = {"ids": ["a"], "columns": [column("price", [1]), column("stock", [1])]}
    with serving(repository, log) as (server, client):
        for _ in range(5):
            assert client.rank(model={"name": swap.NAME, "label": "new"}, candidates=more).model_version == 2
        repository.publish(swap.ranker(3))
        reaches(client, swap.NAME, {1: READY, 2: READY, 3: READY})
        assert server.output().count("its signature was not judged") == 2, "at the start, and of version 3"
        ask(client, 2)
        repository.publish(swap.ranker(4))
        reaches(client, swap.NAME, {1: READY, 2: READY, 3: READY, 4: READY})
        assert "it takes what callers of the live version send" in server.output()


def test_a_version_that_has_no_number_for_a_recent_request_fails(repository: Repository, log: Path) -> None:
    with serving(repository, log) as (_, client):
        ask(client)
        repository.publish(moves.dear(2))
        answers_with(client, 2)
        repository.remove(swap.NAME, 2)
        reaches(client, swap.NAME, {1: READY})
        dear = {"ids": ["a"], "columns": [column("price", [moves.DEAR + 1])]}
        time.sleep(KEPT_EVERY)
        assert client.rank(model={"name": swap.NAME}, candidates=dear).model_version == 1
        repository.publish(moves.dear(3))
        reaches(client, swap.NAME, {1: READY, 3: FAILED})
        told = reason(client, swap.NAME, 3)
        assert "a recent request: it fails" in told
        assert "`score` is not finite" in told
        ask(client)


def test_requests_of_the_bundle_are_replayed(repository: Repository, log: Path) -> None:
    good, spoilt = moves.asking(1, 2), b'{"candidates": {"ids": ["a", "a"]}}\n'
    with serving(repository, log) as (server, client):
        repository.publish(moves.dear(2, good + good))
        answers_with(client, 2)
        told = [json.loads(line) for line in server.output().splitlines() if "requests were replayed" in line]
        assert [one["of_bundle"] for one in told if one["model"] == f"{swap.NAME}/2"] == [2]
        bad = {
            3: (good + spoilt, "warm_up.jsonl: line 2: candidates.ids[1]"),
            4: (good + b"\nno request\n", "warm_up.jsonl: line 3: "),
            5: (good + moves.asking(moves.DEAR + 1), "warm_up.jsonl, line 2: it fails"),
            6: (good + moves.asking(1, name="cost"), "warm_up.jsonl, line 2: the model refuses it"),
        }
        for version, (lines, words) in bad.items():
            repository.publish(moves.dear(version, lines))
            reaches(client, swap.NAME, {1: READY, 2: READY} | dict.fromkeys(range(3, version + 1), FAILED))
            assert words in reason(client, swap.NAME, version)
        assert answering(client) == 2


def test_nobody_reads_in_the_log_who_asked_for_what(repository: Repository, log: Path) -> None:
    settings = QUICK | {"PODIUM_LOG__LEVEL": "info,podium=trace"}
    asked: dict[str, Any] = {
        "request_id": "secret-request",
        "user": {"id": "secret-user"},
        "query": "secret query",
        "candidates": {"ids": ["secret-item"], "columns": [column("price", [123.456])]},
    }
    with serving(repository, log, settings) as (server, client):
        for _ in range(5):
            client.rank(model={"name": swap.NAME}, caller="secret-caller", **asked)
        repository.publish(swap.ranker(2))
        answers_with(client, 2)
        for version, make in enumerate([moves.wanting, moves.renamed, moves.retyped], start=3):
            repository.publish(make(version))
        reaches(client, swap.NAME, {1: READY, 2: READY, 3: FAILED, 4: FAILED, 5: FAILED})
        told = server.output() + "".join(reason(client, swap.NAME, version) for version in (3, 4, 5))
        assert '"level":"DEBUG"' in told
        assert "123.456" not in told
        assert "secret" not in told


def test_replaying_can_be_switched_off(repository: Repository, log: Path) -> None:
    repository.say(f"[models.{swap.NAME}]\nlive = 1")
    with serving(repository, log, QUICK | {"PODIUM_MODELS__REPLAY_REQUESTS": "0"}) as (server, client):
        ask(client)
        repository.publish(moves.wanting(2))
        reaches(client, swap.NAME, {1: READY, 2: READY})
        assert "its signature was not judged" in server.output()
