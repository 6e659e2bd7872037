"""Where the user's side comes from: inline, stored, computed, cached, default."""

from __future__ import annotations

from typing import Any

import pytest

import tiny
from bundle import float32
from client import Client, refusal
from expected import TinyRequest, check_scores, embedding, inline_history, tiny_request
from server import TEST_MODELS, Server

IDS = ["item-03", "item-07", "item-11", "item-20", "item-49"]
PRICES = [1.0, 2.0, 3.0, 4.0, 5.0]


def state(client: Client, answer: Any) -> str:
    """Returns the name of the answer's user state."""
    return client.enum_name("UserState", answer.user_state).removeprefix("USER_STATE_")


def ask(client: Client, user: dict[str, Any] | None, **more: Any) -> Any:
    """Ranks the same candidates for a user."""
    request = tiny_request(TinyRequest(IDS, PRICES)) | more
    return client.rank(**request) if user is None else client.rank(**request, user=user)


@pytest.mark.parametrize("user", [None, {}, {"id": "nobody-knows"}])
def test_an_unknown_shopper_gets_the_default(client: Client, user: dict[str, Any] | None) -> None:
    answer = ask(client, user)
    assert state(client, answer) == "DEFAULT"
    assert answer.encoder_version == 1
    check_scores(answer, TinyRequest(IDS, PRICES).scores()[0])


@pytest.mark.parametrize("name", list(tiny.stored_histories()))
def test_a_stored_history_is_encoded_once_and_then_cached(log: Any, name: str) -> None:
    wanted = TinyRequest(IDS, PRICES, history=tiny.stored_histories()[name]).scores()[0]
    with Server(TEST_MODELS, log) as server:
        client = Client(server.address)
        first, second = ask(client, {"id": name}), ask(client, {"id": name})
        client_states = [state(client, first), state(client, second)]
        client.close()
    assert client_states == ["COMPUTED", "CACHED"]
    check_scores(first, wanted)
    check_scores(second, wanted)


def test_an_inline_history_wins_over_the_stored_one(client: Client) -> None:
    history = [("item-20", tiny.START), ("unheard-of", tiny.START + 9), ("item-20", tiny.START + 40 * tiny.HOUR)]
    answer = ask(client, {"id": "anna", "history": inline_history(history)})
    assert state(client, answer) == "INLINE"
    check_scores(answer, TinyRequest(IDS, PRICES, history=history).scores()[0])


def test_an_inline_history_longer_than_the_model_reads_is_cut(client: Client) -> None:
    history = [(tiny.ITEMS[number % 50], tiny.START + number * tiny.HOUR) for number in range(60)]
    answer = ask(client, {"history": inline_history(history)})
    check_scores(answer, TinyRequest(IDS, PRICES, history=history).scores()[0])


@pytest.mark.parametrize("shape", [[], [4]])
def test_an_inline_embedding_is_used_as_it_is(client: Client, shape: list[int]) -> None:
    values = float32([0.5, -1.0, 2.0, 0.25])
    answer = ask(client, {"embedding": {"values": values.tolist(), "shape": shape, "encoder_version": 1}})
    assert state(client, answer) == "INLINE"
    check_scores(answer, TinyRequest(IDS, PRICES, user=values).scores()[0])


def test_the_encoders_own_output_inline_gives_the_same_scores(client: Client) -> None:
    history = [("item-01", tiny.START)]
    values = embedding(history).tolist()
    answer = ask(client, {"history": inline_history(history), "embedding": {"values": values}})
    check_scores(answer, TinyRequest(IDS, PRICES, history=history).scores()[0])


@pytest.mark.parametrize(
    "wrong",
    [
        {"values": [1.0, 2.0, 3.0]},
        {"values": [1.0, 2.0, 3.0, 4.0], "shape": [2, 2]},
        {"values": [1.0, 2.0, 3.0, 4.0], "shape": [4_294_967_295, 4_294_967_295]},
        {"values": [1.0, 2.0, 3.0, 4.0], "encoder_version": 9},
        {"values": [1.0, float("nan"), 3.0, 4.0]},
        {"values": []},
    ],
)
def test_an_embedding_that_does_not_fit_is_refused(client: Client, wrong: dict[str, Any]) -> None:
    failed = refusal(lambda: ask(client, {"embedding": wrong}))
    assert failed.code.name == "INVALID_ARGUMENT"
    assert any(field.startswith("user.embedding") for field in failed.violations()), failed


def test_a_failing_encoder_gives_the_default_and_says_so(client: Client) -> None:
    answer = ask(client, {"history": inline_history([(tiny.POISON, tiny.START)])})
    reasons = [client.enum_name("DegradedReason", reason) for reason in answer.degraded]
    assert reasons == ["DEGRADED_REASON_ENCODER_UNAVAILABLE"]
    assert state(client, answer) == "DEFAULT"
    check_scores(answer, TinyRequest(IDS, PRICES).scores()[0])


def test_a_model_without_a_user_side_says_so(client: Client) -> None:
    price = {"name": "price", "floats": {"values": [1.0]}}
    answer = client.rank(
        model={"name": "nan-ranker"}, candidates={"ids": ["a"], "columns": [price]}, user={"id": "anna"}
    )
    assert (state(client, answer), answer.encoder_version) == ("UNSPECIFIED", 0)


def test_missing_items_are_scored_with_defaults_and_named(client: Client) -> None:
    asked = TinyRequest(["gone-1", "item-02", "gone-2"], [1.0, 2.0, 3.0])
    answer = client.rank(**tiny_request(asked))
    check_scores(answer, asked.scores()[0])
    assert list(answer.missing_items) == ["gone-1", "gone-2"]
    assert [client.enum_name("DegradedReason", reason) for reason in answer.degraded] == [
        "DEGRADED_REASON_ITEMS_MISSING"
    ]
