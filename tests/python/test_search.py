"""Texts of candidates: from the request, from a bundle's catalogue, and from one that the configuration names."""

from __future__ import annotations

import gzip
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import search
import special
from client import Client, refusal
from expected import column, head
from server import SHIPPED_MODELS, TEST_MODELS, Server, podium

Sums = dict[str, tuple[float, ...]]
SHOP = TEST_MODELS / "shop-search" / "1"


def strings(name: str, values: list[str]) -> dict[str, Any]:
    """Returns a column of texts."""
    return {"name": name, "strings": {"values": values}}


def ask(model: str, ids: list[str], *columns: dict[str, Any], query: str = "oat milk") -> dict[str, Any]:
    """Returns the fields of a request to a search ranker."""
    return {"model": {"name": model}, "query": query, "candidates": {"ids": ids, "columns": list(columns)}}


def sums_of(answer: Any) -> Sums:
    """Returns what an answer says of each item's tokens."""
    return {item.id: (item.score, *(head(item, name) for name in search.HEADS[1:])) for item in answer.items}


def word_ids(text: str) -> list[int]:
    """Splits words on blanks, which is what the tokenizer does with these texts."""
    return [special.WORDS.index(word) if word in special.WORDS else 1 for word in text.lower().split()]


def pair_sums(query: str, product: str) -> tuple[float, ...]:
    """Returns the sums of a query and a product that need no cutting."""
    first, second = [2, *word_ids(query), 3], [*word_ids(product), 3]
    assert len(first) + len(second) <= search.MAX_TOKENS
    return search.sums(first + second, [0] * len(first) + [1] * len(second))


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalogue as its owner keeps it, with a column that the model does not know."""
    path = tmp_path_factory.mktemp("shop") / "products.csv.gz"
    rows = ['"' + '","'.join([item, "9.99", title, brand]) + '"' for item, (title, brand) in search.SHELF.items()]
    path.write_bytes(gzip.compress(("item,price,title,brand\n" + "\n".join(rows) + "\n").encode()))
    return path


@pytest.fixture(scope="module")
def shop(catalogue: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of a server whose configuration names a catalogue."""
    settings = {"PODIUM_MODELS__CATALOGUES": f'{{shop-search = "{catalogue}"}}'}
    with Server(TEST_MODELS, tmp_path_factory.mktemp("server") / "log", settings) as server:
        client = Client(server.address)
        yield client
        client.close()


def test_a_catalogues_texts_are_tokenised_as_a_requests_are(client: Client) -> None:
    known = [item for item, (title, _) in search.SHELF.items() if title]
    titles, brands = (list(texts) for texts in zip(*(search.SHELF[item] for item in known), strict=True))
    new = [f"new-{item}" for item in known]
    for query in ("oat milk", "whole fresh oat milk cold juice frozen pizza", "漢字 soap"):
        stored = sums_of(client.rank(**ask("pair-ranker", known, query=query)))
        columns = (strings("title", titles), strings("brand", brands))
        brought = sums_of(client.rank(**ask("pair-ranker", new, *columns, query=query)))
        assert {f"new-{item}": sums for item, sums in stored.items()} == brought
    assert sums_of(client.rank(**ask("pair-ranker", ["p-01"]))) == {"p-01": pair_sums("oat milk", "fresh oat milk oat")}


def test_a_requests_text_replaces_the_catalogues(client: Client) -> None:
    ids, titles = ["p-01", "p-02", "new"], ["cold pizza", "", "rye bread"]
    answer = sums_of(client.rank(**ask("pair-ranker", ids, strings("title", titles))))
    wanted = {"p-01": "cold pizza oat", "p-02": "rye bread , frozen", "new": "rye bread"}
    assert answer == {item: pair_sums("oat milk", text) for item, text in wanted.items()}
    renamed = sums_of(client.rank(**ask("pair-ranker", ["p-01"], strings("brand", ["juice"]))))
    assert renamed == {"p-01": pair_sums("oat milk", "fresh oat milk juice")}


def test_a_query_apart_from_its_candidates_is_one_row(client: Client) -> None:
    ids, titles = ["a", "b", "c"], ["oat milk", "soap", "frozen pizza cold"]
    answer = client.rank(**ask("shop-search", ids, strings("title", titles), query="cold milk"))
    products = {item: search.sums([2, *word_ids(title), 3]) for item, title in zip(ids, titles, strict=True)}
    assert sums_of(answer) == products
    asked = sum(search.sums([2, *word_ids("cold milk"), 3]))
    assert [head(item, "asked") for item in answer.items] == [asked] * 3


def test_a_catalogue_of_the_configuration_gives_texts(shop: Client) -> None:
    assert sums_of(shop.rank(**ask("shop-search", ["p-01"]))) == {
        "p-01": search.sums([2, *word_ids("fresh oat milk oat"), 3])
    }
    mixed = shop.rank(**ask("shop-search", ["p-02", "new"], strings("title", ["", "soap"])))
    assert list(mixed.missing_items) == ["new"]


def test_a_title_is_required_where_no_catalogue_has_it(client: Client, shop: Client) -> None:
    def required(caller: Client) -> dict[str, bool]:
        features = next(model.features for model in caller.info().models if model.name == "shop-search")
        return {feature.name: feature.required for feature in features}

    assert required(client) == {"query": True, "title": True, "brand": False}
    assert required(shop) == {"query": True, "title": False, "brand": False}


REFUSED: dict[str, tuple[dict[str, Any], str, tuple[str, ...]]] = {
    "no title": (ask("shop-search", ["a", "b"]), "candidates.columns[title]", ("needed",)),
    "blank titles": (
        ask("shop-search", ["a", "b", "c"], strings("title", ["soap", "", " \t"])),
        "candidates.columns[title].strings.values[1]",
        ("candidates.ids[1]", "send its title"),
    ),
    "no text of an unknown item": (
        ask("pair-ranker", ["p-01", "new"]),
        "candidates.columns[title]",
        ("candidates.ids[1]", "not in the catalogue"),
    ),
    "no text in the catalogue": (ask("pair-ranker", ["p-06"]), "candidates.columns[title]", ("ids[0]", "catalogue")),
    "titles that are numbers": (
        ask("shop-search", ["a"], column("title", [1])),
        "candidates.columns[title]",
        ("floats",),
    ),
    "an unknown column": (
        ask("shop-search", ["a"], strings("title", ["soap"]), strings("colour", ["red"])),
        "candidates.columns[colour]",
        ("title", "brand", "take it out"),
    ),
    "no query": (ask("shop-search", ["a"], strings("title", ["soap"]), query=""), "query", ("send the search text",)),
    "a blank query": (ask("pair-ranker", ["p-01"], query=" \n"), "query", ("send the search text",)),
    "a long query": (ask("pair-ranker", ["p-01"], query="q" * 5000), "query", ("max_string_bytes",)),
    "a title of 4 MB": (
        ask("shop-search", ["a", "b"], strings("title", ["soap", "oat milk " * 450_000])),
        "candidates.columns[0].strings.values[1]",
        ("`title`", "max_string_bytes is 4096"),
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_missing_is_named(client: Client, name: str) -> None:
    fields, field, words = REFUSED[name]
    begun = time.monotonic()
    failed = refusal(lambda: client.rank(**fields))
    assert failed.code.name == "INVALID_ARGUMENT"
    violations = failed.violations()
    assert field in violations, violations
    for word in words:
        assert word in violations[field]
    assert time.monotonic() - begun < 5


def test_every_candidate_without_a_title_is_named_up_to_a_number(client: Client) -> None:
    ids = [f"i{number}" for number in range(20)]
    blank = refusal(lambda: client.rank(**ask("shop-search", ids, strings("title", [""] * 20)))).violations()
    assert [*blank] == [f"candidates.columns[title].strings.values[{number}]" for number in range(8)]


@pytest.mark.timeout(240)
def test_a_whole_catalogue_is_one_request(client: Client) -> None:
    ids = [f"i{number}" for number in range(12_101)]
    titles = [f"{special.WORDS[4 + number % 12]} {special.WORDS[4 + number % 11]} milk" for number in range(12_101)]
    request = ask("shop-search", ids, strings("title", titles))
    answer = client.rank(**request, top_k=10, timeout=60)
    assert [item.rank for item in answer.items] == list(range(1, 11))
    best = max(search.sums([2, *word_ids(title), 3])[0] for title in titles)
    assert answer.items[0].score == best


def test_a_deadline_ends_the_tokenising(client: Client) -> None:
    ids = [f"i{number}" for number in range(2000)]
    titles = ["frozen pizza " * 300] * 2000
    failed = refusal(lambda: client.rank(**ask("shop-search", ids, strings("title", titles)), timeout=0.2))
    assert failed.code.name == "DEADLINE_EXCEEDED"


CATALOGUES: dict[str, tuple[str | bytes | None, tuple[str, ...]]] = {
    "a missing file": (None, ("cannot be read", "No such file")),
    "no key": ("sku,title,brand\na,b,c\n", ("no column `item`", "sku, title, brand")),
    "no column": ("item,title\na,b\n", ("no column `brand`", "item, title")),
    "a column twice": ("item,title,brand,title\na,b,c,d\n", ("`title` more than once",)),
    "an id twice": ("item,title,brand\na,b,c\nd,e,f\na,h,i\n", ("line 4", "`a` stands twice")),
    "an empty id": ("item,title,brand\n,b,c\n", ("line 2", "is empty")),
    "a short line": ("item,title,brand\na,b\n", ("cannot be read", "line: 2")),
    "no item": ("item,title,brand\n", ("has no item",)),
    "no UTF-8": (b"item,title,brand\na,\xff,c\n", ("cannot be read", "UTF-8")),
    "a long text": ("item,title,brand\na," + "x" * 70_000 + ",c\n", ("line 2", "`title`", "64 KiB")),
}


@pytest.mark.parametrize("name", CATALOGUES)
def test_a_catalogue_that_cannot_be_used_names_its_key(tmp_path: Path, name: str) -> None:
    content, words = CATALOGUES[name]
    path = tmp_path / "products.csv"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    ended = podium("check", SHOP, settings={"PODIUM_MODELS__CATALOGUES": f'{{shop-search = "{path}"}}'})
    assert ended.returncode == 1
    for word in ("models.catalogues.shop-search", str(path), "Fix:", *words):
        assert word in ended.stderr


def test_a_catalogue_that_is_right_passes_the_check(catalogue: Path) -> None:
    ended = podium("check", SHOP, settings={"PODIUM_MODELS__CATALOGUES": f'{{shop-search = "{catalogue}"}}'})
    assert ended.returncode == 0, ended.stderr
    assert f"{len(search.SHELF)} items" in ended.stdout


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("no-such-model=x.csv", ("models.catalogues.no-such-model", "no such model")),
        ("nan-ranker=x.csv", ("models.catalogues.nan-ranker", "declares no catalogue")),
        ("nan-ranker", ("--catalogue nan-ranker", "MODEL=FILE")),
        ("Nan Ranker=x.csv", ("models.catalogues.Nan Ranker", "names no model")),
    ],
)
def test_a_catalogue_that_no_model_takes_ends_the_start(given: str, words: tuple[str, ...]) -> None:
    ended = podium("serve", "--models", TEST_MODELS, "--catalogue", given, "--listen", "127.0.0.1:0")
    assert ended.returncode == 1
    for word in words:
        assert word in ended.stderr


def test_a_faulty_catalogue_leaves_the_other_models_alone(log: Path) -> None:
    settings = {"PODIUM_MODELS__CATALOGUES": '{shop-search = "no-such-file.csv"}'}
    with Server(TEST_MODELS, log, settings) as server:
        assert "models.catalogues.shop-search (no-such-file.csv)" in server.output()
        client = Client(server.address)
        assert len(client.rank(**ask("pair-ranker", ["p-01"])).items) == 1
        assert refusal(lambda: client.rank(**ask("shop-search", ["p-01"]))).code.name == "NOT_FOUND"
        client.close()


PRODUCTS = SHIPPED_MODELS / "electronics-search" / "example_products.csv"


def test_the_command_line_ranks_a_file_of_products_by_a_query(server: Server) -> None:
    arguments: list[str | Path] = [
        "rank",
        "--target",
        f"http://{server.address}",
        "--model",
        "shop-search",
        "--candidates",
        PRODUCTS,
    ]
    ended = podium(*arguments, "--query", "bluetooth speaker", "--top", "3")
    assert ended.returncode == 0, ended.stderr
    for word in ("rank", "item", "title", "brand", "score", "ex-0", '"bluetooth speaker"', "42 candidates"):
        assert word in ended.stdout
    refused = podium(*arguments)
    assert refused.returncode == 1
    assert "query" in refused.stderr
    assert "--query TEXT" in refused.stderr


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("id,title\n1228,007\n12,1e3\n", ()),
        ("id,brand\na,b\n", ("candidates.columns[title]", "needed", "products.csv")),
        ("id,title,colour\na,b,c\n", ("candidates.columns[colour]", "title", "products.csv")),
        ("id,title\na,b\na,c\n", ("line 3", "`a`", "products.csv")),
        ("id,title\na,b\nc,\n", ("candidates.columns[title]", "candidates.ids[1]", "products.csv")),
        ("title,brand\nb,c\n", ("`id`", "title, brand", "products.csv")),
        (None, ("cannot be read", "products.csv")),
    ],
)
def test_the_command_line_says_what_is_wrong_with_a_file(
    server: Server, tmp_path: Path, content: str | None, words: tuple[str, ...]
) -> None:
    path = tmp_path / "products.csv"
    if content is not None:
        path.write_text(content)
    ended = podium("rank", "--target", f"http://{server.address}", "--model", "shop-search", "--candidates", path,
                   "--query", "milk")  # fmt: skip
    assert ended.returncode == (1 if words else 0), ended.stderr
    for word in words:
        assert word in ended.stderr
    if not words:
        assert "1228" in ended.stdout
        assert "007" in ended.stdout


def test_the_example_products_are_forty_of_our_own() -> None:
    lines = PRODUCTS.read_text().splitlines()
    assert lines[0] == "id,title,brand"
    assert len(lines) - 1 >= 40
