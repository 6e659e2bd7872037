"""Reads a shop's own tables from CSV or Parquet under column names of its choice."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from podium_models.sequence.data.read_log import detect_format
from podium_models.sequence.data.read_table import (
    csv_header,
    diagnose_csv,
    require_columns,
    scan_csv,
)
from podium_models.sequence.data.text_scan import check_text

REQUIRED = {
    "purchases": ("user", "item", "time"),
    "products": ("item", "department", "category"),
    "promotions": ("item", "week"),
}
OPTIONAL = {
    "purchases": ("quantity", "paid", "shelf"),
    "products": ("name", "brand"),
    "promotions": ("display", "mailer"),
}


@dataclass(frozen=True)
class ShopFiles:
    """What a shop gives: files, and its own names for their columns (``table.field`` to name)."""

    purchases: tuple[Path, ...]
    products: Path
    promotions: Path | None = None
    embeddings: Path | None = None
    columns: dict[str, str] = field(default_factory=dict)
    timezone: str = "UTC"


def parse_columns(texts: list[str]) -> dict[str, str]:
    """Reads ``--column TABLE.FIELD=NAME``; a field that no table has raises ``ValueError``."""
    known = {
        f"{table}.{name}"
        for fields in (REQUIRED, OPTIONAL)
        for table, names in fields.items()
        for name in names
    }
    found: dict[str, str] = {}
    for text in texts:
        field_name, separator, column = text.partition("=")
        if field_name not in known or not separator or not column:
            raise ValueError(
                f"unknown column {text!r}; write TABLE.FIELD=NAME, where TABLE.FIELD is one of "
                + ", ".join(sorted(known))
            )
        found[field_name] = column
    return found


def scan(path: Path) -> tuple[pl.LazyFrame, list[str]]:
    """Scans one file and lists its columns; every column of CSV is text."""
    if detect_format(path) == "parquet":
        frame = pl.scan_parquet(path, glob=False)
        return frame, frame.collect_schema().names()
    check_text(path)
    columns, separator = csv_header(path, "")
    return scan_csv(path, separator), columns


def read_table(path: Path, table: str, columns: dict[str, str]) -> pl.DataFrame:
    """Reads one table's known columns under the names of its fields.

    An optional column is read where there is one; one that ``columns`` names must be there.
    Raises ``ValueError`` naming the file, and the column or line that is wrong.
    """
    names = {one: columns.get(f"{table}.{one}", one) for one in REQUIRED[table] + OPTIONAL[table]}
    try:
        frame, there = scan(path)
        wanted = {
            column: f"--column {table}.{one}=NAME"
            for one, column in names.items()
            if one in REQUIRED[table] or f"{table}.{one}" in columns or column in there
        }
        require_columns(path, there, wanted)
        found: pl.DataFrame = frame.select(
            pl.col(column).alias(one) for one, column in names.items() if column in wanted
        ).collect(engine="streaming")
    except pl.exceptions.PolarsError as error:
        reason = diagnose_csv([path], "") or f"{path}: {str(error).splitlines()[0]}"
        raise ValueError(reason) from None
    if found.height == 0:
        raise ValueError(f"{path} holds no row")
    for one, kind in found.schema.items():
        if kind.is_nested() or kind in (pl.Binary, pl.Object):
            raise ValueError(f"{path}: the column {names[one]!r} holds {kind}, not plain values")
    return found
