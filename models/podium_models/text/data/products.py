"""Reads products from CSV, JSON (plain or zipped) and Parquet into one table of texts."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import polars as pl

TEXTS = ("title", "brand", "description")


class Columns(NamedTuple):
    """Names of the input's columns; brand and description may be absent from it."""

    id: str = "id"
    title: str = "title"
    brand: str = "supplier"
    description: str = "short_description"


class Products(NamedTuple):
    """A table with ``item``, ``title``, ``brand``, ``description``, and what cleaning counted."""

    table: pl.DataFrame
    counts: dict[str, int]


def read_table(path: Path) -> pl.DataFrame:
    """Reads one file by its name's ending; another ending, or bad content, raises."""
    name = path.name.lower()
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing")
    try:
        if name.endswith((".csv", ".csv.gz")):
            return pl.read_csv(path, infer_schema=False)
        if name.endswith(".parquet"):
            return pl.read_parquet(path)
        if name.endswith(".json"):
            return pl.read_json(path, infer_schema_length=None)
        if name.endswith(".json.zip"):
            with zipfile.ZipFile(path) as archive:
                names = [one for one in archive.namelist() if one.endswith(".json")]
                parts = [archive.read(one) for one in names]
            read = [pl.read_json(io.BytesIO(one), infer_schema_length=None) for one in parts]
            return pl.concat(read, how="diagonal_relaxed")
    except (pl.exceptions.PolarsError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path.name} cannot be read: {str(error).splitlines()[0]}") from error
    raise ValueError(f"{path.name}: give .csv, .csv.gz, .json, .json.zip or .parquet")


def read_all(paths: Sequence[Path]) -> pl.DataFrame:
    """Reads several files as one table; columns that only some have are null elsewhere."""
    return pl.concat([read_table(one) for one in paths], how="diagonal_relaxed")


def need(table: pl.DataFrame, columns: Sequence[str], what: str) -> None:
    """Raises ``ValueError`` that names a missing column."""
    for name in columns:
        if name not in table.columns:
            raise ValueError(f"{what} have no column {name!r}; there are {table.columns[:20]}")


def text_of(name: str, longest: int) -> pl.Expr:
    """Returns a column as text with single blanks, cut at ``longest`` characters."""
    plain = pl.col(name).cast(pl.String).fill_null("").str.replace_all(r"\s+", " ")
    return plain.str.strip_chars().str.slice(0, longest)


def clean_products(raw: pl.DataFrame, columns: Columns, longest: int) -> Products:
    """Drops rows without id or title and repeated ids (the first stays), cuts long texts.

    Every dropped or changed row is counted. Raises ``ValueError`` on a missing id or title column,
    and where nothing is left.
    """
    need(raw, (columns.id, columns.title), "the products")
    chosen = {"item": columns.id, **dict(zip(TEXTS, columns[1:], strict=True))}
    absent = [one for one, name in chosen.items() if name not in raw.columns]
    present = {one: name for one, name in chosen.items() if one not in absent}
    long = [pl.col(present[one]).cast(pl.String).str.len_chars() > longest for one in present]
    counts = {"product_rows": raw.height, "texts_cut": sum(raw.select(long).sum().row(0))}
    table = raw.select(
        *(text_of(name, longest).alias(one) for one, name in present.items()),
        *(pl.lit("").alias(one) for one in absent),
    ).select("item", *TEXTS)
    with_id = table.filter(pl.col("item") != "")
    titled = with_id.filter(pl.col("title") != "")
    kept = titled.unique("item", keep="first", maintain_order=True)
    counts |= {
        "products_without_id": table.height - with_id.height,
        "products_without_title": with_id.height - titled.height,
        "products_repeated": titled.height - kept.height,
        "products_without_brand": int((kept["brand"] == "").sum()),
        "products_without_description": int((kept["description"] == "").sum()),
        "products": kept.height,
    }
    if kept.height == 0:
        raise ValueError("no product has an id and a title")
    return Products(kept.sort("item"), counts)
