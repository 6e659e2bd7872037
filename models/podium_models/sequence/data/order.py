"""Puts each part in time order and drops events that say the same thing twice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl
from tqdm import tqdm

from podium_models.sequence.data.number import Numbered


@dataclass(frozen=True)
class Ordered:
    """Parts in order (user u32, item u32, time i64 in Parquet) and what was counted."""

    parts: tuple[Path, ...]
    duplicates: int
    unsorted: int


def same_user() -> pl.Expr:
    """Says where a row and the one before belong to one user."""
    return (pl.col("user") == pl.col("user").shift(1)).fill_null(value=False)


def order_part(part: pl.DataFrame, timed: bool) -> tuple[pl.DataFrame, int, int]:
    """Sorts events by user, time and row of the log, and drops duplicates.

    Returns the events, the duplicates dropped (same user, item and time), and the events that came
    after a later one of their user. Ties in time keep the order of the log.
    """
    part = part.sort("user", "row")
    if not timed:
        return part.drop("row"), 0, 0
    late = same_user() & (pl.col("time") < pl.col("time").shift(1))
    unsorted = int(part.select(late.sum()).item())
    if unsorted:
        part = part.sort("user", "time", "row")
    found = part.unique(["user", "item", "time"], keep="first", maintain_order=True)
    return found.drop("row"), part.height - found.height, unsorted


def order_parts(numbered: Numbered, timed: bool, work: Path) -> Ordered:
    """Orders every part, one at a time."""
    parts, duplicates, unsorted = [], 0, 0
    for number, source in enumerate(tqdm(numbered.parts, desc="ordering", disable=None)):
        frame, twice, late = order_part(pl.read_parquet(source), timed)
        target = work / f"ordered-{number:06}.parquet"
        frame.write_parquet(target, compression="lz4")
        for file in source.parent.glob(source.name):
            file.unlink()
        parts.append(target)
        duplicates, unsorted = duplicates + twice, unsorted + late
    return Ordered(tuple(parts), duplicates, unsorted)
