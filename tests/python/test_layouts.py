"""Rankers of other kinds: lists, text, vectors, every dtype."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import special
from bundle import float32
from client import Client, refusal
from expected import TOLERANCE, check_scores, column, head, run


def test_a_list_is_scored_as_a_whole(client: Client) -> None:
    prices, prior = [3.0, 1.0, 2.0, 8.0], [0.5, 0.0, -1.0, 2.0]
    candidates = {"ids": ["a", "b", "c", "d"], "prior_scores": prior, "columns": [column("price", prices)]}
    answer = client.rank(model={"name": "list-ranker"}, candidates=candidates, context=[column("mood", [-1.5])])
    outputs = run(
        "list-ranker",
        {
            "price": float32([prices]),
            "prior": float32([prior]),
            "mask": np.ones((1, 4), bool),
            "mood": float32([-1.5]),
        },
    )
    check_scores(answer, outputs["score"][0])
    tone = np.exp(outputs["tone"][0].astype(np.float64))
    bright = tone[:, 2] / tone.sum(axis=1)
    np.testing.assert_allclose(
        [head(item, "bright") for item in answer.items], [bright[item.index] for item in answer.items], rtol=TOLERANCE
    )


def test_lists_of_different_lengths_do_not_touch_each_other(client: Client) -> None:
    def ask(count: int) -> dict[str, Any]:
        prices = [float(number * number % 11) for number in range(count)]
        return {
            "model": {"name": "list-ranker"},
            "candidates": {"ids": [f"c{number}" for number in range(count)], "columns": [column("price", prices)]},
        }

    alone = {count: client.rank(**ask(count)) for count in (1, 3, 17)}
    calls = [(count, client.rank_later(**ask(count))) for count in (1, 3, 17) * 8]
    for count, call in calls:
        together = {item.id: item.score for item in call.result().items}
        assert together == pytest.approx({item.id: item.score for item in alone[count].items}, rel=TOLERANCE)


def token_tensors(query: str, titles: list[str]) -> dict[str, Any]:
    """Splits words on blanks, which is what the tokenizer does with these texts."""

    def ids(text: str) -> list[int]:
        return [special.WORDS.index(word) if word in special.WORDS else 1 for word in text.lower().split()]

    rows = []
    for title in titles:
        first, second = [2, *ids(query), 3], [*ids(title), 3]
        assert len(first) + len(second) <= special.MAX_TOKENS
        rows.append((first + second, [0] * len(first) + [1] * len(second)))
    width = max(len(row) for row, _ in rows)
    return {
        "ids": np.array([row + [0] * (width - len(row)) for row, _ in rows], np.int64),
        "types": np.array([types + [0] * (width - len(types)) for _, types in rows], np.int64),
        "mask": np.array([[1] * len(row) + [0] * (width - len(row)) for row, _ in rows], np.int64),
    }


def ask_text(query: str, titles: list[str]) -> dict[str, Any]:
    """Returns the fields of a request to the text ranker."""
    ids = [f"t{number}" for number in range(len(titles))]
    strings = {"name": "title", "strings": {"values": titles}}
    return {"model": {"name": "text-ranker"}, "query": query, "candidates": {"ids": ids, "columns": [strings]}}


@pytest.mark.parametrize("query", ["oat milk", "", "JUICE zebra"])
def test_texts_are_tokenised(client: Client, query: str) -> None:
    titles = ["Fresh oat milk", "rye bread", "soap", "frozen pizza cold", " - ", "zebra"]
    answer = client.rank(**ask_text(query, titles))
    check_scores(answer, run("text-ranker", token_tensors(query, titles))["fit"])


def test_long_texts_are_cut_to_the_models_length(client: Client) -> None:
    short, long = "milk bread", "milk bread " * 300
    answer = client.rank(**ask_text("milk", [short, long]))
    kept = special.MAX_TOKENS - len(["[CLS]", "milk", "[SEP]", "[SEP]"])
    wanted = run("text-ranker", token_tensors("milk", [short, " ".join(long.split()[:kept])]))["fit"]
    check_scores(answer, wanted)


def test_vectors_reach_the_model(client: Client) -> None:
    rows = np.random.default_rng(5).normal(0, 1, (6, special.VECTOR_DIM)).astype(np.float32)
    vectors = {"name": "features", "vectors": {"dim": special.VECTOR_DIM, "values": rows.flatten().tolist()}}
    ids = ["sku-3", "sku-0", "sku-29", "sku-7", "sku-8", "sku-9"]
    answer = client.rank(
        model={"name": "vector-ranker"}, candidates={"ids": ids, "columns": [vectors]}, context=[column("bias", [2.5])]
    )
    quality = float32([special.SHELF.index(sku) / 10 for sku in ids])
    inputs = {"features": rows, "quality": quality, "bias": np.full(6, 2.5, np.float32)}
    check_scores(answer, run("vector-ranker", inputs)["score"])


def test_unknown_items_go_last_without_a_score(client: Client) -> None:
    ids = ["nobody", "sku-1", "sku-2", "stranger"]
    vectors = {"name": "features", "vectors": {"dim": 8, "values": [1.0] * 32}}
    candidates = {"ids": ids, "prior_scores": [0, 0, 0, 5], "columns": [vectors]}
    answer = client.rank(model={"name": "vector-ranker"}, candidates=candidates)
    assert [item.id for item in answer.items] == ["sku-2", "sku-1", "stranger", "nobody"]
    assert [item.HasField("score") for item in answer.items] == [True, True, False, False]
    assert list(answer.missing_items) == ["nobody", "stranger"]
    assert [client.enum_name("DegradedReason", reason) for reason in answer.degraded] == [
        "DEGRADED_REASON_ITEMS_MISSING"
    ]


def test_unknown_items_alone_are_an_answer_too(client: Client) -> None:
    vectors = {"name": "features", "vectors": {"dim": 8, "values": [1.0] * 8}}
    answer = client.rank(model={"name": "vector-ranker"}, candidates={"ids": ["nobody"], "columns": [vectors]})
    assert [(item.id, item.rank, item.HasField("score")) for item in answer.items] == [("nobody", 1, False)]


def test_every_dtype_is_carried(client: Client) -> None:
    columns = [
        {"name": "brand", "strings": {"values": ["acme", "other", "bolt", ""]}},
        {"name": "stock", "ints": {"values": [7, -3, 100_000, 0]}},
        {"name": "size", "ints": {"values": [1, 2, 3, 4]}},
        {"name": "weight", "floats": {"values": [0.5, 0.25, -2.0, 0.0]}},
        {"name": "sold", "ints": {"values": [10, 20, 30, 40]}},
    ]
    answer = client.rank(model={"name": "types-ranker"}, candidates={"ids": list("abcd"), "columns": columns})
    check_scores(
        answer, float32([1.5 + 8.5, 0.25 - 0.75, -2.5 + 100_001, 0.25 + 4]) + np.log1p(float32([10, 20, 30, 40]))
    )


def test_a_score_that_is_not_finite_is_an_internal_error_without_its_cause(client: Client) -> None:
    candidates = {"ids": ["a", "b"], "columns": [column("price", [1, 5000])]}
    failed = refusal(lambda: client.rank(model={"name": "nan-ranker"}, candidates=candidates, request_id="nan-1"))
    assert failed.code.name == "INTERNAL"
    assert "nan-ranker" not in failed.message
