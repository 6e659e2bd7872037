"""Cleans products and ratings: nothing is lost without a count, and bad input is named."""

from __future__ import annotations

import gzip
import json
import zipfile

import polars as pl
import pytest

from podium_models.text.config import Config
from podium_models.text.data.catalogue import write_catalogue
from podium_models.text.data.judgements import (
    RatingColumns,
    clean_judgements,
    deal_folds,
    read_ratings,
)
from podium_models.text.data.prepared import as_lists, digest, load_prepared
from podium_models.text.data.products import (
    Columns,
    clean_products,
    read_all,
    read_table,
)
from podium_models.text.prepare import prepare_judgements
from podium_models.text.texts import FULL, SHORT, product_texts

COLUMNS = Columns("id", "title", "supplier", "short_description")
PRODUCTS = [
    ("b", " Blue\n speaker ", "Wavora", "Loud."),
    ("a", "Mouse", None, None),
    ("b", "Another title", "X", "Y"),
    (None, "No id", "X", "Y"),
    ("c", "  ", "X", "no title"),
    ("d", "Cable" * 10, "X", "long"),
]
RATINGS = [
    ("speaker", "b", "3"),
    ("speaker", "a", "0"),
    ("speaker", "b", "2"),
    ("mouse", "a", "3"),
    ("mouse", "gone", "1"),
    (" ", "a", "1"),
    (None, "b", "2"),
]


def products(rows=PRODUCTS):
    """Returns raw products."""
    return pl.DataFrame(rows, schema=list(COLUMNS), orient="row")


def ratings(rows=RATINGS):
    """Returns raw ratings."""
    return pl.DataFrame(rows, schema=["query", "docid", "rating"], orient="row")


def test_every_dropped_product_is_counted():
    table, counts = clean_products(products(), COLUMNS, 20)
    assert table.rows() == [
        ("a", "Mouse", "", ""),
        ("b", "Blue speaker", "Wavora", "Loud."),
        ("d", "Cable" * 4, "X", "long"),
    ]
    assert counts == {
        "product_rows": 6,
        "texts_cut": 1,
        "products_without_id": 1,
        "products_without_title": 1,
        "products_repeated": 1,
        "products_without_brand": 1,
        "products_without_description": 1,
        "products": 3,
    }
    left_out = sum(counts[f"products_{one}"] for one in ("without_id", "without_title", "repeated"))
    assert counts["product_rows"] == counts["products"] + left_out


def test_brand_and_description_may_be_absent():
    table, counts = clean_products(products().select("id", "title"), COLUMNS, 100)
    assert set(table["brand"]) == set(table["description"]) == {""}
    assert counts["products_without_brand"] == counts["products"]


@pytest.mark.parametrize("name", ["id", "title"])
def test_a_missing_product_column_is_named(name):
    with pytest.raises(ValueError, match=f"products have no column '{name}'"):
        clean_products(products().drop(name), COLUMNS, 100)


def test_products_without_any_title_are_refused():
    with pytest.raises(ValueError, match="no product has an id and a title"):
        clean_products(products([("a", " ", "X", "Y")]), COLUMNS, 100)


def test_every_dropped_rating_is_counted():
    read = read_ratings(ratings(), RatingColumns(), 3)
    judged = clean_judgements(read, pl.Series(["a", "b"]), 2, 1)
    pairs = {(query, item): rating for query, item, rating, _ in judged.table.rows()}
    assert pairs == {("speaker", "b"): 3, ("speaker", "a"): 0, ("mouse", "a"): 3}
    assert judged.counts == {
        "rating_rows": 7,
        "ratings_without_query": 2,
        "ratings_of_unknown_products": 1,
        "ratings_repeated": 1,
        "ratings_that_disagree": 1,
        "ratings": 3,
        "queries": 2,
        "queries_with_one_label": 1,
    }


@pytest.mark.parametrize("rating", ["4", "-1", "1.5", "NaN", "good", None])
def test_a_bad_rating_is_named_with_its_line(rating):
    rows = [("a", "b", "3"), ("a", "c", rating)]
    with pytest.raises(ValueError, match=r"ratings, line 3: .* is not a whole number 0 to 3"):
        read_ratings(ratings(rows), RatingColumns(), 3)


@pytest.mark.parametrize("name", ["query", "docid", "rating"])
def test_a_missing_rating_column_is_named(name):
    with pytest.raises(ValueError, match=f"ratings have no column '{name}'"):
        read_ratings(ratings().drop(name), RatingColumns(), 3)


def test_ratings_of_unknown_products_alone_are_refused():
    read = read_ratings(ratings(), RatingColumns(), 3)
    with pytest.raises(ValueError, match="no rating names a query and a product"):
        clean_judgements(read, pl.Series(["other"]), 2, 1)


def test_folds_are_even_and_of_the_seed():
    queries = [f"query {n}" for n in range(23)]
    folds = deal_folds(queries, 5, 3)
    sizes = [list(folds.values()).count(fold) for fold in range(5)]
    assert sorted(sizes) == [4, 4, 5, 5, 5]
    assert folds == deal_folds(queries, 5, 3)
    assert folds != deal_folds(queries, 5, 4)
    with pytest.raises(ValueError, match="2 queries are too few for 5 folds"):
        deal_folds(queries[:2], 5, 3)


def test_lists_hold_the_places_of_their_products():
    table, _ = clean_products(products(), COLUMNS, 100)
    read = read_ratings(ratings(), RatingColumns(), 3)
    speaker, mouse = as_lists(table, clean_judgements(read, table["item"], 2, 1).table)
    assert (speaker.query, speaker.ratings.tolist()) == ("speaker", [3, 0])
    assert table["item"].to_numpy()[speaker.places].tolist() == ["b", "a"]
    assert (speaker.mixed, mouse.mixed) == (True, False)
    assert {speaker.fold, mouse.fold} == {0, 1}


def test_texts_are_what_the_manifests_template_gives():
    table, _ = clean_products(products(), COLUMNS, 100)
    assert product_texts(table, SHORT)[:2] == ["Mouse", "Blue speaker Wavora"]
    assert product_texts(table, FULL)[:2] == ["Mouse", "Blue speaker Wavora Loud."]


@pytest.mark.parametrize("name", ["p.csv", "p.csv.gz", "p.json", "p.json.zip", "p.parquet"])
def test_each_format_reads_the_same(tmp_path, name):
    path, rows = tmp_path / name, [{"id": "a", "title": "Mouse"}, {"id": "b", "title": "Ünïcode"}]
    text = "id,title\na,Mouse\nb,Ünïcode\n"
    if name.endswith(".csv"):
        path.write_text(text, encoding="utf-8")
    elif name.endswith(".gz"):
        path.write_bytes(gzip.compress(text.encode()))
    elif name.endswith(".json"):
        path.write_text(json.dumps(rows), encoding="utf-8")
    elif name.endswith(".zip"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("p.json", json.dumps(rows))
    else:
        pl.DataFrame(rows).write_parquet(path)
    assert read_table(path).to_dicts() == rows


def test_files_with_other_columns_are_joined(tmp_path):
    (tmp_path / "1.csv").write_text("id,title\na,Mouse\n")
    (tmp_path / "2.csv").write_text("id,title,supplier\nb,Cable,X\n")
    found = read_all([tmp_path / "1.csv", tmp_path / "2.csv"])
    assert found.rows() == [("a", "Mouse", None), ("b", "Cable", "X")]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("p.txt", "id", "give .csv"),
        ("p.json.zip", "not a zip", "p.json.zip cannot be read"),
        ("p.json", '{"id":', "p.json cannot be read"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        read_table(tmp_path / name)
    with pytest.raises(FileNotFoundError, match="is missing"):
        read_table(tmp_path / "gone.csv")


@pytest.mark.parametrize("name", ["products.csv", "products.csv.gz"])
def test_a_catalogue_is_for_the_server_and_the_same_again(tmp_path, name):
    rows = [*PRODUCTS, ("x" * 129, "Id too long", "X", "Y"), ("e", 'Quoted "24, wide"', "X", "")]
    cleaned = clean_products(products(rows), COLUMNS, 200)
    counts = write_catalogue(cleaned, tmp_path / name)
    assert (counts["written"], counts["products_with_long_ids"]) == (4, 1)
    table = read_table(tmp_path / name)
    assert table.columns == ["item", "title", "brand"]
    assert table["item"].to_list() == ["a", "b", "d", "e"]
    assert table["title"].to_list()[3] == 'Quoted "24, wide"'
    write_catalogue(cleaned, tmp_path / "again" / name)
    assert (tmp_path / "again" / name).read_bytes() == (tmp_path / name).read_bytes()


def test_a_catalogues_title_may_hold_the_description(tmp_path):
    cleaned = clean_products(products(), COLUMNS, 100)
    write_catalogue(cleaned, tmp_path / "p.csv", append_description=True)
    assert read_table(tmp_path / "p.csv")["title"].to_list()[:2] == ["Mouse", "Blue speaker Loud."]


def test_prepare_writes_a_report_with_all_counts(tmp_path):
    pytest.importorskip("matplotlib")
    products().write_csv(tmp_path / "p.csv")
    ratings().write_csv(tmp_path / "r.csv")
    run, config = tmp_path / "run", Config()
    columns = (RatingColumns(), COLUMNS)
    small = type(config)(data=type(config.data)(folds=2))
    counts = prepare_judgements(run, tmp_path / "r.csv", [tmp_path / "p.csv"], columns, small)
    assert json.loads((run / "report.json").read_text()) == counts
    assert "| ratings of unknown products | 1 |" in (run / "report.md").read_text()
    assert (run / "report.png").stat().st_size > 1000
    assert [one.query for one in load_prepared(run).lists] == ["speaker", "mouse"]


def test_a_run_without_judgements_says_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match="run `prepare judgements` first"):
        load_prepared(tmp_path)


def test_other_data_have_another_sum():
    table, _ = clean_products(products(), COLUMNS, 100)
    read = read_ratings(ratings(), RatingColumns(), 3)
    lists = as_lists(table, clean_judgements(read, table["item"], 2, 1).table)
    from podium_models.text.data.prepared import Prepared

    same = digest(Prepared(table, lists))
    assert same == digest(Prepared(table.clone(), lists))
    assert same != digest(Prepared(table, lists[:1]))
    assert same != digest(Prepared(table, (lists[0]._replace(fold=7), lists[1])))
    assert same != digest(Prepared(table.with_columns(title=pl.lit("X")), lists))
