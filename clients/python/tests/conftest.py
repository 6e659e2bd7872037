"""One server that all tests share."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from podium_client import Client
from server import SHIPPED_MODELS, TEST_MODELS, Server

MODELS = {
    "grocery-encoder": SHIPPED_MODELS,
    "grocery-ranker": SHIPPED_MODELS,
    "tiny-encoder": TEST_MODELS,
    "tiny-ranker": TEST_MODELS,
    "slow-ranker": TEST_MODELS,
    "vector-ranker": TEST_MODELS,
}


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the bundled grocery models and some test bundles."""
    folder = tmp_path_factory.mktemp("podium")
    for name, where in MODELS.items():
        shutil.copytree(where / name, folder / "models" / name)
    with Server(folder / "models", folder / "log") as running:
        yield running


@pytest.fixture(scope="session")
def client(server: Server) -> Iterator[Client]:
    """A client of the shared server, with time to spare."""
    with Client(server.address, deadline=20.0) as connected:
        yield connected


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Where a server of one test writes."""
    return tmp_path / "server.log"
