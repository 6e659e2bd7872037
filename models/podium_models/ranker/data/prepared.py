"""Stores and loads what ``prepare`` made: one directory of text and array files."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from podium_models.bundle.vocabulary import Vocabulary
from podium_models.ranker.config import DataConfig
from podium_models.ranker.data.histories import Histories
from podium_models.ranker.data.item_features import ItemFeatures
from podium_models.ranker.data.pairs import Pairs

Ints = npt.NDArray[np.int64]

SETTINGS, VECTORS = "data.json", "vectors.npy"
VOCABULARIES = ("items", "categories", "departments")


@dataclass(frozen=True)
class Prepared:
    """All that training, evaluation and export read.

    ``category_of`` and ``department_of`` [items] int64 map an item index;
    ``department_of_category`` [categories] int64 maps a category index to its most common
    department. ``items_table`` has one row an item in vocabulary order: item, product,
    department, brand, category (str).
    ``calendar`` [weeks + 1] int64 is each week's place in the year, 1 to 53.
    ``vectors`` [items, d] float32 are precomputed embeddings of the items, zero where there is
    none, or None. ``data`` holds the settings it was made with, ``report`` the data report.
    """

    items: Vocabulary
    categories: Vocabulary
    departments: Vocabulary
    category_of: Ints
    department_of: Ints
    department_of_category: Ints
    histories: Histories
    features: ItemFeatures
    pairs: Pairs
    items_table: pl.DataFrame
    calendar: Ints
    vectors: npt.NDArray[np.float32] | None
    data: DataConfig
    report: dict[str, int]


def save_prepared(prepared: Prepared, directory: Path) -> None:
    """Writes the directory; a half-written one has no ``report.json``, which comes last."""
    directory.mkdir(parents=True, exist_ok=True)
    for name in VOCABULARIES:
        vocabulary: Vocabulary = getattr(prepared, name)
        (directory / f"{name}.txt").write_text(vocabulary.to_text(), encoding="utf-8")
    for name in ("histories", "features", "pairs"):
        part = getattr(prepared, name)
        fields = {one.name: getattr(part, one.name) for one in dataclasses.fields(part)}
        np.savez(directory / f"{name}.npz", **fields)
    np.savez(
        directory / "maps.npz",
        category_of=prepared.category_of,
        department_of=prepared.department_of,
        department_of_category=prepared.department_of_category,
        calendar=prepared.calendar,
    )
    (directory / VECTORS).unlink(missing_ok=True)
    if prepared.vectors is not None:
        np.save(directory / VECTORS, prepared.vectors)
    settings = json.dumps(dataclasses.asdict(prepared.data), indent=2, sort_keys=True) + "\n"
    (directory / SETTINGS).write_text(settings, encoding="utf-8")
    prepared.items_table.write_parquet(directory / "items.parquet")
    report = json.dumps(prepared.report, indent=2, sort_keys=True) + "\n"
    (directory / "report.json").write_text(report, encoding="utf-8")


def load_prepared(directory: Path) -> Prepared:
    """Reads what ``save_prepared`` wrote; without ``report.json`` raises ``FileNotFoundError``."""
    if not (directory / "report.json").is_file():
        raise FileNotFoundError(f"{directory} is not prepared; run `prepare` first")
    words = {
        name: Vocabulary.from_text((directory / f"{name}.txt").read_text(encoding="utf-8"))
        for name in VOCABULARIES
    }
    with np.load(directory / "maps.npz") as maps:
        arrays = {name: maps[name] for name in maps.files}
    return Prepared(
        items=words["items"],
        categories=words["categories"],
        departments=words["departments"],
        category_of=arrays["category_of"],
        department_of=arrays["department_of"],
        department_of_category=arrays["department_of_category"],
        histories=Histories(**dict(np.load(directory / "histories.npz"))),
        features=ItemFeatures(**dict(np.load(directory / "features.npz"))),
        pairs=Pairs(**dict(np.load(directory / "pairs.npz"))),
        items_table=pl.read_parquet(directory / "items.parquet"),
        calendar=arrays["calendar"],
        vectors=np.load(directory / VECTORS) if (directory / VECTORS).is_file() else None,
        data=DataConfig(**json.loads((directory / SETTINGS).read_text(encoding="utf-8"))),
        report=json.loads((directory / "report.json").read_text(encoding="utf-8")),
    )
