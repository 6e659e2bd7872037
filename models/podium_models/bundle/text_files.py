"""Writes text, gzip and sums so that equal content is always equal bytes."""

from __future__ import annotations

import gzip
import hashlib
import io
from pathlib import Path

import polars as pl


def write_gzip(path: Path, text: str) -> None:
    """Writes UTF-8 text as gzip without a time or a file name in its header."""
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", fileobj=buffer, mode="wb", compresslevel=9, mtime=0) as file:
        file.write(text.encode("utf-8"))
    path.write_bytes(buffer.getvalue())


def write_csv_gzip(path: Path, table: pl.DataFrame) -> None:
    """Writes a table with a header; floats as the shortest text that reads back exactly."""
    write_gzip(path, table.write_csv())


def sha256(path: Path) -> str:
    """Returns the sum of a file as 64 hex digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def toml_value(value: object) -> str:
    """Renders a text, number, truth value or list as TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml_value(one) for one in value) + "]"
    raise TypeError(f"no TOML form for {type(value).__name__}")


def toml_table(header: str, entries: dict[str, object]) -> str:
    """Renders one table under its header line; an empty header renders top-level keys."""
    lines = [header] if header else []
    for key, value in entries.items():
        bare = key.replace("_", "").replace("-", "").isalnum()
        lines.append(f"{key if bare else toml_value(key)} = {toml_value(value)}")
    return "\n".join(lines) + "\n"
