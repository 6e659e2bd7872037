"""The examples run, and print what they say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from server import Server

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs an example to its end."""
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_example_prints_an_order_and_a_mistake(server: Server) -> None:
    ended = run("rank.py", server.address)
    assert ended.returncode == 0, ended.stderr
    places = re.findall(r"^ +(\d)  0\.\d{4} +(\d+)  [A-Z]", ended.stdout, re.MULTILINE)
    assert [place for place, _ in places] == ["1", "2", "3", "4", "5"]
    assert places[0][1] == "1106523"  # What was bought twice.
    assert "user INLINE" in ended.stdout
    assert "InvalidArgument INVALID_FIELD" in ended.stdout
    assert re.search(r"candidates.columns\[0\].*: has 1 values, and 8 are needed", ended.stdout)
    assert "priority: is 9" in ended.stdout


def test_the_example_says_that_nobody_is_there() -> None:
    ended = run("rank.py", "127.0.0.1:1")
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: UNAVAILABLE: "), ended.stderr


def test_the_asynchronous_example_prints_each_household(server: Server) -> None:
    ended = run("rank_async.py", server.address, "1228", "718", "nobody")
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    assert [line.split(":")[0] for line in lines] == ["1228", "718", "nobody"]
    assert [line.split("(")[1] for line in lines] == ["COMPUTED)", "COMPUTED)", "DEFAULT)"]
