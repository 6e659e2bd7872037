"""Reads logs in CSV and Parquet lazily, and says in which line a CSV file goes wrong."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

import polars as pl

from podium_models.sequence.data.options import LogOptions
from podium_models.sequence.data.rows import finish
from podium_models.sequence.data.text_scan import MAX_LINE_BYTES, pieces
from podium_models.sequence.data.times import to_seconds

SEPARATORS = ",\t;|"
SAMPLE_ROWS = 2000


def csv_header(path: Path, separator: str) -> tuple[list[str], str]:
    """Reads the first line of a CSV file as column names, and guesses the separator where empty."""
    _, piece = next(pieces(path))
    line = piece.split(b"\n", 1)[0].decode("utf-8").rstrip("\r")
    chosen = separator or max(SEPARATORS, key=line.count)
    return next(csv.reader([line], delimiter=chosen), []), chosen


def require_columns(path: Path, columns: Iterable[str], wanted: dict[str, str]) -> None:
    """Raises ``ValueError`` naming a column that is missing, those there are, and its flag."""
    there = list(columns)
    for column, flag in wanted.items():
        if there.count(column) == 1:
            continue
        fault = "stands twice in the header" if column in there else "is missing"
        raise ValueError(
            f"{path}: the column {column!r} {fault}; there are {', '.join(there)}; "
            f"{flag} names another"
        )


def scan_csv(path: Path, separator: str) -> pl.LazyFrame:
    """Scans a CSV file with every column as text."""
    return pl.scan_csv(path, separator=separator, infer_schema=False, glob=False)


def diagnose_csv(paths: Iterable[Path], separator: str) -> str | None:
    """Names file and line of the first row that a CSV reader cannot take."""
    csv.field_size_limit(MAX_LINE_BYTES)
    for path in paths:
        columns, chosen = csv_header(path, separator)
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=chosen, strict=True)
            try:
                for fields in reader:
                    if len(fields) > len(columns):
                        return (
                            f"{path}:{reader.line_num}: {len(fields)} fields where the header "
                            f"has {len(columns)}"
                        )
            except csv.Error as error:
                return f"{path}:{reader.line_num}: {error}"
    return None


def wanted_columns(log: LogOptions) -> dict[str, str]:
    """Maps the columns of a log that are needed to the flags that name them."""
    wanted = {log.user: "--user", log.item: "--item"}
    if log.time is not None:
        wanted[log.time] = "--time (or `--time none`: the log's order counts)"
    if log.kinds:
        wanted[log.kind] = "--event-column"
    return wanted


def times_are_numbers(scans: list[pl.LazyFrame], time: str) -> bool:
    """Says whether the first rows of text columns have numbers alone where a time stands."""
    for scan in scans:
        column = scan.select(time).head(SAMPLE_ROWS).collect()[time]
        if isinstance(column.dtype, pl.String):
            text = column.str.strip_chars().drop_nulls()
            if text.cast(pl.Float64, strict=False).null_count():
                return False
    return True


def select_columns(scan: pl.LazyFrame, log: LogOptions, numeric: bool) -> pl.LazyFrame:
    """Selects user, item, time in unix seconds and kind of one scanned file."""
    time = pl.lit(None, pl.Int64)
    if log.time is not None:
        time = to_seconds(log.time, scan.collect_schema()[log.time], numeric)
    chosen = {"user": pl.col(log.user).cast(pl.String), "item": pl.col(log.item).cast(pl.String)}
    if log.kinds:
        chosen["kind"] = pl.col(log.kind).cast(pl.String).str.strip_chars()
    return scan.select(**chosen, time=time)


def scan_log(log: LogOptions, format: str) -> pl.LazyFrame:
    """Scans CSV or Parquet files as cleaned rows; nothing is read before it is collected."""
    scans = []
    for path in log.files:
        if format == "csv":
            columns, separator = csv_header(path, log.separator)
            scan = scan_csv(path, separator)
        else:
            scan = pl.scan_parquet(path, glob=False)
            columns = scan.collect_schema().names()
        require_columns(path, columns, wanted_columns(log))
        scans.append(scan)
    numeric = log.time is None or times_are_numbers(scans, log.time)
    frame = pl.concat([select_columns(scan, log, numeric) for scan in scans])
    return finish(frame.with_row_index("row"), log.time is not None, log.kinds)
