"""Turns a shop's own purchases, products and promotions into the tables of a ``Journey``."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from podium_models.ranker.data.journey import Journey
from podium_models.ranker.data.shop_files import ShopFiles, read_table
from podium_models.ranker.data.shop_weeks import calendar, week_span
from podium_models.sequence.data.embeddings import read_vectors
from podium_models.sequence.data.rows import LAST_SECOND, OUTSIDE, clean_id, empty, unfit
from podium_models.sequence.data.times import to_seconds

Counts = dict[str, int]
Vectors = tuple[list[str], npt.NDArray[np.float32]]

MAX_QUANTITY = 1e6


def number(name: str, frame: pl.DataFrame, missing: float) -> pl.Expr:
    """Reads an optional column as float64; what is no finite number becomes null."""
    if name not in frame.columns:
        return pl.lit(missing, pl.Float64)
    value = pl.col(name).cast(pl.Float64, strict=False)
    return pl.when(value.is_finite()).then(value)


def money(frame: pl.DataFrame) -> dict[str, pl.Expr]:
    """Reads what a line cost, before (``shelf``) and after (``paid``) discounts.

    One that is missing equals the other. A negative or unreadable one leaves the line without a
    price: both are 0, and the item's price comes from its other lines.
    """
    have = [name for name in ("shelf", "paid") if name in frame.columns]
    if not have:
        return {name: pl.lit(0.0) for name in ("shelf", "paid")}
    good = pl.all_horizontal(number(name, frame, 0.0).fill_null(-1.0) >= 0.0 for name in have)
    return {
        name: pl.when(good)
        .then(number(name if name in have else have[0], frame, 0.0))
        .otherwise(0.0)
        for name in ("shelf", "paid")
    }


def drop(frame: pl.DataFrame, counts: Counts, reasons: dict[str, pl.Expr]) -> pl.DataFrame:
    """Drops rows reason by reason and counts each."""
    for reason, wrong in reasons.items():
        kept = frame.filter(~wrong.fill_null(value=True))
        counts[f"dropped_{reason}"] = frame.height - kept.height
        frame = kept
    return frame


def clean_purchases(raw: pl.DataFrame, counts: Counts) -> pl.DataFrame:
    """Types the columns and drops, counted, what cannot be a purchase."""
    counts["purchase_lines"] = raw.height
    distinct = raw.unique(maintain_order=True)
    counts["dropped_duplicate_line"] = raw.height - distinct.height
    typed = distinct.select(
        household=clean_id("user"),
        product=clean_id("item"),
        time=to_seconds("time", raw.schema["time"], numeric=False),
        quantity=number("quantity", raw, 1.0),
        **money(raw),
    )
    kept = drop(
        typed,
        counts,
        {
            "no_user": empty("household") | unfit("household"),
            "no_item": empty("product") | unfit("product"),
            "no_time": ~pl.col("time").is_between(0, LAST_SECOND),
            "quantity_not_positive": ~pl.col("quantity").is_between(0.0, MAX_QUANTITY, "right"),
        },
    )
    counts["lines_without_price"] = kept.filter(pl.col("shelf") <= 0.0).height
    return kept


def text(name: str, frame: pl.DataFrame) -> pl.Expr:
    """Reads an optional column as one line of text, null where it is empty."""
    if name not in frame.columns:
        return pl.lit(None, pl.String)
    clean = pl.col(name).cast(pl.String).str.replace_all(OUTSIDE, " ").str.replace_all(r"\s+", " ")
    stripped = clean.str.strip_chars()
    return pl.when(stripped != "").then(stripped)


def read_products(files: ShopFiles, counts: Counts) -> pl.DataFrame:
    """Reads the products; an item that stands twice with different values is an error."""
    raw = read_table(files.products, "products", files.columns)
    table = raw.select(
        product=clean_id("item"),
        name=text("name", raw),
        department=text("department", raw),
        brand=text("brand", raw),
        category=text("category", raw),
    )
    counts["product_rows"] = table.height
    table = drop(table, counts, {"product_without_id": empty("product") | unfit("product")})
    table = table.unique(maintain_order=True)
    twice = table.filter(pl.col("product").is_duplicated())
    if twice.height:
        name = twice["product"][0]
        raise ValueError(f"{files.products}: the item {name!r} stands twice, differently")
    counts["products_without_department"] = table["department"].null_count()
    counts["products_without_category"] = table["category"].null_count()
    return table.with_columns(
        pl.coalesce("name", "product").alias("name"),
        pl.coalesce("category", "department", pl.lit("UNKNOWN")).alias("category"),
        pl.coalesce("department", pl.lit("UNKNOWN")).alias("department"),
        pl.col("brand").fill_null("UNKNOWN"),
    ).sort("product")


def read_promotions(files: ShopFiles, counts: Counts, first: int, weeks: int) -> pl.DataFrame:
    """Reads the share of stores with a display or mailer by item and week.

    ``week`` is a time within the week. ``first`` is the day on which week 1 begins. Shares are
    bounded to [0, 1]; of several rows for an item and a week the largest counts.
    """
    schema = {"product": pl.String, "week": pl.Int32, "display": pl.Float32, "mailer": pl.Float32}
    if files.promotions is None:
        return pl.DataFrame(schema=schema)
    raw = read_table(files.promotions, "promotions", files.columns)
    counts["promotion_rows"] = raw.height
    moment = to_seconds("week", raw.schema["week"], numeric=False)
    typed = raw.select(
        product=clean_id("item"),
        week=(local_day(moment, files.timezone) - first).floordiv(7) + 1,
        display=number("display", raw, 0.0).fill_null(0.0).clip(0.0, 1.0),
        mailer=number("mailer", raw, 0.0).fill_null(0.0).clip(0.0, 1.0),
    )
    outside = {"promotion_outside_the_weeks": ~pl.col("week").is_between(1, weeks)}
    kept = drop(typed, counts, {"promotion_without_item": empty("product"), **outside})
    largest = kept.group_by("product", "week").agg(pl.col("display", "mailer").max())
    return largest.select(pl.col(name).cast(kind) for name, kind in schema.items()).sort(
        "product", "week"
    )


def local_day(time: pl.Expr, timezone: str) -> pl.Expr:
    """Returns days since 1970 in a zone, of unix seconds."""
    moment = pl.from_epoch(time, time_unit="s").dt.replace_time_zone("UTC")
    return moment.dt.convert_time_zone(timezone).dt.date().cast(pl.Int32).cast(pl.Int64)


def read_item_vectors(files: ShopFiles, counts: Counts) -> Vectors | None:
    """Reads precomputed vectors of items, where there are any."""
    if files.embeddings is None:
        return None
    names, vectors, found = read_vectors(files.embeddings)
    counts.update(found)
    if not len(names):
        raise ValueError(f"{files.embeddings}: no usable vector")
    return names.to_list(), vectors


def read_purchases(files: ShopFiles, products: pl.DataFrame, counts: Counts) -> pl.DataFrame:
    """Reads and cleans the purchases of known products, with their local day."""
    parts = [read_table(path, "purchases", files.columns) for path in files.purchases]
    if len({tuple(part.columns) for part in parts}) > 1:
        raise ValueError("the purchase files do not have the same columns")
    cleaned = clean_purchases(pl.concat(parts, how="vertical_relaxed"), counts)
    known = cleaned.join(products.select("product"), on="product", how="semi")
    counts["dropped_unknown_item"] = cleaned.height - known.height
    if known.height == 0:
        raise ValueError(
            "no usable purchase: " + ", ".join(f"{count} {name}" for name, count in counts.items())
        )
    try:
        return known.with_columns(day=local_day(pl.col("time"), files.timezone))
    except pl.exceptions.PolarsError:
        raise ValueError(f"there is no time zone {files.timezone!r}") from None


def read_shop(files: ShopFiles) -> Journey:
    """Reads and cleans a shop's tables, counting what is left out and why.

    Weeks end with the last day of the data, so that the last one is full.
    """
    counts: Counts = {}
    products = read_products(files, counts)
    purchases = read_purchases(files, products, counts)
    days = purchases["day"].to_numpy()
    last = int(days.max())
    weeks = week_span(int(days.min()), last)
    week = (weeks - (last - pl.col("day")).floordiv(7)).cast(pl.Int32)
    purchases = purchases.with_columns(week=week).sort("household", "time", "product")
    events = purchases.group_by("household").len()
    counts["kept_lines"] = purchases.height
    counts["users"] = events.height
    counts["users_with_one_line"] = events.filter(pl.col("len") == 1).height
    counts["products"] = products.height
    counts["weeks"] = weeks
    promotions = read_promotions(files, counts, last - 7 * weeks + 1, weeks)
    vectors = read_item_vectors(files, counts)
    return Journey(purchases, products, promotions, counts, calendar(weeks, last), vectors)
