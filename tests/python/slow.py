"""Requests to the slow ranker, which runs as long as it is told."""

from __future__ import annotations

import time
from typing import Any

from client import Client
from expected import column


def slow(rounds: int, **more: Any) -> dict[str, Any]:
    """Returns a request whose run takes that many rounds."""
    return {
        "model": {"name": "slow-ranker"},
        "candidates": {"ids": ["a", "b"], "columns": [column("price", [1, 2])]},
        "context": [{"name": "rounds", "ints": {"values": [rounds]}}],
    } | more


def rounds_for(client: Client, seconds: float) -> int:
    """Measures this machine and returns the rounds that take about so long, never fewer."""
    rounds = 2_000
    while True:
        started = time.monotonic()
        client.rank(**slow(rounds))
        took = time.monotonic() - started
        if took > 0.2:
            return int(rounds * seconds / took) + 1
        rounds *= 4
