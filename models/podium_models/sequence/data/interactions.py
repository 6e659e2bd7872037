"""Holds prepared interactions: every user's events in time order, with the bounds of the splits."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from podium_models.bundle.vocabulary import Vocabulary

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

REPORT, EVENTS, FEATURES = "report.json", "events.npz", "item_features.npz"
ITEMS, ATTRIBUTES, USERS, ITEMS_TABLE = (
    "items.txt",
    "attributes.txt",
    "users.txt",
    "items.parquet",
)


@dataclass(frozen=True)
class Interactions:
    """What training, evaluation and export of the ``sequence`` kind read.

    ``users`` (pseudonymised names) stand in row order. User ``u`` owns the events
    ``offsets[u]:offsets[u + 1]``, oldest first; of these ``offsets[u]:train_ends[u]`` train,
    ``train_ends[u]:validation_ends[u]`` are validation targets and the rest are test targets.
    ``offsets`` [U + 1], ``train_ends`` and ``validation_ends`` [U] int64 are positions in
    ``event_items`` [E] int64 (item indices, first 2) and ``event_times`` [E] int64 (unix seconds;
    the position within the history where the log has no time).

    Optional item features, rows by item index (rows 0 and 1 are padding and out of vocabulary):
    ``attribute_offsets`` [items + 1] and ``attribute_values`` [n] int64 (indices into
    ``attributes``, first 2), ``dense`` [items, d] float32 (normalised price, image or other
    embeddings side by side, zero where unknown; d is 0 where there are none).

    ``items_table`` has one row an item of the vocabulary, in order: ``item`` (str) and whatever
    text columns the catalogue had. ``report`` holds the data report's counts.
    """

    users: tuple[str, ...]
    items: Vocabulary
    attributes: Vocabulary
    offsets: Ints
    train_ends: Ints
    validation_ends: Ints
    event_items: Ints
    event_times: Ints
    attribute_offsets: Ints
    attribute_values: Ints
    dense: Floats
    items_table: pl.DataFrame
    report: dict[str, Any]


def save_interactions(data: Interactions, directory: Path) -> None:
    """Writes the directory; a half-written one has no ``report.json``, which comes last."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / REPORT).unlink(missing_ok=True)
    (directory / USERS).write_text("".join(f"{one}\n" for one in data.users), encoding="utf-8")
    (directory / ITEMS).write_text(data.items.to_text(), encoding="utf-8")
    (directory / ATTRIBUTES).write_text(data.attributes.to_text(), encoding="utf-8")
    np.savez(
        directory / EVENTS,
        offsets=data.offsets,
        train_ends=data.train_ends,
        validation_ends=data.validation_ends,
        event_items=data.event_items,
        event_times=data.event_times,
    )
    np.savez(
        directory / FEATURES,
        attribute_offsets=data.attribute_offsets,
        attribute_values=data.attribute_values,
        dense=data.dense,
    )
    data.items_table.write_parquet(directory / ITEMS_TABLE)
    report = json.dumps(data.report, indent=2, sort_keys=True) + "\n"
    (directory / REPORT).write_text(report, encoding="utf-8")


def load_interactions(directory: Path) -> Interactions:
    """Reads what ``save_interactions`` wrote; before that raises ``FileNotFoundError``."""
    if not (directory / REPORT).is_file():
        raise FileNotFoundError(f"{directory} is not prepared; run `prepare interactions` first")
    with np.load(directory / EVENTS) as file:
        arrays = {name: file[name] for name in file.files}
    with np.load(directory / FEATURES) as file:
        arrays |= {name: file[name] for name in file.files}
    return Interactions(
        users=tuple((directory / USERS).read_text(encoding="utf-8").splitlines()),
        items=Vocabulary.from_text((directory / ITEMS).read_text(encoding="utf-8")),
        attributes=Vocabulary.from_text((directory / ATTRIBUTES).read_text(encoding="utf-8")),
        items_table=pl.read_parquet(directory / ITEMS_TABLE),
        report=json.loads((directory / REPORT).read_text(encoding="utf-8")),
        **arrays,
    )
