"""Reads times of any usual form as unix seconds."""

from __future__ import annotations

import polars as pl

UNITS = ((1e17, 1_000_000_000), (1e14, 1_000_000), (1e11, 1_000))
"""A number from the first on counts nanoseconds, from the second on micro-, then milliseconds."""

OFFSET = r"[+-]\d\d:?\d\d$"


def from_number(value: pl.Expr) -> pl.Expr:
    """Reads unix seconds, or milli-, micro- or nanoseconds by their size; NaN becomes null."""
    whole = value.cast(pl.Int64, strict=False)
    scaled = whole
    for least, divisor in reversed(UNITS):
        scaled = pl.when(whole >= int(least)).then(whole // divisor).otherwise(scaled)
    return scaled


def from_iso(text: pl.Expr) -> pl.Expr:
    """Reads ISO 8601 to the second or finer, or a day alone; UTC where no offset is given."""
    joined = text.str.replace(r"^(\d{4}-\d\d-\d\d)[ tT](\d)", "${1}T${2}").str.replace(
        r"[zZ]$", "+00:00"
    )
    full = pl.when(joined.str.len_bytes() == 10).then(joined + "T00:00:00").otherwise(joined)
    zoned = pl.when(full.str.slice(10).str.contains(OFFSET)).then(full).otherwise(full + "+00:00")
    moment = zoned.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%z", strict=False, time_unit="us")
    return moment.dt.epoch("s")


def to_seconds(column: str, kind: pl.DataType, numeric: bool) -> pl.Expr:
    """Reads a column as unix seconds (i64), null where that fails.

    ``numeric`` says that a text column holds numbers alone, which spares trying ISO 8601.
    """
    value = pl.col(column)
    if kind.is_numeric():
        return from_number(value)
    if isinstance(kind, pl.Date | pl.Datetime):
        return value.cast(pl.Datetime("us")).dt.epoch("s")
    if not isinstance(kind, pl.String):
        raise ValueError(f"the column {column!r} has the type {kind}, which is no time")
    text = value.str.strip_chars()
    number = from_number(text.cast(pl.Float64, strict=False))
    return number if numeric else pl.coalesce(number, from_iso(text))
