"""Numbers users and items, and cuts the log into parts that fit in memory."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from podium_models.sequence.data.read_log import LogRows

PART_EVENTS = 8_000_000


@dataclass(frozen=True)
class Numbered:
    """``users`` by first appearance, ``items`` in their order, and ``parts`` with their numbers.

    Every part (a glob of Parquet files: row u64, user u32, item u32, time i64) holds all events of
    a range of users; the ranges ascend.
    """

    users: pl.Series
    items: pl.Series
    parts: tuple[Path, ...]


def order_items(names: pl.Series) -> pl.Series:
    """Sorts ids: as numbers where all are whole numbers as a computer writes them, else as text."""
    numbers = names.cast(pl.Int64, strict=False)
    if numbers.null_count() == 0 and (numbers.cast(pl.String) == names).all():
        return names.gather(numbers.arg_sort())
    return names.sort()


def assign_parts(events: npt.NDArray[np.int64], limit: int) -> npt.NDArray[np.int64]:
    """Numbers each user's part so that a part holds about ``limit`` events."""
    return np.asarray((np.cumsum(events) - events) // limit, dtype=np.int64)


def number_users(kept: pl.LazyFrame, limit: int) -> pl.DataFrame:
    """Lists users by first appearance: name, number (u32), part (u32)."""
    users = (
        kept.group_by("user")
        .agg(pl.len().alias("events"), pl.col("row").min())
        .collect(engine="streaming")
        .sort("row")
    )
    part = assign_parts(users["events"].to_numpy().astype(np.int64), limit)
    return users.select(
        "user",
        number=pl.int_range(pl.len(), dtype=pl.UInt32),
        part=pl.Series(part, dtype=pl.UInt32),
    )


def number_log(log: LogRows, work: Path, limit: int = PART_EVENTS) -> Numbered:
    """Replaces ids with numbers in a streamed join and writes the parts under ``work``."""
    kept = log.kept()
    users = number_users(kept, limit)
    items = order_items(kept.select(pl.col("item").unique()).collect(engine="streaming")["item"])
    known = pl.LazyFrame({"item": items}).with_row_index("item_number")
    joined = (
        kept.join(users.lazy(), on="user")
        .join(known, on="item")
        .select(
            "row",
            "time",
            "part",
            user="number",
            item=pl.col("item_number").cast(pl.UInt32),
        )
    )
    folder = work / "parts"
    joined.sink_parquet(
        pl.PartitionBy(folder, key="part", include_key=False),
        compression="lz4",
        engine="streaming",
        mkdir=True,
        maintain_order=False,
    )
    count = int(users["part"].max()) + 1  # type: ignore[arg-type]
    parts = tuple(folder / f"part={part}" / "*.parquet" for part in range(count))
    return Numbered(users["user"], items, parts)


def pseudonyms(names: pl.Series, salt: bytes) -> list[str]:
    """Replaces user ids with 32 hex digits of BLAKE2b under a secret key, the salt."""
    return [
        hashlib.blake2b(name.encode("utf-8"), key=salt, digest_size=16).hexdigest()
        for name in names
    ]
