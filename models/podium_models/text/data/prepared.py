"""Keeps prepared judgements in a run, and hands them out as lists by query."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from podium_models.text.data.judgements import Judgements
from podium_models.text.data.products import Products

PRODUCTS, JUDGEMENTS = "products.parquet", "judgements.parquet"


class RatedList(NamedTuple):
    """One query with the places of its judged products, their ratings, and its fold."""

    query: str
    places: npt.NDArray[np.int64]
    ratings: npt.NDArray[np.int64]
    fold: int

    @property
    def mixed(self) -> bool:
        """Says whether ratings differ, so that an order can be better or worse."""
        return bool(self.ratings.min() != self.ratings.max())


class Prepared(NamedTuple):
    """All products (columns item, title, brand, description), and the judged lists."""

    products: pl.DataFrame
    lists: tuple[RatedList, ...]

    @property
    def judged(self) -> npt.NDArray[np.int64]:
        """Places of products that any list names, ascending."""
        return np.unique(np.concatenate([one.places for one in self.lists]))


def save_prepared(run: Path, products: Products, judgements: Judgements) -> None:
    """Writes both tables under ``prepared/``."""
    where = run / "prepared"
    where.mkdir(parents=True, exist_ok=True)
    products.table.write_parquet(where / PRODUCTS)
    judgements.table.write_parquet(where / JUDGEMENTS)


def as_lists(products: pl.DataFrame, judgements: pl.DataFrame) -> tuple[RatedList, ...]:
    """Groups judgements by query, in the queries' order."""
    numbered = products.select("item").with_row_index("place")
    joined = judgements.join(numbered, on="item", how="left", maintain_order="left")
    return tuple(
        RatedList(
            str(query),
            group["place"].to_numpy().astype(np.int64),
            group["rating"].to_numpy(),
            int(group["fold"][0]),
        )
        for (query,), group in joined.group_by(["query"], maintain_order=True)
    )


def digest(prepared: Prepared) -> str:
    """Returns a sum over texts, ratings and folds, as 64 hex digits."""
    found = hashlib.sha256(prepared.products.write_csv().encode())
    for one in prepared.lists:
        content = (one.query, one.places.tolist(), one.ratings.tolist(), one.fold)
        found.update(json.dumps(content).encode())
    return found.hexdigest()


def load_prepared(run: Path) -> Prepared:
    """Reads what ``prepare judgements`` wrote."""
    where = run / "prepared"
    if not (where / JUDGEMENTS).is_file():
        raise FileNotFoundError(f"{where} holds no judgements; run `prepare judgements` first")
    products = pl.read_parquet(where / PRODUCTS)
    return Prepared(products, as_lists(products, pl.read_parquet(where / JUDGEMENTS)))
