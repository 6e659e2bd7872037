"""Reads a made-up shop's own tables, clean ones and hostile ones."""

from __future__ import annotations

import datetime

import numpy as np
import polars as pl
import pytest
from made_up import SMALL

from podium_models.cli import main
from podium_models.ranker.config import Config
from podium_models.ranker.data.shop import read_shop
from podium_models.ranker.data.shop_files import ShopFiles, parse_columns
from podium_models.ranker.data.shop_weeks import calendar, check_split, derive_split
from podium_models.ranker.prepare import build_prepared
from podium_models.settings import override

START = datetime.date(2023, 6, 1)


def purchases(weeks=30, seed=0):
    """Draws purchases of ten shoppers over many weeks, last day included."""
    random = np.random.default_rng(seed)
    rows = []
    for user in range(10):
        liked = random.choice(20, 5, replace=False)
        for week in range(weeks):
            for item in random.choice(liked, 3, replace=False):
                day = 7 * week + 6 if week == weeks - 1 else 7 * week + int(random.integers(0, 7))
                moment = START + datetime.timedelta(days=day)
                rows.append((f"user {user}", f"sku-{item}", f"{moment}T10:00:00", 2.0, 3.0, 4.0))
    columns = ["user", "item", "time", "quantity", "paid", "shelf"]
    return pl.DataFrame(rows, schema=columns, orient="row")


def products():
    """Makes a product for each item."""
    return pl.DataFrame(
        {
            "item": [f"sku-{item}" for item in range(20)],
            "name": [f"Thing\n{item}" for item in range(20)],
            "department": [f"D{item % 3}" for item in range(20)],
            "category": [None if item == 7 else f"C{item % 6}" for item in range(20)],
        }
    )


def shop(where, bought=None, sold=None, **more):
    """Writes the tables and names the files."""
    (purchases() if bought is None else bought).write_csv(where / "purchases.csv")
    (products() if sold is None else sold).write_csv(where / "products.csv")
    return ShopFiles((where / "purchases.csv",), where / "products.csv", **more)


def test_a_clean_shop_keeps_everything(tmp_path):
    journey = read_shop(shop(tmp_path))
    bought = purchases()
    lines = bought.unique().height
    assert journey.counts["kept_lines"] == lines
    assert journey.counts["weeks"] == 30
    assert journey.counts["users"] == 10
    assert journey.purchases["week"].max() == 30
    assert journey.purchases["week"].min() == 1
    assert journey.products.filter(pl.col("product") == "sku-7")["category"].item() == "D1"
    assert journey.products["name"][0] == "Thing 0"
    split = derive_split(30, Config()).split
    assert (split.last_train_week, split.last_validation_week, split.last_week) == (17, 20, 30)


def test_parquet_and_other_names_read_the_same(tmp_path):
    wanted = read_shop(shop(tmp_path))
    moments = pl.col("time").str.to_datetime("%Y-%m-%dT%H:%M:%S")
    renamed = purchases().with_columns(moments).rename({"user": "customer", "time": "when"})
    renamed.write_parquet(tmp_path / "p.parquet")
    columns = parse_columns(["purchases.user=customer", "purchases.time=when"])
    files = ShopFiles((tmp_path / "p.parquet",), tmp_path / "products.csv", columns=columns)
    assert read_shop(files).purchases.equals(wanted.purchases)


def test_what_cannot_be_a_purchase_is_dropped_and_counted(tmp_path):
    text = purchases().cast(pl.String)
    bad = pl.DataFrame(
        [
            ("", "sku-1", "2023-07-01", "1", "1", "1"),
            ("u\u2028x", "sku-1", "2023-07-01", "1", "1", "1"),
            ("u", None, "2023-07-01", "1", "1", "1"),
            ("u", "sku-1", "yesterday", "1", "1", "1"),
            ("u", "sku-1", "2023-07-01", "-1", "1", "1"),
            ("u", "sku-1", "2023-07-01", "nan", "1", "1"),
            ("u", "no such item", "2023-07-01", "1", "1", "1"),
            ("u", "sku-1", "2023-07-02", "1", "NaN", "1"),
            ("u", "sku-1", "2023-07-03", "1", "-3", "1"),
            ("u", "sku-1", "2023-07-03", "1", "-3", "1"),
        ],
        schema=text.schema,
        orient="row",
    )
    journey = read_shop(shop(tmp_path, pl.concat([text, bad])))
    counts = journey.counts
    assert counts["dropped_no_user"] == 2
    assert counts["dropped_no_item"] == 1
    assert counts["dropped_no_time"] == 1
    assert counts["dropped_quantity_not_positive"] == 2
    assert counts["dropped_unknown_item"] == 1
    assert counts["lines_without_price"] == 2
    dropped = sum(count for name, count in counts.items() if name.startswith("dropped_"))
    assert counts["purchase_lines"] == counts["kept_lines"] + dropped
    unpriced = journey.purchases.filter(pl.col("household") == "u")
    assert unpriced.select("paid", "shelf").sum().row(0) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("bought", "sold", "wrong"),
    [
        (purchases().drop("user"), None, "'user' is missing"),
        (purchases().head(0), None, "holds no row"),
        (purchases().with_columns(item=pl.lit("x")), None, "no usable purchase"),
        (None, products().drop("category"), "'category' is missing"),
        (None, pl.concat([products(), products().head(1).with_columns(name=pl.lit("?"))]), "twice"),
        (
            purchases().with_columns(
                time=pl.when(pl.int_range(pl.len()) == 0)
                .then(pl.lit("1971-01-01"))
                .otherwise("time")
            ),
            None,
            "is a time wrong",
        ),
    ],
)
def test_tables_that_cannot_be_used_are_refused(tmp_path, bought, sold, wrong):
    with pytest.raises(ValueError, match=wrong):
        read_shop(shop(tmp_path, bought, sold))


def test_files_that_are_no_tables_are_refused(tmp_path):
    files = shop(tmp_path)
    (tmp_path / "products.csv").write_text("item,department,category\na,b,c,d\n")
    with pytest.raises(ValueError, match=r"products.csv:2: 4 fields"):
        read_shop(files)
    with pytest.raises(ValueError, match="time zone"):
        read_shop(shop(tmp_path, timezone="Mars/Olympus"))
    with pytest.raises(ValueError, match="unknown column"):
        parse_columns(["purchases.colour=x"])
    with pytest.raises(ValueError, match="'customer' is missing"):
        read_shop(shop(tmp_path, columns={"purchases.user": "customer"}))


def test_prices_and_promotions_may_be_left_out(tmp_path):
    journey = read_shop(shop(tmp_path, purchases().drop("paid", "shelf", "quantity")))
    assert journey.purchases["quantity"].unique().to_list() == [1.0]
    assert journey.purchases["shelf"].sum() == 0.0
    assert journey.promotions.height == 0


def test_promotions_fall_into_weeks_and_are_bounded(tmp_path):
    table = pl.DataFrame(
        {
            "item": ["sku-1", "sku-1", "sku-2", "sku-3", None],
            "week": ["2023-06-01", "2023-06-07", "2023-06-08", "2020-01-01", "2023-06-01"],
            "display": [0.5, 0.25, 7.0, 1.0, 1.0],
        }
    )
    table.write_csv(tmp_path / "promotions.csv")
    journey = read_shop(shop(tmp_path, promotions=tmp_path / "promotions.csv"))
    rows = journey.promotions.rows()
    assert rows == [("sku-1", 1, 0.5, 0.0), ("sku-2", 2, 1.0, 0.0)]
    assert journey.counts["dropped_promotion_outside_the_weeks"] == 1
    assert journey.counts["dropped_promotion_without_item"] == 1


def test_weeks_know_their_place_in_the_year():
    last = (datetime.date(2024, 1, 7) - datetime.date(1970, 1, 1)).days
    assert calendar(3, last).tolist() == [0, 51, 52, 1]


@pytest.mark.parametrize("settings", [[], ["split.last_train_week=4"], ["split.last_week=31"]])
def test_a_split_that_does_not_fit_is_refused(settings):
    weeks = 12 if not settings else 30
    with pytest.raises(ValueError, match="does not fit"):
        check_split(override(derive_split(weeks, Config()), settings).split, weeks)


def test_vectors_are_laid_out_by_item(tmp_path):
    names = np.array(["sku-1", "sku-2", "elsewhere", "sku-3"])
    vectors = np.array([[1, 2], [3, 4], [5, 6], [np.nan, 0]], dtype=np.float32)
    np.savez(tmp_path / "v.npz", items=names, vectors=vectors)
    journey = read_shop(shop(tmp_path, embeddings=tmp_path / "v.npz"))
    config = override(derive_split(30, Config()), SMALL)
    prepared = build_prepared(journey, config)
    assert prepared.report["items_with_vectors"] == 2
    assert prepared.report["vectors_not_finite"] == 1
    rows = [prepared.vectors[prepared.items.index(name)].tolist() for name in ("sku-1", "sku-2")]
    assert rows == [[-1, -1], [1, 1]]  # each column standardised over the items that have one
    assert np.count_nonzero(prepared.vectors) == 4


@pytest.mark.parametrize("name", ["user", "quantity", "time"])
def test_columns_of_lists_are_refused(tmp_path, name):
    files = shop(tmp_path)
    purchases().with_columns(pl.concat_list(name)).write_parquet(tmp_path / "purchases.csv")
    with pytest.raises(ValueError, match=rf"purchases.csv: the column '{name}' holds List"):
        read_shop(files)


@pytest.mark.parametrize(("flag", "word"), [("--things", "a\nb"), ("--shopper", " ")])
def test_words_of_descriptions_are_checked(tmp_path, flag, word, capsys):
    files = shop(tmp_path)
    arguments = ["--purchases", str(files.purchases[0]), "--products", str(files.products)]
    assert main(["prepare", "purchases", *arguments, "--run", str(tmp_path), flag, word]) == 1
    assert flag in capsys.readouterr().err


@pytest.mark.parametrize("name", ["grocery", "Shop", "a b", ""])
def test_names_of_bundles_are_checked(tmp_path, name, capsys):
    files = shop(tmp_path)
    arguments = ["--purchases", str(files.purchases[0]), "--products", str(files.products)]
    run = ["--run", str(tmp_path / "run"), "--name", name]
    assert main(["prepare", "purchases", *arguments, *run]) == 1
    assert "--name" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_too_few_items_for_the_candidates_say_so(tmp_path, capsys):
    files = shop(tmp_path)
    arguments = ["--purchases", str(files.purchases[0]), "--products", str(files.products)]
    assert main(["prepare", "purchases", *arguments, "--run", str(tmp_path / "run")]) == 1
    assert "lower" in capsys.readouterr().err
