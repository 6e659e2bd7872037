"""Makes up purchases and settings small enough for tests."""

from __future__ import annotations

import numpy as np
import polars as pl

from podium_models.ranker.data.journey import Journey

HOUSEHOLDS, PRODUCTS, WEEKS, FIRST_DAY = 12, 40, 53, 17_167

SMALL = [
    "data.min_purchases=2",
    "data.history_events=16",
    "data.own_candidates=5",
    "data.candidates=12",
    "model.width=8",
    "model.heads=2",
    "model.max_length=10",
    "train.epochs=1",
    "train.examples_per_epoch=64",
    "train.batch_size=16",
    "train.rows_per_example=6",
    "train.next_item_negatives=8",
    "train.threads=1",
    "train.stranger_steps=3",
]


def made_up_journey(seed: int = 0) -> Journey:
    """Draws purchases in which every household has favourites; the last one starts in week 50."""
    random = np.random.default_rng(seed)
    rows = []
    for household in range(1, HOUSEHOLDS + 1):
        favourites = random.choice(PRODUCTS, 6, replace=False)
        for week in range(50 if household == HOUSEHOLDS else 1, WEEKS + 1):
            if random.random() < 0.2:
                continue
            for product in np.unique(random.choice(favourites, 4)):
                day = FIRST_DAY + week * 7 + int(random.integers(0, 7))
                shelf = float(product + 1)
                rows.append((household, 1000 + int(product), week, day * 86_400, day, shelf))
    columns = ["household", "product", "week", "time", "day", "shelf"]
    purchases = pl.DataFrame(rows, schema=columns, orient="row").with_columns(
        pl.col("week").cast(pl.Int32), quantity=pl.lit(1.0), paid=pl.col("shelf") * 0.9
    )
    products = pl.DataFrame(
        {
            "product": [1000 + product for product in range(PRODUCTS)],
            "name": [f"PRODUCT {product}" for product in range(PRODUCTS)],
            "department": [f"DEPARTMENT {product % 3}" for product in range(PRODUCTS)],
            "brand": ["National"] * PRODUCTS,
            "category": [f"CATEGORY {product % 7}" for product in range(PRODUCTS)],
        }
    )
    promotions = pl.DataFrame(
        {
            "product": [1001, 1002],
            "week": pl.Series([44, 45], dtype=pl.Int32),
            "display": pl.Series([0.5, 0.25], dtype=pl.Float32),
            "mailer": pl.Series([0.0, 1.0], dtype=pl.Float32),
        }
    )
    ordered = purchases.sort("household", "time", "product")
    return Journey(ordered, products, promotions, {}, np.arange(WEEKS + 1))
