"""Many callers at once: every answer is the answer to its own request."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import tiny
from client import Client
from expected import TinyRequest, check_scores, column, inline_history, tiny_request
from server import Server

CALLERS, REQUESTS = 8, 60


def ask_often(address: str, seed: int) -> int:
    """Sends requests of several kinds, checks each answer, and returns how many there were."""
    dice, client = random.Random(seed), Client(address)
    for number in range(REQUESTS):
        ids = dice.sample(tiny.ITEMS, dice.randint(1, 20))
        prices = [dice.uniform(0, 900) for _ in ids]
        name = f"{seed}-{number}"
        if dice.random() < 0.3:
            candidates: dict[str, Any] = {"ids": ids, "columns": [column("price", prices)]}
            answer = client.rank(request_id=name, model={"name": "nan-ranker"}, candidates=candidates)
            wanted = dict(zip(ids, prices, strict=True))
            assert all(abs(item.score - wanted[item.id]) < 1e-3 for item in answer.items)
        else:
            history = [(dice.choice(tiny.ITEMS), tiny.START + hour) for hour in range(dice.randint(0, 9))]
            asked, version = TinyRequest(ids, prices, history=history), dice.choice([1, 2])
            user = {"history": inline_history(history)}
            answer = client.rank(**tiny_request(asked, version), request_id=name, user=user)
            check_scores(answer, asked.scores(version)[0])
        assert answer.request_id == name
        assert len(answer.items) == len(ids)
    client.close()
    return REQUESTS


def test_every_caller_gets_its_own_answers(server: Server) -> None:
    with ThreadPoolExecutor(CALLERS) as callers:
        answered = list(callers.map(lambda seed: ask_often(server.address, seed), range(CALLERS)))
    assert answered == [REQUESTS] * CALLERS
