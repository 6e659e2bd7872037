"""Says what a row of a log must be, and why a row is dropped."""

from __future__ import annotations

import polars as pl

MAX_ID_BYTES = 128
"""The server's own default limit of an id (``limits.max_id_bytes``)."""

OUTSIDE = r"[\p{Cc}\x{85}\x{2028}\x{2029}]"
"""Control characters and line separators: ids are kept one a line, and sent as text."""

LAST_SECOND = 4_102_444_800
"""2100-01-01; an event later than that has a time in some unit nobody meant."""

REASONS = (
    "",
    "other_event",
    "empty_user",
    "empty_item",
    "bad_user_id",
    "bad_item_id",
    "bad_time",
)
"""Why a row is dropped, by the number in its column ``reason``; 0 is kept."""

SCHEMA = {
    "row": pl.UInt64,
    "user": pl.String,
    "item": pl.String,
    "time": pl.Int64,
    "reason": pl.UInt8,
}
"""Columns of the cleaned rows; ``time`` is null throughout where the log has none."""


def clean_id(name: str) -> pl.Expr:
    """Reads an id of any type as text without white space around it."""
    return pl.col(name).cast(pl.String).str.strip_chars()


def empty(name: str) -> pl.Expr:
    """Says where an id is missing."""
    return pl.col(name).is_null() | (pl.col(name) == "")


def unfit(name: str) -> pl.Expr:
    """Says where an id is too long, or holds what an id cannot."""
    return (pl.col(name).str.len_bytes() > MAX_ID_BYTES) | pl.col(name).str.contains(OUTSIDE)


def reason(timed: bool, kinds: tuple[str, ...]) -> pl.Expr:
    """Numbers the first of ``REASONS`` that holds for a row of user, item, time and kind."""
    held = [(empty("user"), 2), (empty("item"), 3), (unfit("user"), 4), (unfit("item"), 5)]
    if timed:
        late = ~pl.col("time").is_between(0, LAST_SECOND).fill_null(value=False)
        held.append((late, 6))
    if kinds:
        held.insert(0, (~pl.col("kind").is_in(list(kinds)).fill_null(value=False), 1))
    return pl.coalesce(
        *(pl.when(condition).then(pl.lit(number, pl.UInt8)) for condition, number in held),
        pl.lit(0, pl.UInt8),
    ).alias("reason")


def forget_dropped() -> list[pl.Expr]:
    """Empties what a dropped row held, so that it costs no space."""
    return [
        pl.when(pl.col("reason") == 0).then(pl.col(name)).alias(name)
        for name in ("user", "item", "time")
    ]


def finish(frame: pl.LazyFrame, timed: bool, kinds: tuple[str, ...] = ()) -> pl.LazyFrame:
    """Turns columns row, user, item, time (and kind) into those of ``SCHEMA``."""
    return (
        frame.with_columns(clean_id("user"), clean_id("item"))
        .with_columns(reason(timed, kinds))
        .with_columns(forget_dropped())
        .select(pl.col(name).cast(kind) for name, kind in SCHEMA.items())
    )
