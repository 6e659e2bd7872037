"""Feeds logs, catalogues and vectors that must be refused, with an error that says what to do."""

from __future__ import annotations

import re
import tracemalloc

import numpy as np
import polars as pl
import pytest

from podium_models.cli import main

GOOD = "user,item,time\na,x,1\n"


@pytest.fixture
def refuse(tmp_path, capsys):
    """Returns a function that runs the command and returns the one line of its error."""

    def call(content, *arguments, name="log.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
        run = tmp_path / "run"
        given = ["prepare", "interactions", str(path), *map(str, arguments), "--run", str(run)]
        assert main(given) == 1
        assert not (run / "prepared" / "report.json").exists()
        assert not (run / "config.json").exists()
        assert not (run / "prepare.tmp").exists()
        error = capsys.readouterr().err.strip()
        assert error.startswith("error: ")
        assert "\n" not in error
        return error

    return call


@pytest.mark.parametrize(
    ("content", "pattern"),
    [
        ("", r"log\.csv is empty"),
        ("user,item,time\n", r"log\.csv: no usable row of 0"),
        ("user,item,time\n,x,1\na,,1\n", r"no usable row of 2 \(1 empty_user, 1 empty_item\)"),
        ("user,item,time\na,x,1\na,x,1,2,3\n", r"log\.csv:3: 5 fields where the header has 3"),
        ('user,item,time\na,"x"y,1\n', r"log\.csv:2: "),
        ('user,item,time\na,x,1\na,"y,2\nb,z,3\n', r"log\.csv:\d: "),
        (b"user,item,time\na,x,1\na,caf\xe9,1\n", r"log\.csv:3: byte 0xe9 is not UTF-8; .*iconv"),
        (b"user,item,time\na,x\0,1\n", r"log\.csv:2: a zero byte"),
        (GOOD.encode("utf-16"), r"UTF-16; convert it: iconv"),
        (b"\x1f\x8b\x08\x00rest", r"compressed with gzip; unpack it first"),
        ("user,article,time\na,x,1\n", r"'item' is missing; .*user, article, time; --item names"),
        ("user,item,when\na,x,1\n", r"'time' is missing; .*`--time none`"),
        ("user,item,time,item\na,x,1,y\n", r"'item' stands twice in the header"),
    ],
)
def test_bad_logs_are_refused(refuse, content, pattern):
    assert re.search(pattern, refuse(content))


def test_a_line_without_items_is_refused(refuse):
    assert re.search(r"log\.txt:2: .*single word", refuse("1 2 3\n4\n", name="log.txt"))


def test_a_log_of_another_format_is_refused(refuse):
    assert "cannot be read as parquet" in refuse(GOOD, "--format", "parquet")


@pytest.mark.parametrize("name", ["log.csv", "log.txt"])
def test_a_line_a_gigabyte_long_is_refused_without_reading_it(refuse, tmp_path, name):
    path = tmp_path / "long" / name
    path.parent.mkdir()
    with path.open("wb") as file:
        file.write(b"user,item,time\na,x,1\n" if name == "log.csv" else b"1 2 3\n2 3 4\n")
        file.seek(1 << 30)  # a hole of zero bytes: no disk, and no end of line
        file.write(b"x\n")
    first = GOOD if name == "log.csv" else "1 2 3\n"
    tracemalloc.start()
    error = refuse(first, path, name=name)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert re.search(r"log\.\w+:3: the line is longer than 64 MiB", error)
    assert peak < 200 << 20


def test_missing_files_are_named(refuse, tmp_path):
    assert "gone.csv is not a file" in refuse(GOOD, tmp_path / "gone.csv")


def test_several_formats_are_refused(refuse, tmp_path):
    other = tmp_path / "other.txt"
    other.write_text("1 2 3\n")
    assert "several formats" in refuse(GOOD, other)


@pytest.mark.parametrize(
    ("arguments", "pattern"),
    [
        (["--split", "time"], "needs --validation-from and --test-from"),
        (["--split", "time", "--validation-from", "5", "--test-from", "5"], "must lie before"),
        (["--validation-from", "5"], "need --split time"),
        (["--split", "time", "--validation-from", "x", "--test-from", "5"], "'x' is no instant"),
        (["--k-core", "0"], "--k-core 0 is below 1"),
        (["--k-core", "9"], "--k-core 9 leaves no event"),
        (["--item-text", "title"], "name its file with --items"),
        (["--events", "a,,b"], "empty or a repeated name"),
        (["--set", "model.colour=red"], "unknown setting"),
    ],
)
def test_bad_arguments_are_refused(refuse, arguments, pattern):
    assert pattern in refuse(GOOD, *arguments)


def test_a_split_by_time_needs_times(refuse):
    bounds = ["--split", "time", "--validation-from", "5", "--test-from", "6"]
    assert "needs a log with times" in refuse("1 2 3\n", *bounds, name="log.txt")


@pytest.mark.parametrize("content", ["not hex", "00ff", "é"])
def test_a_bad_salt_is_refused(refuse, tmp_path, content):
    salt = tmp_path / "pepper"
    salt.write_text(content, encoding="utf-8")
    assert "32 to 128 hex digits" in refuse(GOOD, "--salt-file", salt)


@pytest.mark.parametrize(
    ("content", "flags", "pattern"),
    [
        ("item,name\nx,y\n", ["--item-text", "title"], "'title' is missing; .*--item-text"),
        ("sku,name\nx,y\n", ["--item-text", "name"], "'item' is missing; .*--item-id"),
        ("item,price\nx,y\n", ["--item-text", "price"], "'price' is reserved"),
        ("item,name\nx,y,z,w\n", ["--item-text", "name"], r"items\.csv:2: 4 fields"),
        ("", ["--item-text", "name"], r"items\.csv is empty"),
    ],
)
def test_bad_catalogues_are_refused(refuse, tmp_path, content, flags, pattern):
    path = tmp_path / "items.csv"
    path.write_text(content)
    assert re.search(pattern, refuse(GOOD, "--items", path, *flags))


@pytest.mark.parametrize(
    ("content", "pattern"),
    [
        ("[1, 2]", "no JSON object"),
        ('{"x": 3}', "item 'x' has no list"),
        ('{"x": [[1]]}', "item 'x' has no list"),
        ('{"x": [1,\n}', r"attributes\.json:2: no JSON here"),
    ],
)
def test_bad_attribute_files_are_refused(refuse, tmp_path, content, pattern):
    path = tmp_path / "attributes.json"
    path.write_text(content)
    assert re.search(pattern, refuse(GOOD, "--attributes", path))


def test_bad_vectors_are_refused(refuse, tmp_path):
    path = tmp_path / "vectors.npz"
    np.savez(path, items=np.array(["x"]), vectors=np.zeros(3))
    assert "their shapes are" in refuse(GOOD, "--embeddings", path)
    np.savez(path, names=np.array(["x"]))
    assert "must hold the arrays `items`" in refuse(GOOD, "--embeddings", path)
    path.write_bytes(b"no archive")
    assert "no NumPy archive" in refuse(GOOD, "--embeddings", path)
    table = tmp_path / "vectors.parquet"
    pl.DataFrame({"item": ["x", "y"], "vector": [[1.0], [1.0, 2.0]]}).write_parquet(table)
    assert "lengths are [1, 2]" in refuse(GOOD, "--embeddings", table)
    pl.DataFrame({"item": ["x"]}).write_parquet(table)
    assert "must hold the columns" in refuse(GOOD, "--embeddings", table)


def test_a_run_of_another_kind_is_not_overwritten(tmp_path, capsys):
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.json").write_text('{"kind": "ranker"}')
    path = tmp_path / "log.csv"
    path.write_text(GOOD)
    assert main(["prepare", "interactions", str(path), "--run", str(run)]) == 1
    assert "name another with --run" in capsys.readouterr().err


def test_an_interrupted_run_does_not_pretend_to_be_finished(tmp_path, monkeypatch, capsys):
    path, run = tmp_path / "log.csv", tmp_path / "run"
    path.write_text(GOOD)

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("podium_models.sequence.data.prepare.order_parts", interrupt)
    assert main(["prepare", "interactions", str(path), "--run", str(run)]) == 130
    assert not (run / "prepare.tmp").exists()
    assert not (run / "prepared").exists()
    assert main(["evaluate", "--run", str(run)]) == 1
    assert "is not a run" in capsys.readouterr().err
