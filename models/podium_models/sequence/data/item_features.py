"""Builds what is known of every item: a table of texts, attributes and normalised numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from podium_models.bundle.vocabulary import FIRST, OUT_OF_VOCABULARY, Vocabulary
from podium_models.sequence.data.attributes import (
    SCHEMA,
    Attributes,
    build_attributes,
    catalogue_pairs,
    read_attribute_file,
)
from podium_models.sequence.data.catalogue import read_catalogue
from podium_models.sequence.data.embeddings import read_vectors
from podium_models.sequence.data.options import ItemOptions

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

RESERVED = ("item", "price")


@dataclass(frozen=True)
class ItemFeatures:
    """Table, attributes and dense columns of the vocabulary's items, with what was counted."""

    table: pl.DataFrame
    attributes: Attributes
    dense: Floats
    report: dict[str, Any]


def standardise(values: Doubles) -> tuple[Doubles, Doubles, Doubles]:
    """Shifts and scales columns to mean 0 and deviation 1; a constant column becomes 0."""
    mean, deviation = values.mean(axis=0), values.std(axis=0)
    deviation = np.where(deviation > 1e-12, deviation, 1.0)
    return (values - mean) / deviation, mean, deviation


def price_columns(price: pl.Series) -> tuple[Floats, dict[str, Any]]:
    """Makes [items, 2]: standardised log(1 + price), 0 where missing; and 1 where missing.

    The rows of padding and out of vocabulary are 0.
    """
    known = price.is_not_null().to_numpy()
    columns = np.zeros((len(price) + FIRST, 2), dtype=np.float32)
    columns[FIRST:, 1] = ~known
    about: dict[str, Any] = {"source": "price", "columns": 2, "missing": int((~known).sum())}
    if known.any():
        logs = np.log1p(price.drop_nulls().to_numpy().astype(np.float64))
        scaled, mean, deviation = standardise(logs[:, None])
        columns[FIRST:, 0][known] = scaled[:, 0]
        about |= {"log_mean": float(mean[0]), "log_deviation": float(deviation[0])}
    return columns, about


def vector_columns(
    names: pl.Series, vectors: Floats, items: Vocabulary
) -> tuple[Floats, dict[str, Any]]:
    """Makes [items, d] of standardised vectors, 0 where an item has none."""
    places = np.asarray(items.indices(names.to_list()), dtype=np.int64)
    known = places != OUT_OF_VOCABULARY
    columns = np.zeros((items.size, vectors.shape[1]), dtype=np.float32)
    if known.any():
        columns[places[known]] = standardise(vectors[known].astype(np.float64))[0]
    counts = {
        "columns": vectors.shape[1],
        "missing": len(items.names) - int(known.sum()),
        "vectors_of_unknown_items": int((~known).sum()),
    }
    return columns, counts


def item_table(
    items: Vocabulary, options: ItemOptions
) -> tuple[pl.DataFrame, pl.DataFrame, dict[str, Any]]:
    """Makes one row an item with its texts and price, the pairs of attributes, and the counts."""
    table = pl.DataFrame({"item": items.names}, schema={"item": pl.String})
    if options.catalogue is None:
        return table, pl.DataFrame(schema=SCHEMA), {}
    if clash := set(options.text) & set(RESERVED):
        raise ValueError(f"--item-text: {sorted(clash)[0]!r} is reserved; rename that column")
    catalogue = read_catalogue(options)
    known = catalogue.table.join(table, on="item", how="semi")
    joined = table.join(known, on="item", how="left", maintain_order="left")
    texts = {name: pl.col(f"text:{name}").fill_null("") for name in options.text}
    prices = {"price": pl.col("price")} if options.price else {}
    result = joined.select("item", **texts, **prices)
    counts: dict[str, Any] = {
        **catalogue.counts,
        "rows_of_items_not_in_the_log": catalogue.table.height - known.height,
        "items_without_a_row": len(items.names) - known.height,
    }
    counts |= {f"items_without_{name}": int((result[name] == "").sum()) for name in texts}
    if options.price:
        counts["items_without_a_usable_price"] = result["price"].null_count()
    renamed = known.select(
        "item", *(pl.col(f"text:{name}").alias(name) for name in options.attributes)
    )
    return result, catalogue_pairs(renamed, options.attributes), counts


def build_item_features(items: Vocabulary, options: ItemOptions) -> ItemFeatures:
    """Reads catalogue, attributes and vectors and lays them out by item index."""
    table, pairs, counts = item_table(items, options)
    report: dict[str, Any] = {"catalogue": counts} if counts else {}
    file_counts: dict[str, int] = {}
    if options.attribute_file is not None:
        more, file_counts = read_attribute_file(options.attribute_file)
        pairs = pl.concat([pairs, more])
    attributes = build_attributes(pairs, items)
    if pairs.height:
        report["attributes"] = {**file_counts, **attributes.counts}
    blocks, about = [np.zeros((items.size, 0), dtype=np.float32)], []
    if options.price is not None:
        block, entry = price_columns(table["price"])
        blocks.append(block)
        about.append(entry)
    for path in options.embeddings:
        names, vectors, read = read_vectors(path)
        block, placed = vector_columns(names, vectors, items)
        blocks.append(block)
        about.append({"source": path.name, **read, **placed})
    if about:
        report["dense"] = about
    return ItemFeatures(table, attributes, np.concatenate(blocks, axis=1), report)
