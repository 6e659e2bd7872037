"""Reads ratings of products for queries, cleans them, and gives every query a fold."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import polars as pl

from podium_models.text.data.products import need


class RatingColumns(NamedTuple):
    """Names of the input's columns."""

    query: str = "query"
    item: str = "docid"
    rating: str = "rating"


class Judgements(NamedTuple):
    """A table with ``query``, ``item``, ``rating``, ``fold``, and what cleaning counted."""

    table: pl.DataFrame
    counts: dict[str, int]


def read_ratings(raw: pl.DataFrame, columns: RatingColumns, largest: int) -> pl.DataFrame:
    """Returns query, item, rating; a rating that is not 0 to ``largest`` raises, with its line."""
    need(raw, columns, "the ratings")
    table = raw.select(
        query=pl.col(columns.query).cast(pl.String).fill_null("").str.strip_chars(),
        item=pl.col(columns.item).cast(pl.String).fill_null("").str.strip_chars(),
        rating=pl.col(columns.rating).cast(pl.Float64, strict=False),
    ).with_row_index("row", offset=2)
    rating = pl.col("rating")
    bad = table.filter(
        rating.is_null()
        | rating.is_nan()
        | (rating != rating.floor())
        | (rating < 0)
        | (rating > largest)
    )
    if bad.height:
        row = bad.row(0, named=True)["row"]
        given = raw[columns.rating][row - 2]
        raise ValueError(f"ratings, line {row}: {given!r} is not a whole number 0 to {largest}")
    return table.drop("row").with_columns(pl.col("rating").cast(pl.Int64))


def deal_folds(queries: list[str], folds: int, seed: int) -> dict[str, int]:
    """Deals queries to folds, shuffled by the seed; fewer queries than folds raise."""
    if len(queries) < folds:
        raise ValueError(f"{len(queries)} queries are too few for {folds} folds")
    order = np.random.default_rng(seed).permutation(len(queries))
    return {queries[place]: turn % folds for turn, place in enumerate(order)}


def clean_judgements(ratings: pl.DataFrame, items: pl.Series, folds: int, seed: int) -> Judgements:
    """Drops blank queries, unknown items and repeats; queries of one label stay, and are counted.

    Of a pair that was rated twice the higher rating stays where both agree or not; disagreements
    are counted. Queries with one label cannot be measured by NDCG: they train only.
    """
    asked = ratings.filter(pl.col("query") != "")
    known = asked.filter(pl.col("item").is_in(items.to_list()))
    pairs = known.group_by("query", "item", maintain_order=True).agg(
        pl.col("rating").max(), labels=pl.col("rating").n_unique()
    )
    if pairs.height == 0:
        raise ValueError("no rating names a query and a product that is there")
    kinds = pairs.group_by("query", maintain_order=True).agg(pl.col("rating").n_unique())
    fold = deal_folds(sorted(kinds["query"].to_list()), folds, seed)
    counts = {
        "rating_rows": ratings.height,
        "ratings_without_query": ratings.height - asked.height,
        "ratings_of_unknown_products": asked.height - known.height,
        "ratings_repeated": known.height - pairs.height,
        "ratings_that_disagree": int((pairs["labels"] > 1).sum()),
        "ratings": pairs.height,
        "queries": kinds.height,
        "queries_with_one_label": int((kinds["rating"] == 1).sum()),
    }
    number = pl.col("query").replace_strict(fold, return_dtype=pl.Int64)
    return Judgements(pairs.drop("labels").with_columns(fold=number), counts)
