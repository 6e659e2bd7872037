"""Reads a catalogue of items: one row an item, with texts, attributes and a price."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from podium_models.sequence.data.options import ItemOptions
from podium_models.sequence.data.read_log import detect_format
from podium_models.sequence.data.read_table import (
    csv_header,
    diagnose_csv,
    require_columns,
    scan_csv,
)
from podium_models.sequence.data.rows import clean_id, empty
from podium_models.sequence.data.text_scan import check_text


@dataclass(frozen=True)
class Catalogue:
    """Distinct ``item`` (str) with texts and attributes (str), ``price`` (f64); and the counts."""

    table: pl.DataFrame
    counts: dict[str, int]


def wanted_columns(options: ItemOptions) -> dict[str, str]:
    """Maps the columns of a catalogue that are needed to the flags that name them."""
    wanted = {options.item: "--item-id"}
    wanted |= dict.fromkeys(options.text, "--item-text")
    wanted |= dict.fromkeys(options.attributes, "--item-attributes")
    if options.price is not None:
        wanted[options.price] = "--item-price"
    return wanted


def scan_catalogue(options: ItemOptions) -> pl.LazyFrame:
    """Scans the file after a check of its columns."""
    path = options.catalogue
    assert path is not None
    if detect_format(path) == "parquet":
        scan = pl.scan_parquet(path, glob=False)
        columns = scan.collect_schema().names()
    else:
        check_text(path)
        columns, separator = csv_header(path, "")
        scan = scan_csv(path, separator)
    require_columns(path, columns, wanted_columns(options))
    return scan


def as_text(column: str, kind: pl.DataType) -> pl.Expr:
    """Reads a column as text; a list becomes its values joined by a bar."""
    value = pl.col(column)
    if isinstance(kind, pl.List):
        return value.cast(pl.List(pl.String)).list.join("|").fill_null("")
    return value.cast(pl.String).str.strip_chars().fill_null("")


def read_catalogue(options: ItemOptions) -> Catalogue:
    """Reads the catalogue; of rows with the same id the first is kept, and the others counted.

    A missing text is empty; a price that is missing, negative or no number is null. All are
    counted.
    """
    assert options.catalogue is not None
    try:
        scan = scan_catalogue(options)
        schema = scan.collect_schema()
        price = pl.lit(None, pl.Float64)
        if options.price is not None:
            price = pl.col(options.price).cast(pl.Float64, strict=False)
        columns = dict.fromkeys((*options.text, *options.attributes))
        raw = scan.select(
            clean_id(options.item).alias("item"),
            price.alias("price"),
            *(as_text(name, schema[name]).alias(f"text:{name}") for name in columns),
        ).collect(engine="streaming")
    except pl.exceptions.PolarsError as error:
        found = diagnose_csv([options.catalogue], "")
        summary = str(error).split("\n", 1)[0]
        raise ValueError(found or f"{options.catalogue} cannot be read: {summary}") from None
    named = raw.filter(~empty("item"))
    kept = named.unique("item", keep="first", maintain_order=True)
    good = pl.col("price").is_finite() & (pl.col("price") >= 0)
    table = kept.with_columns(pl.when(good).then("price").alias("price"))
    counts = {
        "rows": raw.height,
        "rows_without_id": raw.height - named.height,
        "rows_of_an_id_already_seen": named.height - kept.height,
        "rows_kept": kept.height,
    }
    return Catalogue(table, counts)
