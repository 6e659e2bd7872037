"""The order and the scores of `Rank`, held against ONNX Runtime on features made here."""

from __future__ import annotations

import random

import numpy as np
import pytest

import tiny
from client import Client
from expected import TOLERANCE, TinyRequest, check_scores, column, head, tiny_request

ASKED = TinyRequest(ids=tiny.ITEMS[:30], prices=[0.5 + 0.9 * number for number in range(30)])


@pytest.mark.parametrize("version", [1, 2])
def test_each_version_gives_its_own_scores(client: Client, version: int) -> None:
    answer = client.rank(**tiny_request(ASKED, version))
    click, margin = ASKED.scores(version)
    check_scores(answer, click)
    np.testing.assert_allclose(
        [head(item, "margin") for item in answer.items], [margin[item.index] for item in answer.items], rtol=TOLERANCE
    )
    assert (answer.model_name, answer.model_version, answer.encoder_version) == ("tiny-ranker", version, 1)
    assert [item.id for item in answer.items] == [ASKED.ids[item.index] for item in answer.items]
    assert not answer.degraded
    assert not answer.missing_items


def test_versions_differ() -> None:
    assert not np.allclose(ASKED.scores(1)[0], ASKED.scores(2)[0])


def test_the_highest_version_answers_when_none_is_named(client: Client) -> None:
    assert client.rank(**tiny_request(ASKED)).model_version == 2


def test_the_label_latest_is_the_highest_version(client: Client) -> None:
    request = tiny_request(ASKED) | {"model": {"name": "tiny-ranker", "label": "latest"}}
    assert client.rank(**request).model_version == 2


def test_many_random_requests_agree_with_onnx_runtime(client: Client) -> None:
    dice = random.Random(1)
    for _ in range(100):
        ids = dice.sample(tiny.ITEMS, dice.randint(1, 40))
        history = [(dice.choice(tiny.ITEMS), tiny.START + hour * tiny.HOUR) for hour in range(dice.randint(0, 30))]
        asked = TinyRequest(
            ids=ids,
            prices=[dice.uniform(0, 1500) for _ in ids],
            boost=[dice.uniform(-2, 2) for _ in ids] if dice.random() < 0.5 else None,
            popularity=[dice.uniform(0, 1) for _ in ids] if dice.random() < 0.3 else None,
            history=history,
            hour=dice.uniform(0, 24),
        )
        events = [{"item_id": item, "time": {"seconds": time}} for item, time in history]
        answer = client.rank(**tiny_request(asked, 1), user={"history": events})
        check_scores(answer, asked.scores(1)[0])


@pytest.mark.parametrize(("top_k", "returned"), [(0, 30), (1, 1), (7, 7), (30, 30), (1000, 30)])
def test_top_k_is_the_start_of_the_whole_order(client: Client, top_k: int, returned: int) -> None:
    whole = [item.id for item in client.rank(**tiny_request(ASKED)).items]
    answer = client.rank(**tiny_request(ASKED), top_k=top_k)
    assert [item.id for item in answer.items] == whole[:returned]
    assert [item.rank for item in answer.items] == list(range(1, returned + 1))


def test_ties_fall_to_the_prior_score_and_then_to_the_request(client: Client) -> None:
    ids = ["a", "b", "c", "d", "e"]
    candidates = {"ids": ids, "prior_scores": [0.0, 2.0, 1.0, 2.0, 9.0], "columns": [column("price", [5, 5, 5, 5, 1])]}
    answer = client.rank(model={"name": "nan-ranker"}, candidates=candidates)
    assert [item.id for item in answer.items] == ["b", "d", "c", "a", "e"]


def test_without_prior_scores_ties_keep_the_order_of_the_request(client: Client) -> None:
    ids = [f"x{number}" for number in range(50)]
    candidates = {"ids": ids, "columns": [column("price", [1.0] * 50)]}
    answer = client.rank(model={"name": "nan-ranker"}, candidates=candidates)
    assert [item.id for item in answer.items] == ids


def test_the_request_id_comes_back(client: Client) -> None:
    assert client.rank(**tiny_request(ASKED), request_id="r-17 ü").request_id == "r-17 ü"


def test_the_stages_add_up_to_no_more_than_the_total(client: Client) -> None:
    times = client.rank(**tiny_request(ASKED)).timings
    stages = ["validate_us", "user_us", "features_us", "queue_us", "run_us", "select_us"]
    assert times.run_us > 0
    assert 0 < sum(getattr(times, stage) for stage in stages) <= times.total_us + len(stages)
