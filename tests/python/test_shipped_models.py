"""The models that ship, through the server, held against ONNX Runtime on features made here."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from client import INFO_SERVICE, TIMEOUT, Client
from expected import TOLERANCE, check_scores, column, head
from reference import Asked, Reference
from server import SHIPPED_MODELS, Server

pytestmark = pytest.mark.skipif(
    not (SHIPPED_MODELS / "grocery-ranker" / "1" / "model.toml").exists(), reason="no models are bundled"
)
HOUSEHOLD = "1228"


@pytest.fixture(scope="module")
def groceries(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of a server with the bundled models and its defaults."""
    with Server(SHIPPED_MODELS, tmp_path_factory.mktemp("groceries") / "log") as server:
        client = Client(server.address)
        yield client
        client.close()


@pytest.fixture(scope="module")
def ranker() -> Reference:
    """The bundled ranker, read here."""
    return Reference(SHIPPED_MODELS, "grocery-ranker", 1)


def histories(ranker: Reference) -> dict[str, list[tuple[str, int]]]:
    """Returns the histories that ship with the encoder."""
    assert ranker.encoder is not None
    return ranker.encoder.histories


def example(client: Client) -> Any:
    """Returns the request that the default model's bundle ships."""
    request = client.message("GetExampleRequest")
    return client.method(INFO_SERVICE, "GetExample")(request, timeout=TIMEOUT).request


def state(client: Client, answer: Any) -> str:
    """Returns the name of the answer's user state."""
    return client.enum_name("UserState", answer.user_state)


def test_the_example_is_ranked_for_a_household_by_default(groceries: Client) -> None:
    request = example(groceries)
    assert len(request.candidates.ids) >= 200
    request.user.id = HOUSEHOLD
    rank = groceries.method("podium.v1.RankService", "Rank")
    first, second = rank(request, timeout=TIMEOUT), rank(request, timeout=TIMEOUT)
    assert (first.model_name, first.encoder_version) == ("grocery-ranker", 1)
    assert [state(groceries, answer) for answer in (first, second)] == ["USER_STATE_COMPUTED", "USER_STATE_CACHED"]
    assert len(first.items) == len(request.candidates.ids)
    assert [item.id for item in first.items] == [item.id for item in second.items]
    assert not first.degraded


def test_nearly_every_household_of_the_data_has_a_history(ranker: Reference) -> None:
    # The data has 2,469 households; a few of them buy nothing before the histories end.
    assert len(histories(ranker)) > 2400


def test_shoppers_get_orders_of_their_own(groceries: Client) -> None:
    orders = set()
    rank = groceries.method("podium.v1.RankService", "Rank")
    for household in ("1", HOUSEHOLD, "2000", ""):
        request = example(groceries)
        request.user.id = household
        orders.add(tuple(item.id for item in rank(request, timeout=TIMEOUT).items[:20]))
    assert len(orders) == 4


@pytest.mark.timeout(300)
def test_500_requests_score_as_onnx_runtime_does(groceries: Client, ranker: Reference) -> None:
    dice = random.Random(2017)
    users, items = sorted(histories(ranker)), sorted(ranker.catalogue)
    worst = 0.0
    for _ in range(500):
        user = dice.choice(users)
        ids = [*dice.sample(items, dice.randint(1, 60)), *(["unheard-of"] if dice.random() < 0.2 else [])]
        columns = {name: [float(dice.random() < 0.3) for _ in ids] for name in ("display", "mailer")}
        if dice.random() < 0.3:
            columns["price"] = [dice.uniform(0, 120) for _ in ids]
        asked = Asked(ids, histories(ranker)[user], columns, {"week": float(dice.randint(1, 53))})
        answer = groceries.rank(
            user={"id": user},
            context=[column("week", [asked.context["week"]])],
            candidates={"ids": ids, "columns": [column(name, values) for name, values in columns.items()]},
        )
        purchase, *interests = ranker.scores(asked)
        check_scores(answer, purchase)
        for name, interest in zip(("department_interest", "category_interest"), interests, strict=True):
            got = [head(item, name) for item in answer.items]
            np.testing.assert_allclose(got, [interest[item.index] for item in answer.items], atol=TOLERANCE)
        worst = max(worst, *(abs(item.score - purchase[item.index]) for item in answer.items))
    assert worst <= TOLERANCE


def test_an_unknown_household_is_scored_without_a_history(groceries: Client, ranker: Reference) -> None:
    ids = sorted(ranker.catalogue)[:50]
    answer = groceries.rank(user={"id": "nobody"}, candidates={"ids": ids}, context=[column("week", [44])])
    assert state(groceries, answer) == "USER_STATE_DEFAULT"
    check_scores(answer, ranker.scores(Asked(ids, context={"week": 44.0}))[0])
