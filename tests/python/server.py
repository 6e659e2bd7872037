"""Starts the built server on free ports, and stops it."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("PODIUM_BIN", ROOT / "target" / "debug" / "podium")).absolute()
LIBRARY = ROOT / ".onnxruntime" / "libonnxruntime.so"
TEST_MODELS = ROOT / "target" / "test-models"
FAULTY_MODELS = ROOT / "target" / "test-models-faulty"
PLAIN_MODELS = ROOT / "target" / "test-models-plain"
SHIPPED_MODELS = ROOT / "models"
TEST_CACHE = ROOT / "target" / "test-cache"
START_SECONDS = 120.0


# Ports to try, below those that the kernel gives to outgoing connections; each worker of the tests has some of its own.
PORTS_OF_A_WORKER = 2_000
FIRST_PORT = 12_000 + PORTS_OF_A_WORKER * (int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 9)
_next_port = itertools.count(os.getpid() % 60 * 30)


def free_port() -> int:
    """Returns a port that nobody listens on; each answer is another one."""
    for step in itertools.islice(_next_port, PORTS_OF_A_WORKER):
        port = FIRST_PORT + step % PORTS_OF_A_WORKER
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                listener.bind(("127.0.0.1", port))
                return port
    raise AssertionError(f"no port is free from {FIRST_PORT} on")


def environment(settings: dict[str, str] | None = None) -> dict[str, str]:
    """Returns the environment of a fresh shell, with these settings alone."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PODIUM_", "RUST_LOG"))}
    kept.setdefault("ORT_DYLIB_PATH", str(LIBRARY))
    kept["XDG_CACHE_HOME"] = str(TEST_CACHE)
    return kept | (settings or {})


def podium(
    *arguments: str | Path, settings: dict[str, str] | None = None, cwd: Path = ROOT, timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """Runs a command of the binary to its end."""
    return subprocess.run(
        [str(BINARY), *map(str, arguments)],
        env=environment(settings), cwd=cwd, timeout=timeout, text=True, capture_output=True, check=False,
    )  # fmt: skip


class Server:
    """One running server; a context manager that kills what is left of it."""

    def __init__(
        self, models: Path | str, log: Path, settings: dict[str, str] | None = None, port: int | None = None
    ) -> None:
        """Starts the server, on a free port unless one is named, and waits until it serves."""
        self.port = port or free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.admin_port = free_port()
        self.log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [str(BINARY), "serve", "--models", str(models), "--listen", self.address,
                 "--admin-listen", f"127.0.0.1:{self.admin_port}"],
                env=environment(settings), cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip
        try:
            self._wait_until_serving()
        except BaseException:
            self.kill()
            raise

    def _wait_until_serving(self) -> None:
        give_up = time.monotonic() + START_SECONDS
        while not self.accepts():
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended with {self.process.returncode}:\n{self.output()}")
            if time.monotonic() > give_up:
                raise AssertionError(f"the server does not listen:\n{self.output()}")
            time.sleep(0.05)
        with grpc.insecure_channel(self.address) as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            watch = stub.Watch(health_pb2.HealthCheckRequest(), timeout=START_SECONDS)
            for update in watch:
                if update.status == health_pb2.HealthCheckResponse.SERVING:
                    watch.cancel()
                    return
        raise AssertionError(f"the server never served:\n{self.output()}")

    def accepts(self) -> bool:
        """Says whether somebody listens on the port."""
        with socket.socket() as caller:
            return caller.connect_ex(("127.0.0.1", self.port)) == 0

    def output(self) -> str:
        """Returns what the server has printed so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def terminate(self) -> None:
        """Asks the server to drain."""
        self.process.send_signal(signal.SIGTERM)

    def wait(self, timeout: float = 30) -> int:
        """Waits for the end of the process and returns its exit status."""
        return self.process.wait(timeout)

    def kill(self) -> None:
        """Ends the process now, if it has not ended."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def __enter__(self) -> Server:
        """Returns the running server."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the process."""
        self.kill()
