"""Makes golden vectors from texts of this project's own, and the example request."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from podium_models.bundle.golden import case
from podium_models.compression.quantise import outputs_of
from podium_models.text.evaluation.onnx_lists import Feeds, ListFeeds
from podium_models.text.export.examples import BRAND, OTHER_QUERIES, PRODUCTS, QUERY, UNUSUAL
from podium_models.text.forms import BI
from podium_models.text.names import HEAD
from podium_models.text.tokens.batches import encode, pad


def joined(feeds: ListFeeds, queries: list[str], texts: list[str]) -> Feeds:
    """Returns inputs in which texts belong to several queries in turn (bi-encoders)."""
    given = feeds(queries[0], texts)
    if feeds.form == BI:
        asked = pad(encode(feeds.query, queries))
        given["query_ids"], given["query_mask"] = asked.ids, asked.mask
        given["user_index"] = np.arange(len(texts)) % len(queries)
    return given


def golden(graph: Path, feeds: ListFeeds) -> dict[str, Any]:
    """Returns the golden file of a graph."""
    texts = [f"{title} {BRAND}" for _, title in PRODUCTS]
    cases = {
        "one query, eight products": feeds(QUERY, texts),
        "one product": feeds(QUERY, texts[:1]),
        "three queries at once": joined(feeds, list(OTHER_QUERIES), texts),
        "unusual characters": feeds(QUERY, list(UNUSUAL)),
    }
    return {
        "cases": [
            case(name, given, {HEAD: outputs_of(graph, given)[0]}) for name, given in cases.items()
        ]
    }


def example() -> dict[str, Any]:
    """Returns a request to try the model with."""
    columns = {"title": [title for _, title in PRODUCTS], "brand": [BRAND] * len(PRODUCTS)}
    return {
        "query": QUERY,
        "candidates": {
            "ids": [item for item, _ in PRODUCTS],
            "columns": [
                {"name": name, "strings": {"values": values}} for name, values in columns.items()
            ],
        },
    }


def compact(content: dict[str, Any]) -> str:
    """Renders JSON in one line."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n"
