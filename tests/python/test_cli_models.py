"""`podium models` as a person uses it, against a running server."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import faulty
import swap
from repository import Repository, until
from server import BINARY, Server, environment, free_port, podium
from test_hot_swap import QUICK

NAME = swap.NAME


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A repository with four versions of the swap ranker, the last of which cannot be loaded."""
    made = Repository(tmp_path)
    for version in (1, 2, 3):
        made.publish(swap.ranker(version))
    bad = made.stage(swap.ranker(4))
    faulty.write_garbage(bad)
    made.move_in(bad, NAME, 4)
    made.say(f'[models.{NAME}]\nload = "live"\nlive = 1\nlabels = {{ canary = 2 }}\n')
    return made


@pytest.fixture
def server(repository: Repository, log: Path) -> Iterator[Server]:
    """A server that follows it."""
    with Server(repository.path, log, QUICK) as running:
        yield running
        assert "panicked" not in running.output()


def models(server: Server, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs `podium models` against a server."""
    return podium("models", *arguments, "--admin", f"http://127.0.0.1:{server.admin_port}")


def done(server: Server, *arguments: str) -> str:
    """Runs `podium models`, which has to succeed, and returns what is printed."""
    ended = models(server, *arguments)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def refused(server: Server, *arguments: str, code: int = 1) -> str:
    """Runs `podium models`, which has to fail, and returns what is said of that."""
    ended = models(server, *arguments)
    assert ended.returncode == code, ended.stdout + ended.stderr
    assert "panicked" not in ended.stderr
    return ended.stderr


def rows(text: str) -> list[list[str]]:
    """Returns the cells of the first table's rows."""
    lines = [line for line in text.split("└", maxsplit=1)[0].splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in line.strip("│").split("┆")] for line in lines[1:]]


def test_a_list_says_what_each_version_is_for(server: Server) -> None:
    listed = done(server, "list")
    assert rows(listed) == [
        [NAME, "1", "ready", "live", "", ""],
        ["", "2", "ready", "", "latest, canary", ""],
        ["", "3", "found", "", "", ""],
        ["", "4", "found", "", "", ""],
    ]
    widths = {len(line) for line in listed.splitlines() if line[0] in "│┌╞└"}
    assert len(widths) == 1, "the table is not aligned"
    told = json.loads(done(server, "list", "--json"))
    assert f"revision {told['revision']}" in listed
    assert told["models"][0]["name"] == NAME


def test_a_version_is_loaded_split_promoted_and_taken_back(server: Server, repository: Repository) -> None:
    assert f"{NAME}/3 is loaded; {NAME}/1 answers" in done(server, "load", NAME, "3")
    told = done(server, "split", NAME, "canary=10", "3=2.5%")
    assert told.splitlines() == [f"{NAME}/1 answers", f"{NAME}/2: 10% of users", f"{NAME}/3: 2.5% of users"]
    assert "caller batch" in done(server, "split", NAME, "--caller", "batch=3")
    assert "10% of users" in done(server, "status", NAME), "shares that were not named are gone"
    assert "shadow of 20%" in done(server, "shadow", NAME, "3", "--share", "20")
    assert "is live; `podium models rollback" in done(server, "promote", NAME, "canary")
    role = {row[0]: row[2] for row in rows(done(server, "status", NAME))}
    assert role["1"] == "previous"
    assert role["2"] == "live"
    assert role["3"] == "2.5% of users, caller batch, shadow of 20%"
    assert f"{NAME}/3 is taken back" in done(server, "rollback", NAME, "--reason", "it was worse")
    assert f"{NAME}/2 is taken back; {NAME}/1 answers" in done(server, "rollback", NAME, "2")
    notes = {row[0]: (row[2], row[4]) for row in rows(done(server, "status", NAME))}
    assert notes["3"] == ("rejected", "it was worse")
    assert notes["2"][0] == "rejected"
    assert refused(server, "rollback", NAME).startswith("podium: FailedPrecondition")
    assert f"{NAME}/3 is live" in done(server, "promote", NAME, "3"), "a promotion ends a rejection"
    done(server, "split", NAME, "--none")
    done(server, "shadow", NAME, "--none")
    assert "is not loaded" in done(server, "unload", NAME, "1")
    assert "unloaded = [1]" in (repository.path / "serving.toml").read_text(encoding="utf-8")


def test_a_version_that_fails_is_told_with_what_still_serves(server: Server) -> None:
    told = refused(server, "promote", NAME, "4")
    assert f"{NAME}/4 has failed: " in told
    assert "model.onnx" in told
    assert f"{NAME}/1 answers; serving.toml says that 4 is live" in told
    assert f"{NAME}/1 answers" in done(server, "rollback", NAME, "4")


def test_what_cannot_be_is_said_and_ends_with_one_or_two(server: Server) -> None:
    assert "NotFound" in refused(server, "promote", NAME, "9")
    assert "NotFound" in refused(server, "status", "nobody")
    assert "is live; promote another version first" in refused(server, "unload", NAME, "1")
    assert "has changed since" in refused(server, "load", NAME, "3", "--revision", "0123456789abcdef")
    for wrong in (["promote", NAME], ["split", NAME], ["split", NAME, "4"], ["split", NAME, "4=10", "--none"],
                  ["shadow", NAME], ["load", NAME, "canary"], ["list", "--timeout", "1s"]):  # fmt: skip
        assert "Usage" in refused(server, *wrong, code=2) or "try '--help'" in refused(server, *wrong, code=2)
    ended = podium("models", "list", "--admin", f"http://127.0.0.1:{free_port()}")
    assert (ended.returncode, "--admin" in ended.stderr) == (1, True)


def test_nobody_need_wait(server: Server) -> None:
    told = done(server, "load", NAME, "3", "--no-wait")
    assert told.startswith("written: serving.toml is at revision ")
    revision = told.split()[-1]
    until(lambda: revision in done(server, "list"), "the change was never followed")
    assert "is loaded" in done(server, "load", NAME, "3", "--revision", revision), "the same again is no conflict"
    assert podium("models", "list", settings={"PODIUM_ADMIN": f"http://127.0.0.1:{server.admin_port}"}).returncode == 0


def test_a_watch_tells_each_change_until_it_is_stopped(server: Server) -> None:
    command = [str(BINARY), "models", "status", NAME, "--watch", "--admin", f"http://127.0.0.1:{server.admin_port}"]
    with subprocess.Popen(command, env=environment(), text=True, stdout=subprocess.PIPE) as watching:
        assert watching.stdout is not None
        first = [watching.stdout.readline() for _ in range(9)]
        assert f"{NAME}: live is 1" in first[0]
        done(server, "promote", NAME, "3")
        lines = []
        while f"{NAME}/3: ready (live, label latest)" not in lines:
            lines.append(watching.stdout.readline().strip())
        assert f"{NAME}/1: ready (previous)" in lines
        assert any("is at revision" in line for line in lines)
        watching.send_signal(signal.SIGINT)
        assert watching.wait(20) == 0
