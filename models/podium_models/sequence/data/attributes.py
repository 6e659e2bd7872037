"""Reads items' attributes: from S3-Rec's JSON, or from columns of the catalogue."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from podium_models.bundle.vocabulary import FIRST, Vocabulary
from podium_models.sequence.data.number import order_items
from podium_models.sequence.data.rows import OUTSIDE
from podium_models.sequence.data.text_scan import require_file

Ints = npt.NDArray[np.int64]
Lists = dict[str, list[str]]

MANY = "|"
SCHEMA = {"item": pl.String, "attribute": pl.String}


@dataclass(frozen=True)
class Attributes:
    """The attributes of every item index, flat with bounds, and what was counted."""

    vocabulary: Vocabulary
    offsets: Ints
    values: Ints
    counts: dict[str, int]


def read_attribute_file(path: Path) -> tuple[pl.DataFrame, dict[str, int]]:
    """Reads a JSON object from item ids to lists of attribute ids as pairs of item and attribute.

    An item named twice keeps its first list; the others are counted.
    """
    require_file(path)
    twice = 0

    def first_kept(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal twice
        kept: dict[str, Any] = {}
        for name, value in pairs:
            kept.setdefault(name, value)
        twice += len(pairs) - len(kept)
        return kept

    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=first_kept)
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}:{error.lineno}: no JSON here: {error.msg}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} is no JSON object from item ids to lists of attribute ids")
    rows: list[tuple[str, str]] = []
    for item, found in content.items():
        if not isinstance(found, list) or not all(isinstance(one, str | int) for one in found):
            raise ValueError(f"{path}: the item {item!r} has no list of attribute ids: {found!r}")
        rows.extend((item.strip(), str(one).strip()) for one in found)
    pairs = pl.DataFrame(rows, schema=SCHEMA, orient="row")
    return pairs, {"file_items": len(content), "file_items_twice": twice}


def catalogue_pairs(table: pl.DataFrame, columns: Iterable[str]) -> pl.DataFrame:
    """Reads columns of the catalogue as pairs of item and ``column=value``."""
    pairs = [pl.DataFrame(schema=SCHEMA)]
    for column in columns:
        values = table.select("item", attribute=pl.col(column).str.split(MANY)).explode("attribute")
        pairs.append(
            values.with_columns(pl.col("attribute").str.strip_chars())
            .filter(pl.col("attribute").is_not_null() & (pl.col("attribute") != ""))
            .with_columns(pl.format("{}={}", pl.lit(column), "attribute").alias("attribute"))
        )
    return pl.concat(pairs)


def build_attributes(pairs: pl.DataFrame, items: Vocabulary) -> Attributes:
    """Numbers the attributes of the vocabulary's items; pairs of other items are counted."""
    known = pl.DataFrame({"item": items.names}, schema={"item": pl.String}).with_row_index(
        "index", offset=FIRST
    )
    clean = pairs.with_columns(pl.col("attribute").str.replace_all(OUTSIDE, " "))
    held = clean.join(known, on="item").unique(["index", "attribute"])
    names = order_items(held["attribute"].unique())
    vocabulary = Vocabulary(tuple(names.to_list()))
    numbered = held.join(
        pl.DataFrame({"attribute": names}).with_row_index("value", offset=FIRST), on="attribute"
    ).sort("index", "value")
    lengths = np.bincount(numbered["index"].to_numpy(), minlength=items.size)
    counts = {
        "attributes": len(vocabulary.names),
        "pairs": held.height,
        "pairs_of_unknown_items": clean.join(known, on="item", how="anti").height,
        "pairs_twice": clean.join(known, on="item", how="semi").height - held.height,
        "items_with_attributes": int((lengths > 0).sum()),
        "items_without_attributes": len(items.names) - int((lengths > 0).sum()),
    }
    return Attributes(
        vocabulary=vocabulary,
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        values=numbered["value"].to_numpy().astype(np.int64),
        counts=counts,
    )
