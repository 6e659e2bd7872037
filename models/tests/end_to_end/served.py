"""Runs commands of the package and of the built server."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from podium_models.cli import main

ROOT = Path(__file__).resolve().parents[3]
BINARY = Path(os.environ.get("PODIUM_BIN", ROOT / "target" / "debug" / "podium"))
LIBRARY = ROOT / ".onnxruntime" / "libonnxruntime.so"
START_SECONDS = 120.0


def environment() -> dict[str, str]:
    """Returns the environment without settings of a server that somebody else runs."""
    kept = {name: one for name, one in os.environ.items() if not name.startswith("PODIUM_")}
    return {"ORT_DYLIB_PATH": str(LIBRARY), **kept}


def free_address() -> str:
    """Returns an address that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{listener.getsockname()[1]}"


def podium(*arguments: object) -> str:
    """Runs a command of the server's binary and returns what it printed."""
    given = [str(BINARY), *map(str, arguments)]
    found = subprocess.run(
        given, env=environment(), cwd=ROOT, timeout=120, text=True, capture_output=True, check=False
    )
    assert found.returncode == 0, f"{given}:\n{found.stdout}{found.stderr}"
    return found.stdout


def train_models(*arguments: object) -> None:
    """Runs a command of the package; it has to succeed."""
    assert main([str(one) for one in arguments]) == 0, arguments


def accepts(address: str) -> bool:
    """Says whether somebody listens."""
    host, port = address.split(":")
    with socket.socket() as caller:
        return caller.connect_ex((host, int(port))) == 0


@contextmanager
def serving(repository: Path, log: Path) -> Iterator[str]:
    """Serves a model repository and yields the address; the server drains in the end."""
    address = free_address()
    command = [str(BINARY), "serve", "--models", str(repository), "--listen", address]
    command += ["--admin-listen", free_address()]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=environment(), cwd=ROOT, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        give_up = time.monotonic() + START_SECONDS
        while not accepts(address):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < give_up, log.read_text()
            time.sleep(0.1)
        yield address
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, log.read_text()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
