"""Sends requests to a running server with a few in flight."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

from podium_models.server.stubs import Stubs

IN_FLIGHT = 16
DEADLINE_SECONDS = 10.0


def responses(stubs: Stubs, target: str, requests: Iterator[Any]) -> Iterator[Any]:
    """Yields the answers in the order of the requests; a failed one raises ``AssertionError``."""
    import grpc

    with grpc.insecure_channel(target) as channel:
        rank = stubs.services.RankServiceStub(channel).Rank
        waiting: deque[Any] = deque()
        try:
            for request in requests:
                waiting.append(rank.future(request, timeout=DEADLINE_SECONDS))
                if len(waiting) >= IN_FLIGHT:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except grpc.RpcError as error:
            raise AssertionError(f"{target}: {error.code()}: {error.details()}") from error
