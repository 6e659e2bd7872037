"""Keeps the models of a run and the data they were trained on together."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

DATA_SUM = "data.sha256"


def parts_of(data: Any) -> Iterator[bytes]:
    """Yields the content of a value in a fixed order: of dataclasses by field, arrays as stored."""
    if dataclasses.is_dataclass(data):
        for one in dataclasses.fields(data):
            yield one.name.encode()
            yield from parts_of(getattr(data, one.name))
    elif isinstance(data, np.ndarray):
        yield f"{data.dtype} {data.shape}".encode()
        yield np.ascontiguousarray(data).tobytes()
    elif isinstance(data, pl.DataFrame):
        yield data.write_ndjson().encode()
    else:
        yield repr(data).encode()


def sum_of(*data: Any) -> str:
    """Returns a sum over values, as 64 hex digits: the same for the same content."""
    found = hashlib.sha256()
    for one in data:
        for part in parts_of(one):
            found.update(len(part).to_bytes(8, "little") + part)
    return found.hexdigest()


def require_same_data(prepared: Path, found: str, trained: Iterable[Path]) -> None:
    """Raises ``ValueError`` where other data would replace what a run's models were trained on.

    ``found`` is the sum of the new data, ``trained`` are the files that tell of a model; what
    ``tune`` tried counts too.
    """
    path, tune = prepared / DATA_SUM, prepared.parent / "tune"
    before = path.read_text(encoding="ascii").strip() if path.is_file() else ""
    if before != found and any(one.exists() for one in (tune, *trained)):
        raise ValueError(
            f"{prepared.parent} holds models that were trained on other data; name another --run, "
            "or remove it"
        )


def write_sum(prepared: Path, found: str) -> None:
    """Writes the sum of what a run's models will be trained on."""
    (prepared / DATA_SUM).write_text(found + "\n", encoding="ascii")
