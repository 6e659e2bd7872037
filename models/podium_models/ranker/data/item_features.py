"""Computes what is known of each item at the end of each week, and the promotions of each week."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

Floats = npt.NDArray[np.float32]
Grid = npt.NDArray[np.float64]

DECIMALS = 4


@dataclass(frozen=True)
class ItemFeatures:
    """Item features by week; every array is [weeks + 1, items] float32, row 0 unused.

    ``price``, ``discount`` and ``popularity`` in row ``c`` use purchases of weeks 1 to ``c`` only.
    ``display`` and ``mailer`` in row ``w`` are the plan of week ``w`` itself, known ahead.

    ``price``: money a unit before discounts, in the last week it was sold at one; 0 before that.
    ``discount``: share of the shelf price given off over all weeks so far, in [0, 1].
    ``popularity``: buying households a week, mean of the latest ``popularity_weeks`` weeks.
    ``display``, ``mailer``: share of the reporting stores, in [0, 1].
    """

    price: Floats
    discount: Floats
    popularity: Floats
    display: Floats
    mailer: Floats


def weekly_grid(frame: pl.DataFrame, value: str, weeks: int, items: int) -> Grid:
    """Lays ``value`` out by week and item: [weeks + 1, items] float64, 0 where there is no row."""
    grid = np.zeros((weeks + 1, items), dtype=np.float64)
    grid[frame["week"].to_numpy(), frame["item"].to_numpy()] = frame[value].to_numpy()
    return grid


def last_price(shelf: Grid, quantity: Grid) -> Grid:
    """Carries each item's latest weekly mean price forward: [weeks + 1, items] float64."""
    price = np.zeros_like(shelf)
    for week in range(1, len(shelf)):
        sold = (quantity[week] > 0) & (shelf[week] > 0)
        fresh = np.divide(shelf[week], quantity[week], out=np.zeros_like(shelf[week]), where=sold)
        price[week] = np.where(sold, fresh, price[week - 1])
    return price


def trailing_mean(counts: Grid, span: int) -> Grid:
    """Averages the latest ``span`` weeks, or as many as there are: [weeks + 1, items] float64."""
    total = np.cumsum(counts, axis=0)
    mean = np.zeros_like(counts)
    for week in range(1, len(counts)):
        first = max(0, week - span)
        mean[week] = (total[week] - total[first]) / (week - first)
    return mean


def rounded(grid: Grid) -> Floats:
    """Keeps four decimals, so that text files of the values are short and exact."""
    return np.round(grid, DECIMALS).astype(np.float32)


def build_item_features(
    purchases: pl.DataFrame, promotions: pl.DataFrame, weeks: int, items: int, span: int
) -> ItemFeatures:
    """Computes all item features.

    ``purchases`` has household, item, week, quantity, paid, shelf; ``promotions`` has item, week,
    display, mailer.
    """
    weekly = (
        purchases.group_by("item", "week")
        .agg(
            pl.col("shelf").sum(),
            pl.col("paid").sum(),
            pl.col("quantity").filter(pl.col("shelf") > 0).sum(),
            pl.col("household").n_unique().cast(pl.Float64).alias("buyers"),
        )
        .sort("item", "week")
    )
    shelf, paid, quantity, buyers = (
        weekly_grid(weekly, name, weeks, items) for name in ("shelf", "paid", "quantity", "buyers")
    )
    shelf_so_far, paid_so_far = np.cumsum(shelf, axis=0), np.cumsum(paid, axis=0)
    given = np.clip(shelf_so_far - paid_so_far, 0.0, None)
    discount = np.divide(given, shelf_so_far, out=np.zeros_like(given), where=shelf_so_far > 0)
    return ItemFeatures(
        price=rounded(last_price(shelf, quantity)),
        discount=rounded(np.clip(discount, 0.0, 1.0)),
        popularity=rounded(trailing_mean(buyers, span)),
        display=rounded(weekly_grid(promotions, "display", weeks, items)),
        mailer=rounded(weekly_grid(promotions, "mailer", weeks, items)),
    )
