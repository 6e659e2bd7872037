"""Reads S3-Rec's text format: a user and then its items in time order, one user a line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl

from podium_models.sequence.data.rows import finish
from podium_models.sequence.data.text_scan import pieces

Advance = Callable[[int], object]


def parse_piece(path: Path, line: int, piece: bytes) -> pl.DataFrame:
    """Reads whole lines as rows of user and item; a user without items raises ``ValueError``."""
    words = (
        pl.DataFrame({"text": piece.decode("utf-8").split("\n")})
        .with_row_index("line", offset=line)
        .select("line", words=pl.col("text").str.extract_all(r"\S+"))
        .filter(pl.col("words").list.len() > 0)
    )
    alone = words.filter(pl.col("words").list.len() == 1)
    if alone.height:
        raise ValueError(
            f"{path}:{alone['line'][0]}: a line is a user and then its items, separated by "
            "spaces; this one holds a single word"
        )
    return words.select(
        user=pl.col("words").list.first(), item=pl.col("words").list.slice(1)
    ).explode("item")


def read_s3rec(paths: tuple[Path, ...], work: Path, advance: Advance) -> tuple[Path, int]:
    """Writes cleaned rows as ``rows-*.parquet`` in ``work``; returns their glob and the lines read.

    The file is read in pieces of whole lines; ``advance`` is told the bytes of each. A user on
    several lines has one history, in the order of the lines.
    """
    row, part, lines = 0, 0, 0
    for path in paths:
        for line, piece in pieces(path):
            frame = parse_piece(path, line, piece).with_row_index("row", offset=row)
            cleaned = finish(
                frame.lazy().with_columns(time=pl.lit(None, pl.Int64)), timed=False
            ).collect()
            cleaned.write_parquet(work / f"rows-{part:06}.parquet", compression="lz4")
            row, part = row + frame.height, part + 1
            lines += piece.count(b"\n") + (piece[-1:] != b"\n")
            advance(len(piece))
    return work / "rows-*.parquet", lines
