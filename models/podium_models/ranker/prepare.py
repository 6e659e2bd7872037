"""Runs the ``prepare`` command: purchases in, vocabularies, histories, features, candidates out."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from podium_models.bundle.vocabulary import FIRST, OUT_OF_VOCABULARY, Vocabulary
from podium_models.data_sum import require_same_data, sum_of, write_sum
from podium_models.ranker.config import FIRST_CUTOFF, KIND, Config
from podium_models.ranker.data.histories import build_histories
from podium_models.ranker.data.item_features import build_item_features
from podium_models.ranker.data.journey import Journey
from podium_models.ranker.data.pairs import build_pairs
from podium_models.ranker.data.prepared import Prepared, save_prepared
from podium_models.ranker.data.shop_weeks import check_split
from podium_models.sequence.data.item_features import vector_columns
from podium_models.settings import write_config

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


def choose_items(purchases: pl.DataFrame, last_week: int, minimum: int) -> list[Any]:
    """Lists products bought in at least ``minimum`` household-weeks up to ``last_week``."""
    counts = (
        purchases.filter(pl.col("week") <= last_week)
        .unique(["household", "product", "week"])
        .group_by("product")
        .len()
    )
    chosen = counts.filter(pl.col("len") >= minimum)["product"].sort().to_list()
    if not chosen:
        raise ValueError(
            f"no item was bought in {minimum} weeks of shoppers up to week {last_week};"
            " lower data.min_purchases"
        )
    return chosen


def number_items(frame: pl.DataFrame, products: list[Any]) -> pl.DataFrame:
    """Adds the column ``item`` (i64 index) and drops rows whose product is not listed."""
    numbers = pl.DataFrame(
        {
            "product": pl.Series(products, dtype=frame.schema["product"]),
            "item": np.arange(len(products), dtype=np.int64) + FIRST,
        }
    )
    return frame.join(numbers, on="product", how="inner")


def map_items(table: pl.DataFrame, column: str, vocabulary: Vocabulary) -> Ints:
    """Maps item indices to indices of a column's vocabulary: [items] int64."""
    head = [0, OUT_OF_VOCABULARY]
    return np.asarray(head + vocabulary.indices(table[column].to_list()), dtype=np.int64)


def map_categories(table: pl.DataFrame, categories: Vocabulary, departments: Vocabulary) -> Ints:
    """Maps category indices to their most common department: [categories] int64."""
    common = (
        table.group_by("category", "department")
        .len()
        .sort("category", "len", "department", descending=[False, True, False])
        .unique("category", keep="first", maintain_order=True)
    )
    mapped = np.full(categories.size, OUT_OF_VOCABULARY, dtype=np.int64)
    mapped[0] = 0
    mapped[categories.indices(common["category"].to_list())] = departments.indices(
        common["department"].to_list()
    )
    return mapped


def cutoff_weeks(config: Config) -> list[int]:
    """Lists the weeks at whose end histories are cut for training, validation and test."""
    split = config.split
    return [*range(FIRST_CUTOFF, split.last_train_week + 1), split.last_validation_week]


def build_prepared(journey: Journey, config: Config) -> Prepared:
    """Builds everything from cleaned tables."""
    split, data = config.split, config.data
    check_split(split, len(journey.calendar) - 1)
    products = choose_items(journey.purchases, split.last_train_week, data.min_purchases)
    if len(products) < data.candidates:
        raise ValueError(
            f"only {len(products)} items are bought often enough for data.candidates"
            f"={data.candidates}: lower it, or data.min_purchases={data.min_purchases}"
        )
    purchases = number_items(journey.purchases, products)
    table = number_items(journey.products, products).sort("item")
    categories = Vocabulary(tuple(sorted(set(table["category"].to_list()))))
    departments = Vocabulary(tuple(sorted(set(table["department"].to_list()))))
    items = Vocabulary(tuple(str(product) for product in products))
    category_of = map_items(table, "category", categories)
    histories = build_histories(purchases)
    features = build_item_features(
        purchases,
        number_items(journey.promotions, products),
        split.last_week,
        items.size,
        data.popularity_weeks,
    )
    report = {
        **journey.counts,
        "items_in_vocabulary": len(items.names),
        "lines_in_vocabulary": purchases.height,
        "events": len(histories.items),
        "households_in_vocabulary": len(histories.households),
        "categories": len(categories.names),
        "departments": len(departments.names),
    }
    return Prepared(
        items=items,
        categories=categories,
        departments=departments,
        category_of=category_of,
        department_of=map_items(table, "department", departments),
        department_of_category=map_categories(table, categories, departments),
        histories=histories,
        features=features,
        pairs=build_pairs(histories, features, cutoff_weeks(config), data),
        items_table=table.select(
            item=pl.col("product").cast(pl.String),
            product="name",
            department="department",
            brand="brand",
            category="category",
        ),
        calendar=journey.calendar,
        vectors=item_vectors(journey.vectors, items, report),
        data=data,
        report=report,
    )


def item_vectors(
    vectors: tuple[list[str], Floats] | None, items: Vocabulary, report: dict[str, int]
) -> Floats | None:
    """Lays standardised vectors out by item index: [items, d] float32.

    Each column has mean 0 and deviation 1 over the vocabulary's items that have a vector; the
    others get zeros.
    """
    if vectors is None:
        return None
    laid, counts = vector_columns(pl.Series(vectors[0], dtype=pl.String), vectors[1], items)
    report["items_with_vectors"] = len(items.names) - counts["missing"]
    return laid


def prepare(run: Path, journey: Journey, config: Config) -> Prepared:
    """Prepares a run directory: writes ``config.json`` and ``prepared/``.

    Raises ``ValueError`` where the run holds a model that was trained on other data.
    """
    prepared, directory = build_prepared(journey, config), run / "prepared"
    found = sum_of(dataclasses.replace(prepared, report={}), config.split)
    require_same_data(directory, found, [run / "latest.pt"])
    write_config(run, KIND, config)
    save_prepared(prepared, directory)
    write_sum(directory, found)
    return prepared
