"""The search ranker that ships, through the server, held against ONNX Runtime and Python's tokenizers."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
from tokenizers import Tokenizer

from client import Client, refusal
from expected import sigmoid
from server import SHIPPED_MODELS, Server

BUNDLE = SHIPPED_MODELS / "electronics-search" / "1"
TOLERANCE = 1e-5

pytestmark = pytest.mark.skipif(not (BUNDLE / "model.toml").exists(), reason="no search ranker is bundled")

QUERIES = (
    "bluetooth speaker",
    "a4 printer",
    "me want mouse without of cable plz",
    "Ünïcödé 耳机 🎧 мышь",
    "x",
    "gaming laptop " * 40,
)
ODD = ("Кабель USB 2 м", "耳机 蓝牙", "🎧", "-", "ab" * 900, "naïve café 50 µF ½″ ™")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of a server with the bundled models and its defaults."""
    with Server(SHIPPED_MODELS, tmp_path_factory.mktemp("shop") / "log") as server:
        client = Client(server.address)
        yield client
        client.close()


@pytest.fixture(scope="module")
def graph() -> onnxruntime.InferenceSession:
    """The bundled graph."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(BUNDLE / "model.onnx", options, providers=["CPUExecutionProvider"])


def products() -> tuple[list[str], list[str], list[str]]:
    """Returns ids, titles and brands of the example products and of odd ones."""
    with (BUNDLE.parent / "example_products.csv").open(encoding="utf-8") as file:
        rows = [(row["id"], row["title"], row["brand"]) for row in csv.DictReader(file)]
    rows += [(f"odd-{n}", title, "") for n, title in enumerate(ODD)]
    ids, titles, brands = (list(part) for part in zip(*rows, strict=True))
    return ids, titles, brands


def tokens(texts: list[str], longest: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Returns ids and mask of texts, [texts, tokens]."""
    tokenizer = Tokenizer.from_file(str(BUNDLE / "tokenizer.json"))
    tokenizer.enable_truncation(longest)
    tokenizer.enable_padding()
    found = tokenizer.encode_batch(texts)
    return np.array([one.ids for one in found]), np.array([one.attention_mask for one in found])


def strings(name: str, values: list[str]) -> dict[str, Any]:
    """Returns a column of texts."""
    return {"name": name, "strings": {"values": values}}


def ask(query: str, ids: list[str], *columns: dict[str, Any]) -> dict[str, Any]:
    """Returns the fields of a request."""
    return {
        "model": {"name": "electronics-search"},
        "query": query,
        "candidates": {"ids": ids, "columns": list(columns)},
    }


@pytest.mark.parametrize("query", QUERIES, ids=lambda one: one[:20])
def test_texts_score_as_onnx_runtime_and_pythons_tokenizers_say(
    shop: Client, graph: onnxruntime.InferenceSession, query: str
) -> None:
    ids, titles, brands = products()
    answer = shop.rank(**ask(query, ids, strings("title", titles), strings("brand", brands)))
    query_ids, query_mask = tokens([query], 32)
    texts = [f"{title} {brand} ".strip() for title, brand in zip(titles, brands, strict=True)]
    product_ids, product_mask = tokens(texts, 64)
    feeds = {"query_ids": query_ids, "query_mask": query_mask, "product_ids": product_ids, "product_mask": product_mask}
    (logits,) = graph.run(None, {**feeds, "user_index": np.zeros(len(ids), np.int64)})
    wanted = sigmoid(logits)
    got = [item.score for item in answer.items]
    np.testing.assert_allclose(got, [wanted[item.index] for item in answer.items], atol=TOLERANCE)
    assert got == sorted(got, reverse=True)
    assert (answer.model_name, answer.model_version, len(answer.items)) == ("electronics-search", 1, len(ids))


@pytest.mark.parametrize(
    ("query", "word"),
    [("bluetooth speaker", "speaker"), ("noise cancelling headphones", "headphones"), ("mouse", "mouse")],
)
def test_what_was_asked_for_stands_first(shop: Client, query: str, word: str) -> None:
    ids, titles, brands = products()
    answer = shop.rank(**ask(query, ids, strings("title", titles), strings("brand", brands)))
    assert word in titles[answer.items[0].index].lower()


def test_a_products_score_does_not_depend_on_the_others(shop: Client) -> None:
    ids, titles, _ = products()
    together = shop.rank(**ask("usb cable", ids, strings("title", titles)))
    scores = {item.id: item.score for item in together.items}
    for place in (0, 7, len(ids) - 2):
        alone = shop.rank(**ask("usb cable", ids[place : place + 1], strings("title", titles[place : place + 1])))
        assert alone.items[0].score == pytest.approx(scores[ids[place]], abs=TOLERANCE)


@pytest.mark.parametrize(
    ("query", "columns", "words"),
    [
        (
            "mouse",
            [strings("title", ["A mouse", " "])],
            ("candidates.columns[title].strings.values[1]", "candidates.ids[1]"),
        ),
        ("mouse", [strings("brand", ["A", "B"])], ("candidates.columns[title]",)),
        ("mouse", [strings("name", ["A", "B"]), strings("title", ["A", "B"])], ("candidates.columns[name]", "title")),
        (" ", [strings("title", ["A", "B"])], ("query",)),
        (
            "mouse",
            [strings("title", ["A", "B" * 5000])],
            ("candidates.columns[0].strings.values[1]", "max_string_bytes"),
        ),
    ],
)
def test_a_bad_request_names_its_field(
    shop: Client, query: str, columns: list[dict[str, Any]], words: tuple[str, ...]
) -> None:
    refused = refusal(lambda: shop.rank(**ask(query, ["a", "b"], *columns)))
    assert refused.code.name == "INVALID_ARGUMENT"
    for word in words:
        assert word in str(refused)


def test_a_request_without_a_name_goes_to_the_groceries(shop: Client) -> None:
    assert shop.rank(candidates={"ids": ["1082185"]}).model_name == "grocery-ranker"
