"""Swaps a live version for another one again and again under load, and reads what the server holds."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np

import moves
import swap
from client import Client
from expected import column
from repository import Repository, states, until
from server import Server

PATIENCE = 60.0  # seconds in which a swap has to be over on a busy machine
PAUSE = 0.005  # seconds that a caller waits between requests, so that the load is steady and not all that fits
GONE = {"FOUND", "FREED"}


@dataclass(frozen=True)
class Reading:
    """What the server holds after a swap: file descriptors, threads, resident memory in KiB."""

    fds: int
    threads: int
    rss_kib: int


def read(server: Server) -> Reading:
    """Reads what the server holds."""
    process = Path(f"/proc/{server.process.pid}")
    lines = (process / "status").read_text(encoding="utf-8").splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return Reading(
        len(list((process / "fd").iterdir())), int(fields["Threads"]), int(fields["VmRSS"].removesuffix("kB"))
    )


@dataclass
class Told:
    """What callers were told: when each answer was due and how long it took, in seconds, and every error."""

    answers: list[tuple[float, float]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    versions: set[int] = field(default_factory=set)


def publish(repository: Repository, ballast_bytes: int) -> None:
    """Publishes two versions of a ranker, each with an encoder version of its own."""
    for version in (1, 2):
        repository.publish(moves.encoder(version))
        repository.publish(moves.ranker(version, version, ballast_bytes))
    lead(repository, 1)


def lead(repository: Repository, version: int) -> None:
    """Says that one version shall be live and nothing else is kept."""
    keys = f'live = {version}\nload = "live"\nkeep_warm = "0s"\n'
    repository.say(f"[models.{moves.RANKER}]\n{keys}[models.{moves.ENCODER}]\n{keys}")


def ask(client: Client, dice: random.Random) -> Any:
    """Sends a request of a random user and prices; returns the call and what the scores have to be by version."""
    prices = [np.float32(dice.random() * 9) for _ in range(dice.randrange(1, 30))]
    candidates = {
        "ids": [f"item-{number}" for number in range(len(prices))],
        "columns": [column("price", [float(price) for price in prices])],
    }
    user: dict[str, Any] = dice.choice([{}, {"id": moves.shopper(dice.randrange(8))}])
    return client.rank_later(model={"name": moves.RANKER}, user=user, candidates=candidates), prices


def wrong(answer: Any, prices: list[np.float32]) -> str:
    """Says what is wrong with an answer: a score that is not, bit by bit, that of the version that it names."""
    base = np.float32(swap.STEP * answer.model_version + moves.ENCODER_STEP * answer.encoder_version)
    want = {number: np.float32(base + price) for number, price in enumerate(prices)}
    got = {item.index: np.float32(item.score) for item in answer.items}
    same = answer.encoder_version == answer.model_version and got == want
    return "" if same else f"version {answer.model_version} with encoder {answer.encoder_version}: {got} is not {want}"


@contextmanager
def load(server: Server, callers: int) -> Iterator[Told]:
    """Ranks from several connections until the block ends, and checks each answer."""
    told, stop = Told(), threading.Event()

    def call(number: int) -> None:
        client, dice = Client(server.address), random.Random(number)
        while not stop.is_set():
            begun = time.monotonic()
            try:
                call, prices = ask(client, dice)
                answer = call.result()
            except grpc.RpcError as error:
                told.errors.append(repr(error))
                continue
            told.answers.append((begun, time.monotonic() - begun))
            told.versions.add(answer.model_version)
            if fault := wrong(answer, prices):
                told.errors.append(fault)
            stop.wait(PAUSE)
        client.close()

    threads = [threading.Thread(target=call, args=(number,)) for number in range(callers)]
    for thread in threads:
        thread.start()
    try:
        yield told
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@contextmanager
def open_loop(server: Server, rate: float) -> Iterator[Told]:
    """Ranks so many times a second, whether answers come or not; times count from when a request was due."""
    told, stop, client = Told(), threading.Event(), Client(server.address)

    def done(due: float, prices: list[np.float32]) -> Callable[[Any], None]:
        def note(call: Any) -> None:
            took = time.monotonic() - due
            try:
                answer = call.result()
            except grpc.RpcError as error:
                told.errors.append(repr(error))
                return
            told.answers.append((due, took))
            if fault := wrong(answer, prices):
                told.errors.append(fault)

        return note

    def send() -> None:
        dice, due = random.Random(0), time.monotonic()
        while not stop.wait(max(0.0, due - time.monotonic())):
            call, prices = ask(client, dice)
            call.add_done_callback(done(due, prices))
            due += 1 / rate

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield told
    finally:
        stop.set()
        thread.join()
        time.sleep(0.5)
        client.close()


def swap_to(repository: Repository, client: Client, version: int) -> None:
    """Makes a version live, and waits until the other one and its encoder are freed."""
    lead(repository, version)

    def only(name: str) -> bool:
        return {number for number, state in states(client, name).items() if state not in GONE} == {version}

    until(lambda: only(moves.RANKER) and only(moves.ENCODER), f"version {version} is not alone", PATIENCE)


def swaps(repository: Repository, client: Client, server: Server, count: int) -> Iterator[Reading]:
    """Swaps so many times; gives what the server holds after each."""
    for number in range(count):
        swap_to(repository, client, 2 - number % 2)
        yield read(server)


def parts(readings: list[Reading]) -> tuple[list[Reading], list[Reading]]:
    """Returns a quarter of the readings after the first tenth, in which allocators settle, and the last quarter."""
    tenth, quarter = len(readings) // 10, max(1, len(readings) // 4)
    return readings[tenth : tenth + quarter], readings[-quarter:]


def mean(readings: list[Reading]) -> float:
    """Returns the mean of resident memory in KiB."""
    return sum(reading.rss_kib for reading in readings) / len(readings)


def least(readings: list[Reading]) -> float:
    """Returns the least resident memory in KiB: what is leaked is in it, what waits to be given back is not."""
    return min(reading.rss_kib for reading in readings)


def growth(readings: list[Reading], of: Callable[[list[Reading]], float]) -> float:
    """Returns by which share of itself resident memory has grown since the first tenth of the swaps."""
    begun, ended = parts(readings)
    return of(ended) / of(begun) - 1
