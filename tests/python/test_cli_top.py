"""`podium top`: the figures of the page in the terminal."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from pathlib import Path
from typing import Any

import pytest

import tiny
from client import Client
from expected import TinyRequest, tiny_request
from server import BINARY, TEST_MODELS, Server, environment, free_port, podium

ASKED = TinyRequest(tiny.ITEMS[:10], [float(number) for number in range(10)])
LEFT = b"\x1b[?1049l"


def admin(server: Server) -> tuple[str, str]:
    """Returns the arguments that name a server's admin listener."""
    return ("--admin", f"http://127.0.0.1:{server.admin_port}")


def rank(server: Server, **more: Any) -> None:
    """Ranks once."""
    client = Client(server.address)
    client.rank(**tiny_request(ASKED), **more)
    client.close()


def test_the_figures_are_printed_once(server: Server) -> None:
    rank(server, request_id="\x1b[2Jtop", caller="shop")
    told = podium("top", "--once", *admin(server))
    assert told.returncode == 0, told.stderr
    for wanted in ("serving", "requests", "p95", "tiny-ranker/2", "live", "Slowest requests", "Recent swaps"):
        assert wanted in told.stdout, wanted
    assert "\x1b" not in told.stdout


def test_json_is_what_statusz_answers(server: Server) -> None:
    rank(server)
    told = podium("top", "--once", "--json", *admin(server))
    assert told.returncode == 0, told.stderr
    report = json.loads(told.stdout)
    assert report["live"]["last_60_s"]["requests"] >= 1
    assert {model["name"] for model in report["models"]} >= {"tiny-ranker", "tiny-encoder"}


def test_without_a_terminal_it_goes_on_line_by_line(server: Server) -> None:
    running = subprocess.Popen(
        [str(BINARY), "top", "--json", *admin(server)], env=environment(), text=True, stdout=subprocess.PIPE
    )
    assert running.stdout is not None
    lines = [json.loads(running.stdout.readline()) for _ in range(2)]
    assert lines[0]["now_ms"] < lines[1]["now_ms"]
    running.send_signal(signal.SIGINT)
    assert running.wait(20) == 0


@pytest.mark.parametrize("ending", [b"q", b"\x03", signal.SIGTERM], ids=["q", "ctrl-c", "term"])
def test_the_terminal_is_left_as_it_was(server: Server, ending: bytes | signal.Signals) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    before = termios.tcgetattr(theirs)
    running = subprocess.Popen(
        [str(BINARY), "top", *admin(server)], env=environment() | {"TERM": "xterm"},
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
    )  # fmt: skip
    shown = read_until(ours, b"q ends this")
    assert b"tiny-ranker/2" in shown
    assert termios.tcgetattr(theirs) != before, "keys are read one by one"
    if isinstance(ending, bytes):
        os.write(ours, ending)
    else:
        running.send_signal(ending)
    assert LEFT in read_until(ours, LEFT)
    assert running.wait(20) == 0
    assert termios.tcgetattr(theirs) == before
    os.close(ours)
    os.close(theirs)


def read_until(terminal: int, wanted: bytes, seconds: float = 30) -> bytes:
    """Reads what is shown until something wanted is."""
    shown, give_up = b"", time.monotonic() + seconds
    while wanted not in shown:
        ready, _, _ = select.select([terminal], [], [], max(0.0, give_up - time.monotonic()))
        assert ready, f"{wanted!r} was never shown: {shown[-500:]!r}"
        shown += os.read(terminal, 65536)
    return shown


def test_no_server_is_told_with_what_to_do() -> None:
    told = podium("top", "--once", "--admin", f"http://127.0.0.1:{free_port()}")
    assert told.returncode == 1
    assert "no server answers" in told.stderr
    assert "--admin" in told.stderr


def test_the_wrong_listener_is_told(server: Server) -> None:
    told = podium("top", "--once", "--admin", f"http://{server.address}")
    assert told.returncode == 1
    assert "/statusz" in told.stderr


def test_a_server_that_goes_away_ends_what_is_told_line_by_line(log: Path) -> None:
    with Server(TEST_MODELS, log) as server:
        running = subprocess.Popen(
            [str(BINARY), "top", *admin(server)], env=environment(), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert running.stdout is not None
        assert "serving" in running.stdout.readline()
    _, complaint = running.communicate(timeout=30)
    assert running.returncode == 1
    assert "no server answers" in complaint
