"""Servers and clients that many tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from client import Client
from server import BINARY, TEST_MODELS, Server


@pytest.fixture(scope="session", autouse=True)
def _built() -> None:
    """Says what to do where something has not been built."""
    for path in (BINARY, TEST_MODELS):
        if not path.exists():
            pytest.exit(f"{path} is not there: run `make test-python`, which builds it", returncode=2)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the test bundles and its default limits."""
    with Server(TEST_MODELS, tmp_path_factory.mktemp("server") / "log") as running:
        yield running


@pytest.fixture(scope="session")
def client(server: Server) -> Iterator[Client]:
    """A client of the shared server."""
    caller = Client(server.address)
    yield caller
    caller.close()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Where a server of one test writes."""
    return tmp_path / "server.log"
