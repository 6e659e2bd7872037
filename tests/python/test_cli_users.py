"""`podium users import` and `podium users warm` as a person uses them, against a running server."""

from __future__ import annotations

import gzip
import json
import signal
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars
import pytest

import tiny
from client import Client
from server import BINARY, TEST_MODELS, Server, environment, free_port, podium

Row = tuple[str, str, int]


def users(server: Server, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs `podium users` against a server."""
    return podium("users", *arguments, "--target", f"http://{server.address}")


def imported(server: Server, file: Path, *more: str) -> str:
    """Imports a file, which has to succeed, and returns what is printed."""
    ended = users(server, "import", file, *more)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert not checkpoint(file).exists()
    return ended.stdout


def checkpoint(file: Path) -> Path:
    """Returns where it is noted how far the import of a file is."""
    return file.with_name(file.name + ".podium-import")


def rows_of(prefix: str) -> list[Row]:
    """Returns events of three users, mixed."""
    return [(f"{prefix}-{number % 3}", tiny.ITEMS[number % 50], tiny.START + number) for number in range(30)]


def text_of(rows: list[Row], header: str = "user,item,time") -> str:
    """Returns rows as CSV."""
    return "\n".join([header, *(f"{user},{item},{seconds}" for user, item, seconds in rows)]) + "\n"


def write_csv(file: Path, rows: list[Row]) -> Path:
    """Writes rows as CSV."""
    file = file.with_suffix(".csv")
    file.write_text(text_of(rows))
    return file


def write_gzipped_csv(file: Path, rows: list[Row]) -> Path:
    """Writes rows as gzipped CSV with the longer names and times as text."""
    file = file.with_suffix(".csv.gz")
    lines = [f"{item},{datetime.fromtimestamp(seconds, UTC).isoformat()},{user}" for user, item, seconds in rows]
    file.write_bytes(gzip.compress(("\n".join(["item_id,time,user_id", *lines]) + "\n").encode()))
    return file


def write_jsonl(file: Path, rows: list[Row]) -> Path:
    """Writes rows as JSON, one a line."""
    file = file.with_suffix(".jsonl")
    lines = [json.dumps({"user_id": user, "item": item, "time": seconds}) for user, item, seconds in rows]
    file.write_text("\n".join(lines) + "\n")
    return file


def write_parquet(unit: str | None) -> Callable[[Path, list[Row]], Path]:
    """Returns what writes rows as Parquet, with times as moments of a unit or as seconds."""

    def write(file: Path, rows: list[Row]) -> Path:
        file = file.with_suffix(".parquet")
        columns = dict(zip(("user", "item", "time"), zip(*rows, strict=True), strict=True))
        frame = polars.DataFrame({name: list(values) for name, values in columns.items()})
        if unit is not None:
            moment = polars.from_epoch("time", time_unit="s").cast(polars.Datetime(unit))  # type: ignore[arg-type]
            frame = frame.with_columns(moment)
        frame.with_columns(other=polars.lit([1, 2])).write_parquet(file, row_group_size=7)
        return file

    return write


FORMATS = {
    "csv": write_csv,
    "csv.gz": write_gzipped_csv,
    "jsonl": write_jsonl,
    "parquet-seconds": write_parquet(None),
    "parquet-ms": write_parquet("ms"),
    "parquet-us": write_parquet("us"),
    "parquet-ns": write_parquet("ns"),
}


@pytest.mark.parametrize("form", list(FORMATS))
def test_a_file_is_recorded_once_whatever_its_format(server: Server, client: Client, tmp_path: Path, form: str) -> None:
    rows = rows_of(form)
    file = FORMATS[form](tmp_path / "shop", rows)
    said = imported(server, file, "--batch", "4")
    assert "30 rows, 30 recorded, 0 duplicates, 0 skipped" in said
    for number in range(3):
        answer = client.user(f"{form}-{number}")
        assert (answer.recorded_events, answer.last_event_time.seconds) == (10, tiny.START + 27 + number)
    assert "30 rows, 0 recorded, 30 duplicates, 0 skipped" in imported(server, file)


@pytest.mark.parametrize("codec", ["uncompressed", "snappy", "gzip", "zstd"])
def test_parquet_may_be_compressed(server: Server, tmp_path: Path, codec: Any) -> None:
    rows = rows_of(codec)
    columns = {name: [row[at] for row in rows] for at, name in enumerate(("user", "item", "time"))}
    file = tmp_path / "shop.parquet"
    polars.DataFrame(columns).write_parquet(file, compression=codec)
    assert "30 recorded" in imported(server, file)


def test_the_same_row_counts_once_in_every_format(server: Server, tmp_path: Path) -> None:
    rows = rows_of("same")
    assert "30 recorded" in imported(server, write_csv(tmp_path / "shop", rows))
    for write in (write_gzipped_csv, write_jsonl, write_parquet("us")):
        assert "0 recorded, 30 duplicates" in imported(server, write(tmp_path / "shop", rows))


def test_kinds_and_names_of_events_are_taken_over(server: Server, client: Client, tmp_path: Path) -> None:
    file = tmp_path / "shop.csv"
    file.write_text(
        "time,kind,user,item,event_id\n"
        f"{tiny.START},view,cli-kinds,item-01,\n{tiny.START},cart,cli-kinds,item-01,\n{tiny.START},,cli-kinds,item-01,\n"
        f"{tiny.START},purchase,cli-kinds,item-01,\n{tiny.START},purchase,cli-kinds,item-01,a\n{tiny.START},view,cli-kinds,item-02,a\n"
    )
    assert "6 rows, 4 recorded, 2 duplicates" in imported(server, file)
    assert client.user("cli-kinds").recorded_events == 4


def test_numbers_are_ids_too(server: Server, client: Client, tmp_path: Path) -> None:
    file = tmp_path / "shop.jsonl"
    file.write_text(json.dumps({"user": 12280, "item": 7, "time": tiny.START + 0.5, "kind": None, "more": {}}) + "\n\n")
    assert "1 rows, 1 recorded" in imported(server, file)
    assert client.user("12280").last_event_time.seconds == tiny.START


@pytest.mark.parametrize(
    ("line", "field"),
    [
        (f",item-01,{tiny.START}", "user: is missing"),
        (f"u,,{tiny.START}", "item: is missing"),
        ("u,item-01,", "time: is missing"),
        ("u,item-01,noon", "time: is no time"),
        (f"u,item-01,{tiny.START}000", "time: "),
        (f"{'u' * 200},item-01,{tiny.START}", "user: has 200 bytes"),
        (f"u,item-01,{tiny.START},more", "has 4 cells"),
    ],
)
def test_a_faulty_row_is_named_and_nothing_behind_it_is_sent(
    server: Server, client: Client, tmp_path: Path, line: str, field: str
) -> None:
    name = f"faulty-{abs(hash(line))}"
    rows = [(name, "item-01", tiny.START + number) for number in range(3)]
    file = tmp_path / "shop.csv"
    lines = text_of(rows).splitlines()
    file.write_text("\n".join([*lines[:2], line, *lines[2:]]) + "\n")
    ended = users(server, "import", file, "--batch", "1")
    assert ended.returncode == 1
    assert "shop.csv, row 2 (line 3): " in ended.stderr
    assert field in ended.stderr
    assert "--skip-faulty" in ended.stderr
    assert client.user(name).recorded_events == 1
    # What is left is sent by the next run.
    ended = users(server, "import", file, "--skip-faulty")
    assert ended.returncode == 0, ended.stderr
    assert "goes on after row 1" in ended.stderr
    assert f"skipped: {file}, row 2 (line 3)" in ended.stderr
    assert "3 rows, 2 recorded, 0 duplicates, 1 skipped" in ended.stdout
    assert client.user(name).recorded_events == 3


def test_a_faulty_row_of_parquet_is_named(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "shop.parquet"
    frame = {"user": ["a", None], "item": ["x", "y"], "time": [tiny.START, tiny.START]}
    polars.DataFrame(frame).write_parquet(file)
    ended = users(server, "import", file)
    assert ended.returncode == 1
    assert "shop.parquet, row 2: user: is missing" in ended.stderr


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("shop.csv", b"user,time\nu,1\n", ["no column `item` or `item_id`", "user, time"]),
        ("shop.xlsx", b"", [".parquet"]),
        ("shop.parquet", b"no such thing", ["shop.parquet"]),
        ("shop.csv.gz", b"user,item,time\n", ["shop.csv.gz"]),
        ("shop.jsonl", b"{\n", ["row 1 (line 1)", "no JSON"]),
    ],
)
def test_a_file_that_cannot_be_read_is_named(
    server: Server, tmp_path: Path, name: str, content: bytes, words: list[str]
) -> None:
    (tmp_path / name).write_bytes(content)
    ended = users(server, "import", tmp_path / name)
    assert ended.returncode == 1
    for word in words:
        assert word in ended.stderr, ended.stderr
    assert "panicked" not in ended.stderr


def test_a_file_or_a_server_that_is_not_there_is_named(server: Server, tmp_path: Path) -> None:
    ended = users(server, "import", tmp_path / "nowhere.csv")
    assert (ended.returncode, "nowhere.csv" in ended.stderr) == (1, True)
    file = write_csv(tmp_path / "shop", rows_of("u"))
    for command in (("import", file), ("warm", "--top-active", "1")):
        ended = podium("users", *command, "--target", f"http://127.0.0.1:{free_port()}")
        assert (ended.returncode, "make serve" in ended.stderr) == (1, True)


def test_a_batch_is_no_larger_than_the_server_takes(server: Server, tmp_path: Path) -> None:
    file = write_csv(tmp_path / "shop", rows_of("u"))
    for size in ("0", "4097"):
        ended = users(server, "import", file, "--batch", size)
        assert (ended.returncode, "max_events, 4096" in ended.stderr) == (1, True), ended.stderr


def start(server: Server, *arguments: str | Path) -> subprocess.Popen[str]:
    """Starts `podium users`."""
    command = [str(BINARY), "users", *map(str, arguments), "--target", f"http://{server.address}"]
    return subprocess.Popen(command, env=environment(), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def noted(file: Path) -> int:
    """Returns the rows that are noted as sent, 0 where nothing is noted."""
    try:
        rows: int = json.loads(checkpoint(file).read_text())["rows"]
    except FileNotFoundError:
        return 0
    return rows


def interrupt_when(running: subprocess.Popen[str], when: Callable[[], bool]) -> tuple[str, str]:
    """Sends Ctrl-C as soon as something is so, and returns what was printed."""
    give_up = time.monotonic() + 30
    while not when():
        assert running.poll() is None, running.communicate()
        assert time.monotonic() < give_up
        time.sleep(0.002)
    running.send_signal(signal.SIGINT)
    return running.communicate(timeout=30)


COUNT = 30_000


def test_an_import_goes_on_where_it_was_cut_off(log: Path, tmp_path: Path) -> None:
    rows = [(f"u{number % 500}", "item-01", tiny.START + number) for number in range(COUNT)]
    file = write_csv(tmp_path / "shop", rows)
    with Server(TEST_MODELS, log) as server:
        running = start(server, "import", file, "--batch", "50")
        _, errors = interrupt_when(running, lambda: noted(file) > 0)
        assert running.returncode == 1
        assert "stopped" in errors
        assert "Run the same command again" in errors
        sent = noted(file)
        assert 0 < sent < COUNT
        assert f"{sent} rows, {sent} recorded, 0 duplicates" in errors
        ended = users(server, "import", file)
        assert f"goes on after row {sent}" in ended.stderr
        assert f"{COUNT - sent} rows, {COUNT - sent} recorded, 0 duplicates, 0 skipped" in ended.stdout
        assert not checkpoint(file).exists()


def test_a_file_that_has_changed_is_sent_from_the_start(server: Server, tmp_path: Path) -> None:
    file = write_csv(tmp_path / "shop", [*rows_of("changed"), ("", "x", 1)])
    assert users(server, "import", file, "--batch", "10").returncode == 1
    assert noted(file) == 30
    rows = [*rows_of("changed"), ("changed-x", "item-01", 1)]
    file.write_text(text_of(rows))
    ended = users(server, "import", file)
    assert "has changed" in ended.stderr
    assert "31 rows, 1 recorded, 30 duplicates" in ended.stdout
    assert not checkpoint(file).exists()


def test_an_import_waits_for_a_server_that_comes_back(log: Path, tmp_path: Path) -> None:
    rows = [(f"u{number % 500}", "item-01", tiny.START + number) for number in range(COUNT)]
    file = write_csv(tmp_path / "shop", rows)
    with Server(TEST_MODELS, log) as server:
        running = start(server, "import", file, "--batch", "50")
        give_up = time.monotonic() + 30
        while noted(file) == 0:
            assert time.monotonic() < give_up
            time.sleep(0.002)
        server.kill()
        time.sleep(0.5)
        address = server.address
        again = subprocess.Popen(
            [str(BINARY), "serve", "--models", str(TEST_MODELS), "--listen", address,
             "--admin-listen", f"127.0.0.1:{free_port()}"],
            env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            said, errors = running.communicate(timeout=60)
            assert running.returncode == 0, errors
            assert f"{COUNT} rows, " in said
        finally:
            again.kill()
            again.wait()


def test_a_server_that_stays_away_ends_the_import(log: Path, tmp_path: Path) -> None:
    rows = [("u", "item-01", tiny.START + number) for number in range(COUNT)]
    file = write_csv(tmp_path / "shop", rows)
    with Server(TEST_MODELS, log) as server:
        running = start(server, "import", file, "--batch", "50")
        while noted(file) == 0:
            time.sleep(0.002)
        server.kill()
        time.sleep(1)
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=30)
        assert running.returncode == 1
        assert "Run the same command again" in errors
        assert "panicked" not in errors


def test_users_are_warmed(log: Path, tmp_path: Path) -> None:
    with Server(TEST_MODELS, log) as server:
        imported(server, write_csv(tmp_path / "shop", rows_of("w")))
        ended = users(server, "warm", "--model", "tiny-ranker", "--top-active", "100")
        assert ended.returncode == 0, ended.stderr
        assert "7 of 7 users: 7 computed, 0 fresh, 0 without a history, 0 failed" in ended.stdout
        ended = users(server, "warm", "--model", "tiny-ranker", "--user", "w-1", "--user", "nobody")
        assert "2 of 2 users: 0 computed, 1 fresh, 1 without a history, 0 failed" in ended.stdout
        client = Client(server.address)
        client.record(
            [{"event_id": "e", "user_id": "poisoned", "item_id": tiny.POISON, "time": {"seconds": tiny.START}}]
        )
        client.close()
        ended = users(server, "warm", "--model", "tiny-ranker", "--user", "poisoned")
        assert ended.returncode == 1
        assert "1 failed" in ended.stderr


def test_warming_says_what_it_needs(server: Server) -> None:
    assert users(server, "warm").returncode == 2
    assert users(server, "warm", "--top-active", "1", "--user", "u").returncode == 2
    ended = users(server, "warm", "--model", "nan-ranker", "--top-active", "1")
    assert (ended.returncode, "no encoder" in ended.stderr) == (1, True)


def test_warming_ends_with_ctrl_c_and_goes_on(log: Path, tmp_path: Path) -> None:
    file = write_csv(tmp_path / "shop", [(f"u{number}", "item-01", tiny.START) for number in range(COUNT)])
    with Server(TEST_MODELS, log) as server:
        imported(server, file)
        client = Client(server.address)
        before = client.run_counters("tiny-encoder").rows
        running = start(server, "warm", "--model", "tiny-ranker", "--top-active", str(COUNT))
        begun = interrupt_when(running, lambda: client.run_counters("tiny-encoder").rows > before + 200)
        assert running.returncode == 1
        assert "fresh users are passed over" in begun[1]
        ended = users(server, "warm", "--model", "tiny-ranker", "--top-active", "50")
        assert "50 of 50 users: 0 computed, 50 fresh" in ended.stdout
        client.close()


def test_rank_tells_the_users_state_and_may_insist_on_one(server: Server, client: Client) -> None:
    arguments = ["rank", "--target", f"http://{server.address}", "--model", "tiny-ranker", "--require-user-state"]
    ended = podium(*arguments, "--user", "insisted")
    assert ended.returncode == 1
    assert "`user.id`" in ended.stderr
    client.record([{"event_id": "e", "user_id": "insisted", "item_id": "item-01", "time": {"seconds": tiny.START}}])
    assert "user state: computed" in podium(*arguments, "--user", "insisted").stdout
    assert "user state: cached, " in podium(*arguments, "--user", "insisted").stdout
