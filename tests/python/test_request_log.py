"""The log of whole requests, and `podium replay`, which asks them again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import tiny
import trial
from client import Client
from expected import column
from repository import Repository, until
from server import TEST_MODELS, Server, podium

LOG = "PODIUM_TELEMETRY__REQUEST_LOG__"
IDS = [f"item-{number:02}" for number in range(8)]


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A repository with two versions that order differently; the first is live."""
    made = Repository(tmp_path)
    made.publish(trial.ranker(1))
    made.publish(trial.ranker(2, trial.WORSE))
    made.say(f"[models.{trial.NAME}]\nlive = 1\n")
    return made


@contextmanager
def logging(models: Path, folder: Path, **options: str) -> Iterator[tuple[Server, Path]]:
    """A server that logs all requests; gives it and the file."""
    file = folder / "requests.jsonl"
    settings = {f"{LOG}PATH": str(file), f"{LOG}RATIO": "1.0"} | {LOG + name: value for name, value in options.items()}
    with Server(models, folder / "server.log", settings) as server:
        yield server, file


def ask(server: Server, count: int, **more: Any) -> None:
    """Ranks other candidates each time."""
    client = Client(server.address)
    for number in range(count):
        prices = [float((number * 3 + at * 5) % 11) for at in range(8)]
        quality = [float((number * 7 + at * 2) % 13) for at in range(8)]
        candidates = {"ids": IDS, "columns": [column("price", prices), column("quality", quality)]}
        asked: dict[str, Any] = {
            "model": {"name": trial.NAME},
            "candidates": candidates,
            "user": {"id": "anna"},
            "query": "socks",
        }
        client.rank(request_id=f"r-{number}", caller="shop", **asked | more)
    client.close()


def entries(file: Path, count: int) -> list[dict[str, Any]]:
    """Returns the lines of a log, once there are so many."""
    until(lambda: len(file.read_text(encoding="utf-8").splitlines()) >= count, "they were never written")
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def replay(file: Path, target: str, *more: str, code: int = 0) -> dict[str, Any]:
    """Replays a log, which may go on meanwhile; returns the figures."""
    ended = podium("replay", file, "--target", target, "--json", *more)
    assert ended.returncode == code, ended.stderr
    figures: dict[str, Any] = json.loads(ended.stdout)
    return figures


def test_what_is_not_named_is_not_written(repository: Repository, tmp_path: Path) -> None:
    with logging(repository.path, tmp_path) as (server, file):
        ask(server, 2)
        first, second = entries(file, 2)
        assert file.stat().st_mode & 0o777 == 0o600
    assert first["podium_request_log"] == 1
    assert (first["request_id"], first["caller"], first["outcome"]) == ("r-0", "shop", "RANKED")
    assert first["user"] == second["user"] != ""
    assert (first["request"]["candidates"], first["answer"]["version"]) == (IDS, 1)
    assert sorted(first["answer"]["order"]) == list(range(8))
    assert first["answer"]["scores"] == sorted(first["answer"]["scores"], reverse=True)
    assert first["timings_us"]["total"] >= first["timings_us"]["run"] > 0
    assert first["left_out"] == ["query", "candidates.columns[price]", "candidates.columns[quality]"]
    assert not {"query", "columns", "history"} & first["request"].keys()


def test_a_replay_says_how_another_version_differs(repository: Repository, tmp_path: Path) -> None:
    with logging(repository.path, tmp_path, COLUMNS='["*"]', QUERY="true") as (server, file):
        ask(server, 20)
        lines = entries(file, 20)
        assert lines[0]["request"]["query"] == "socks"
        at_once = replay(file, server.address)
        assert at_once["asked"] == 20, "what it asked was logged, and asked again"
        assert at_once["compared_with"] == {f"{trial.NAME} version 1": 20}
        copy = tmp_path / "copy.jsonl"
        copy.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        same = replay(copy, server.address)
        assert (same["asked"], same["compared"], same["failed"]) == (20, 20, {})
        assert (same["kendall_tau"]["min"], same["same_order"], same["top_overlap"]) == (1.0, 1.0, 1.0)
        assert same["largest_score_difference"] == 0.0
        assert same["left_out"] == {}
        times = same["latency_ms"]
        assert times["target_client"]["p99"] >= times["target_client"]["p50"] > 0
        assert times["compared_server"]["p50"] > 0
        assert times["compared_client"] is None
        worse = replay(copy, f"{server.address},version=2", "--fail-below-tau", "0.9", code=1)
        assert worse["kendall_tau"]["mean"] < 0.6
        assert worse["same_order"] < 1.0
        assert worse["answered_by"] == {f"{trial.NAME} version 2": 20}
        two = ("--compare", f"{server.address},version=2", "--concurrency", "2", "--rate", "200")
        both = replay(copy, f"{server.address},model={trial.NAME},version=2", *two, "--limit", "7")
        assert (both["asked"], both["kendall_tau"]["min"]) == (7, 1.0)
        assert both["latency_ms"]["compared_client"]["p50"] > 0
        gone = replay(copy, f"{server.address},version=9", "--fail-below-tau", "0", code=1)
        assert (gone["compared"], gone["failed"]) == (0, {"NotFound MODEL_NOT_FOUND": 20})
        told = podium("replay", copy, "--target", f"{server.address},version=2")
        for part in ("20 requests asked of", "Kendall tau", "times as long", "answered by"):
            assert part in told.stdout, told.stdout


def test_what_was_left_out_and_foreign_lines_are_named(repository: Repository, tmp_path: Path) -> None:
    with logging(repository.path, tmp_path) as (server, file):
        ask(server, 3)
        lines = "".join(json.dumps(line) + "\n" for line in entries(file, 3))
        copy = tmp_path / "copy.jsonl"
        with copy.open("w", encoding="utf-8") as log:
            log.write(lines)
            log.write('{"podium_request_log":7}\nno json\n{"other":1}\n')
        ended = podium("replay", copy, "--target", server.address)
    assert ended.returncode == 0, ended.stderr
    assert "3 requests lack candidates.columns[price], which the log left out" in ended.stdout
    assert "not answered: InvalidArgument INVALID_FIELD candidates.columns[" in ended.stdout
    assert "3 lines are no requests" in ended.stdout
    assert "line 5: is no JSON" in ended.stdout
    assert podium("replay", tmp_path / "none", "--target", "127.0.0.1:1").returncode == 1


@pytest.mark.parametrize("side", ["history", "embedding", "all"])
def test_the_users_side_is_replayed_as_it_was(tmp_path: Path, side: str) -> None:
    with logging(TEST_MODELS, tmp_path, COLUMNS='["*"]', USER_SIDE=side) as (server, file):
        client = Client(server.address)
        candidates = {"ids": IDS, "columns": [column("price", [float(at) for at in range(8)])]}
        for user in ("anna", "anna", "nobody"):
            client.rank(model={"name": "tiny-ranker"}, candidates=candidates, user={"id": user})
        client.close()
        lines = entries(file, 3)
        figures = replay(file, server.address)
    states = [line["answer"]["user_state"] for line in lines]
    assert states == ["COMPUTED", "CACHED", "DEFAULT"]
    history = lines[1]["request"].get("history", [])
    assert [event["item"] for event in history] == (
        [item for item, _ in tiny.stored_histories()["anna"]] if side != "embedding" else []
    )
    assert ("embedding" in lines[1]["request"]) == (side != "history")
    assert "anna" not in file.read_text(encoding="utf-8")
    assert (figures["compared"], figures["failed"]) == (3, {})
    if side != "embedding":
        assert figures["largest_score_difference"] < 1e-5
        assert figures["same_order"] == 1.0


def test_hashes_are_the_same_under_one_key(repository: Repository, tmp_path: Path) -> None:
    hashes = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        with logging(repository.path, folder, RATIO="1.0") as (server, file):
            ask(server, 1)
            hashes.append(entries(file, 1)[0]["user"])
    assert hashes[0] != hashes[1], "the key is drawn at each start"


def test_a_file_that_cannot_be_ends_the_start(repository: Repository) -> None:
    settings = {f"{LOG}PATH": "/proc/no/such"}
    listen = ("--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0")
    ended = podium("serve", "--models", repository.path, *listen, settings=settings)
    assert ended.returncode == 1
    assert "telemetry.request_log.path: /proc/no/such cannot be opened" in ended.stderr
    wrong = podium("config", settings={f"{LOG}RATIO": "2", f"{LOG}MAX_FILES": "0"})
    assert "telemetry.request_log.ratio" in wrong.stderr
    assert "telemetry.request_log.max_files" in wrong.stderr


def test_a_full_disk_stops_nobody(repository: Repository, tmp_path: Path) -> None:
    settings = {f"{LOG}PATH": "/dev/full", f"{LOG}RATIO": "1.0"}
    with Server(repository.path, tmp_path / "server.log", settings) as server:
        ask(server, 3)
        until(lambda: "the request log cannot be written" in server.output(), "nobody says so")
        ask(server, 3)
        assert server.output().count("the request log cannot be written") == 1
