"""Leaves tests out that take a model from its log to an answer, unless they are asked for.

They need torch and minutes, so `make test-models` runs them and plain `make test` does not.
"""

from __future__ import annotations

import os

import pytest

if not os.environ.get("PODIUM_END_TO_END"):
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session", autouse=True)
def _built() -> None:
    """Says what to do where the server has not been built."""
    from served import BINARY

    if not BINARY.exists():
        pytest.exit(f"{BINARY} is not there; `make test-models` builds it", returncode=2)
