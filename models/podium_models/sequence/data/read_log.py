"""Reads a log of any format into cleaned rows on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from tqdm import tqdm

from podium_models.sequence.data.options import LogOptions
from podium_models.sequence.data.read_s3rec import read_s3rec
from podium_models.sequence.data.read_table import diagnose_csv, scan_log
from podium_models.sequence.data.rows import REASONS
from podium_models.sequence.data.text_scan import pieces, require_file

PARQUET_MAGIC = b"PAR1"


@dataclass(frozen=True)
class LogRows:
    """Cleaned rows on disk (a path or glob of Parquet files) and what was counted on the way."""

    rows: Path
    timed: bool
    format: str
    size: int
    lines: int | None
    read: int
    dropped: dict[str, int]

    def kept(self) -> pl.LazyFrame:
        """Scans the rows that were kept."""
        return pl.scan_parquet(self.rows).filter(pl.col("reason") == 0)


def detect_format(path: Path) -> str:
    """Tells Parquet by its first bytes, S3-Rec's text by its first line, and CSV otherwise."""
    require_file(path)
    with path.open("rb") as file:
        if file.read(4) == PARQUET_MAGIC:
            return "parquet"
    _, piece = next(pieces(path))
    line = piece.split(b"\n", 1)[0].strip()
    words = line.split(b" ")
    return "s3rec" if len(words) > 1 and all(word.isalnum() for word in words) else "csv"


def choose_format(log: LogOptions) -> str:
    """Returns the format of all files; files of several formats raise ``ValueError``."""
    for path in log.files:
        require_file(path)
    if log.format != "auto":
        return log.format
    formats = {path: detect_format(path) for path in log.files}
    if len(set(formats.values())) > 1:
        listed = ", ".join(f"{path}: {name}" for path, name in formats.items())
        raise ValueError(f"the files are of several formats ({listed}); prepare them one by one")
    return next(iter(formats.values()))


def check_texts(log: LogOptions, bar: Any) -> int:
    """Checks CSV files from end to end and returns their number of lines."""
    lines = 0
    for path in log.files:
        for _, piece in pieces(path):
            lines += piece.count(b"\n") + (piece[-1:] != b"\n")
            bar.update(len(piece))
    return lines


def sink_table(log: LogOptions, format: str, target: Path) -> None:
    """Streams CSV or Parquet files into cleaned rows; a bad file raises ``ValueError``."""
    try:
        scan_log(log, format).sink_parquet(target, compression="lz4", engine="streaming")
    except pl.exceptions.PolarsError as error:
        found = diagnose_csv(log.files, log.separator) if format == "csv" else None
        names = ", ".join(str(path) for path in log.files)
        summary = str(error).split("\n", 1)[0]
        raise ValueError(found or f"{names}: cannot be read as {format}: {summary}") from None


def count_rows(rows: Path) -> tuple[int, dict[str, int]]:
    """Counts all rows, and the dropped ones by reason."""
    counts = pl.scan_parquet(rows).group_by("reason").len().collect(engine="streaming")
    found = dict(counts.iter_rows())
    dropped = {name: found.get(number, 0) for number, name in enumerate(REASONS) if number}
    return sum(found.values()), dropped


def read_log(log: LogOptions, work: Path) -> LogRows:
    """Reads, checks and cleans the log into ``work``; one without a usable row is refused."""
    format = choose_format(log)
    timed = format != "s3rec" and log.time is not None
    size = sum(path.stat().st_size for path in log.files)
    lines: int | None = None
    with tqdm(total=size, unit="B", unit_scale=True, desc="reading", disable=None) as bar:
        if format == "s3rec":
            rows, lines = read_s3rec(log.files, work, bar.update)
        else:
            rows = work / "rows.parquet"
            if format == "csv":
                lines = check_texts(log, bar)
            sink_table(log, format, rows)
    read, dropped = count_rows(rows)
    if read == sum(dropped.values()):
        names = ", ".join(str(path) for path in log.files)
        why = ", ".join(f"{count} {name}" for name, count in dropped.items() if count)
        raise ValueError(f"{names}: no usable row of {read}" + (f" ({why})" if why else ""))
    return LogRows(rows, timed, format, size, lines, read, dropped)
