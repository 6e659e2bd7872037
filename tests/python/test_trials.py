"""A version is tried in a process of its own: what crashes, hangs, takes all memory or answers NaN does it there."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

import faulty
import hostile
import swap
from bundle import float32, graph
from client import Client
from repository import Repository, reaches, reason, states, until
from server import TEST_MODELS, Server, podium
from test_hot_swap import FAILED, QUICK, READY, answering, answers_with, load, serving

LIMITS = f'[models.{swap.NAME}.limits]\nmax_trial_time = "3s"\nmax_memory_mib = 600\nmax_cost_ratio = 4\n'
TRIED = "tried in a process of its own"
LONG = 100.0  # seconds: trials give way to everything else on a busy machine
MIB = 1 << 20


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A repository with the first version of the swap ranker."""
    made = Repository(tmp_path)
    made.publish(swap.ranker(1))
    return made


@pytest.fixture
def fresh(tmp_path: Path) -> dict[str, str]:
    """Settings of a server that remembers no trial."""
    return QUICK | {"PODIUM_MODELS__CACHE_DIR": str(tmp_path / "cache")}


@dataclass(frozen=True)
class Task:
    """A thread, or the process that it is the first one of."""

    parent: int
    group: int
    niceness: int


def task_of(path: Path) -> Task:
    """Reads what `/proc` says of a process or a thread."""
    fields = (path / "stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
    return Task(int(fields[1]), int(fields[2]), int(fields[16]))


def children(server: Server) -> list[int]:
    """Returns the processes that a server has started and that have not ended."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if task_of(path).parent == server.process.pid:
                found.append(int(path.name))
        except OSError:  # It ended meanwhile.
            continue
    return found


def niceness(process: int) -> list[int]:
    """Returns the niceness of each thread of a process."""
    return [task_of(path).niceness for path in Path(f"/proc/{process}/task").iterdir()]


def ends(process: int) -> None:
    """Waits until a process is gone, or only its parent has not noticed yet."""
    stat = Path(f"/proc/{process}/stat")

    def is_gone() -> bool:
        try:
            return ") Z " in stat.read_text(encoding="utf-8")
        except OSError:
            return True

    until(is_gone, f"{process} goes on")


def resident_mib(process: int) -> float:
    """Returns the resident memory of a process."""
    pages = int(Path(f"/proc/{process}/statm").read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / MIB


def cut_off(directory: Path) -> None:
    """Leaves half of the graph."""
    path = directory / "model.onnx"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def cut_off_and_sum(directory: Path) -> None:
    """Leaves half of the graph, with the right sum of it."""
    cut_off(directory)
    faulty.set_sum(directory, "model.onnx")


def take_whole_prices(directory: Path) -> None:
    """Puts a graph there that takes other inputs than the manifest says."""
    other = graph("whole (int64[rows] price) => (float[rows] score) { score = Cast<to = 1>(price) }")
    (directory / "model.onnx").write_bytes(other.SerializeToString())
    faulty.set_sum(directory, "model.onnx")


def answer_nan(directory: Path) -> None:
    """Puts a graph there that answers NaN to the golden case as well."""
    (directory / "model.onnx").write_bytes(hostile.answers_nan().SerializeToString())
    faulty.set_sum(directory, "model.onnx")


SPOILT: dict[str, tuple[Callable[[Path], None], tuple[str, ...]]] = {
    "corrupt": (faulty.write_garbage, ("model.onnx", "no ONNX model")),
    "truncated": (cut_off, ("model.onnx", "sha256")),
    "truncated-and-summed": (cut_off_and_sum, ("model.onnx", "no ONNX model")),
    "wrong-sum": (lambda path: faulty.edit_manifest(path, '"model.onnx" = "', '"model.onnx" = "0'), ("sha256",)),
    "wrong-signature": (take_whole_prices, ("price", "int64", "float32")),
    "golden-off": (faulty.shift_golden, ("golden case `two`", "is off by")),
    "golden-nan": (answer_nan, ("NaN", "`score`", "golden case `two`")),
}


def spoilt(repository: Repository, version: int, spoil: Callable[[Path], None]) -> None:
    """Publishes a version that was right before it was spoilt."""
    case = {"two": {"price": float32([1.0, 2.0])}}
    directory = repository.stage(hostile.of(swap.ranker(version).model, version, case))
    spoil(directory)
    repository.move_in(directory, swap.NAME, version)


def test_versions_that_do_harm_do_it_elsewhere(repository: Repository, log: Path, fresh: dict[str, str]) -> None:
    repository.say(LIMITS)
    words: dict[int, tuple[str, ...]] = {}
    with serving(repository, log, fresh) as (server, client), load(server, callers=1) as told:
        before = resident_mib(server.process.pid)
        for version, attempt in enumerate(hostile.ATTEMPTS.values(), start=2):
            repository.publish(attempt.bundle(version))
            words[version] = attempt.words
        for version, (spoil, wanted) in enumerate(SPOILT.values(), start=2 + len(words)):
            spoilt(repository, version, spoil)
            words[version] = wanted
        want = {1: READY} | dict.fromkeys(words, FAILED)
        most = before
        give_up = time.monotonic() + LONG
        while states(client, swap.NAME) != want:
            assert time.monotonic() < give_up, states(client, swap.NAME)
            most = max(most, resident_mib(server.process.pid))
            time.sleep(0.05)
        for version, wanted in words.items():
            why = reason(client, swap.NAME, version)
            assert all(word in why for word in wanted), f"{version}: {why}"
        assert answering(client) == 1
        assert not children(server), "a trial was left behind"
        assert most - before < 200, "the server itself took memory for a version that was refused"
    assert not told.errors
    assert set(told.versions[0]) == {1}


def test_without_trials_they_reach_the_server(repository: Repository, log: Path, fresh: dict[str, str]) -> None:
    repository.say("[models.swap-ranker]\nlive = 1")
    with serving(repository, log, fresh | {"PODIUM_MODELS__TRIAL": "false"}) as (server, client):
        repository.publish(hostile.ATTEMPTS["nan"].bundle(2))
        reaches(client, swap.NAME, {1: READY, 2: READY})
        assert TRIED not in server.output()


def test_a_graph_may_have_no_answer_to_zeros(repository: Repository, log: Path, fresh: dict[str, str]) -> None:
    repository.publish(hostile.of(hostile.answers_log(), 2))
    with serving(repository, log, fresh) as (_, client):
        reaches(client, swap.NAME, {1: READY, 2: READY})


def test_what_passed_is_not_tried_again(repository: Repository, log: Path, fresh: dict[str, str]) -> None:
    repository.say(f'[models.{swap.NAME}]\nload = "live"')
    with serving(repository, log, fresh) as (server, client):
        assert server.output().count(TRIED) == 1
        repository.publish(swap.ranker(2))
        answers_with(client, 2)
        assert server.output().count(TRIED) == 2
        repository.say(f'[models.{swap.NAME}]\nload = "live"\nlive = 1')
        answers_with(client, 1)
        assert server.output().count(TRIED) == 2
    with serving(repository, log, fresh) as (server, client):
        assert answering(client) == 1
        assert TRIED not in server.output()
        repository.say(f'[models.{swap.NAME}]\nload = "live"\nlimits = {{ max_memory_mib = 1000 }}')
        answers_with(client, 2)
        assert server.output().count(TRIED) == 1, "it was tried under other limits"


def test_routes_move_while_a_version_is_tried(repository: Repository, log: Path, fresh: dict[str, str]) -> None:
    repository.publish(swap.ranker(2))
    with serving(repository, log, fresh) as (server, client):
        assert answering(client) == 2
        repository.publish(hostile.ATTEMPTS["endless-when-run"].bundle(3))
        (child,) = until(lambda: children(server), "no trial begins")
        assert task_of(Path(f"/proc/{child}")).group == child
        # The first moments are the dynamic linker's.
        until(lambda: set(niceness(child)) == {19}, "the trial does not give way")
        repository.say(f"[models.{swap.NAME}]\nlive = 1")
        answers_with(client, 1)
        assert states(client, swap.NAME)[3] == "VERIFYING"
        server.terminate()
        assert server.wait(30) == 0, "a server that stops waits for a trial"
        ends(child)


def test_a_trial_ends_with_its_server(repository: Repository, log: Path, fresh: dict[str, str]) -> None:
    with Server(repository.path, log, fresh) as server:
        repository.publish(hostile.ATTEMPTS["endless-when-run"].bundle(2))
        (child,) = until(lambda: children(server), "no trial begins")
        server.kill()
        ends(child)


def available_mib() -> int:
    """Returns the memory that the system says is available."""
    lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")) // 1024


def test_a_version_is_not_loaded_without_memory_for_it(
    repository: Repository, log: Path, fresh: dict[str, str]
) -> None:
    # Sixteen instances of a quarter of a gibibyte each are four of which two are there.
    settings = {
        "PODIUM_MODELS__MEMORY_RESERVE_MIB": str(available_mib() - 2048),
        "PODIUM_BATCHING__INSTANCES": "16",
    }
    with serving(repository, log, fresh | settings) as (server, client), load(server, callers=1) as told:
        before = resident_mib(server.process.pid)
        repository.publish(hostile.of(hostile.takes_memory_when_run(MIB * 256 // 4), 2))
        reaches(client, swap.NAME, {1: READY, 2: FAILED}, LONG)
        why = reason(client, swap.NAME, 2)
        assert all(word in why for word in ("it needs", "are available", "are missing", "tried again by itself")), why
        assert TRIED in server.output()
        assert resident_mib(server.process.pid) - before < 200
    assert not told.errors


def test_a_start_without_memory_says_what_is_missing(repository: Repository, fresh: dict[str, str]) -> None:
    arguments = ("serve", "--models", repository.path, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0")
    ended = podium(*arguments, settings=fresh | {"PODIUM_MODELS__MEMORY_RESERVE_MIB": "100000000"})
    assert ended.returncode != 0
    assert "MiB are missing" in ended.stderr


def test_what_answers_requests_has_its_usual_priority(log: Path, fresh: dict[str, str]) -> None:
    def all_alike(server: Server) -> bool:
        found = niceness(server.process.pid)
        return len(found) > 10 and set(found) == {os.getpriority(os.PRIO_PROCESS, server.process.pid)}

    with Server(TEST_MODELS, log, fresh | {"PODIUM_RUNTIME__INTRA_OP_THREADS": "2"}) as server:
        client = Client(server.address)
        usual = os.getpriority(os.PRIO_PROCESS, 0)
        assert os.getpriority(os.PRIO_PROCESS, server.process.pid) == usual
        until(partial(all_alike, server), f"some thread gives way: {niceness(server.process.pid)}")
        client.close()
