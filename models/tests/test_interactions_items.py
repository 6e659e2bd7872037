"""Holds item features against catalogues, attribute files and vectors with every usual flaw."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

from podium_models.bundle.vocabulary import Vocabulary
from podium_models.sequence.data.item_features import build_item_features
from podium_models.sequence.data.options import ItemOptions

ITEMS = Vocabulary(("a", "b", "c", "d"))

CATALOGUE = (
    "item,title,brand,category,price\n"
    "b,Blue thing,Acme,toys|games,3\n"
    "b,Second row,Other,toys,5\n"
    ",Nameless,Acme,toys,5\n"
    "a, ,Acme,toys| toys |,NaN\n"
    "c,Crate,,,-1\n"
    "z,Not in the log,Zed,zoo,9\n"
)


@pytest.fixture
def catalogue(tmp_path):
    path = tmp_path / "items.csv"
    path.write_text(CATALOGUE, encoding="utf-8")
    return path


def attributes_of(features, item):
    start, end = features.attributes.offsets[ITEMS.index(item) :][:2]
    names = features.attributes.vocabulary.names
    return {names[value - 2] for value in features.attributes.values[start:end]}


def test_a_catalogue_gives_texts_attributes_and_prices(catalogue):
    options = ItemOptions(
        catalogue=catalogue, text=("title",), attributes=("brand", "category"), price="price"
    )
    features = build_item_features(ITEMS, options)
    assert features.table["item"].to_list() == ["a", "b", "c", "d"]
    assert features.table["title"].to_list() == ["", "Blue thing", "Crate", ""]
    assert features.table["price"].to_list() == [None, 3.0, None, None]
    assert attributes_of(features, "a") == {"brand=Acme", "category=toys"}
    assert attributes_of(features, "b") == {"brand=Acme", "category=toys", "category=games"}
    assert attributes_of(features, "c") == attributes_of(features, "d") == set()
    assert "brand=Zed" not in features.attributes.vocabulary.names
    assert features.report["catalogue"] == {
        "rows": 6,
        "rows_without_id": 1,
        "rows_of_an_id_already_seen": 1,
        "rows_kept": 4,
        "rows_of_items_not_in_the_log": 1,
        "items_without_a_row": 1,
        "items_without_title": 2,
        "items_without_a_usable_price": 3,
    }
    assert features.report["attributes"]["items_without_attributes"] == 2
    assert features.report["attributes"]["pairs_twice"] == 1


def test_prices_are_standardised_logs_with_a_flag(tmp_path):
    path = tmp_path / "items.parquet"
    pl.DataFrame({"item": ["a", "b", "c"], "price": [0.0, 9.0, None]}).write_parquet(path)
    dense = build_item_features(ITEMS, ItemOptions(catalogue=path, price="price")).dense
    assert dense.dtype == np.float32
    assert dense[:2].tolist() == [[0, 0], [0, 0]]
    np.testing.assert_allclose(dense[2:, 0], [-1, 1, 0, 0], atol=1e-6)
    assert dense[2:, 1].tolist() == [0, 0, 1, 1]


def test_a_catalogue_may_hold_lists_and_numbers_as_ids(tmp_path):
    path = tmp_path / "items.parquet"
    pl.DataFrame({"sku": [1, 2], "tags": [["x", "y"], None]}).write_parquet(path)
    options = ItemOptions(catalogue=path, item="sku", attributes=("tags",))
    features = build_item_features(Vocabulary(("1", "2")), options)
    assert features.attributes.vocabulary.names == ("tags=x", "tags=y")
    assert features.attributes.offsets.tolist() == [0, 0, 0, 2, 2]


def test_an_attribute_file_is_read_by_item(tmp_path):
    path = tmp_path / "attributes.json"
    path.write_text('{"b": [10, 2, 2], "z": [3], "a": ["2"], "b": [7]}')
    features = build_item_features(ITEMS, ItemOptions(attribute_file=path))
    assert features.attributes.vocabulary.names == ("2", "10")
    assert attributes_of(features, "b") == {"2", "10"}
    assert attributes_of(features, "a") == {"2"}
    counts = features.report["attributes"]
    assert counts["file_items_twice"] == 1
    assert counts["pairs_of_unknown_items"] == 1
    assert counts["pairs_twice"] == 1


def test_catalogue_and_file_attributes_join(catalogue, tmp_path):
    path = tmp_path / "attributes.json"
    path.write_text(json.dumps({"a": [1]}))
    options = ItemOptions(catalogue=catalogue, attributes=("brand",), attribute_file=path)
    features = build_item_features(ITEMS, options)
    assert attributes_of(features, "a") == {"brand=Acme", "1"}


def test_vectors_are_standardised_and_joined(tmp_path):
    image, text = tmp_path / "image.npz", tmp_path / "text.parquet"
    vectors = np.array([[1, 10], [3, 10], [np.nan, 0], [9, 9], [0, 0]], dtype=np.float32)
    np.savez(image, items=np.array(["a", "b", "c", "z", "a"]), vectors=vectors)
    pl.DataFrame({"item": ["d", "c"], "vector": [[2.0], None]}).write_parquet(text)
    features = build_item_features(ITEMS, ItemOptions(embeddings=(image, text)))
    assert features.dense.shape == (6, 3)
    np.testing.assert_allclose(features.dense[2:, 0], [-1, 1, 0, 0])
    assert (features.dense[:, 1:] == 0).all()
    first, second = features.report["dense"]
    assert first["vectors_not_finite"] == 1
    assert first["vectors_of_an_id_already_seen"] == 1
    assert first["vectors_of_unknown_items"] == 1
    assert first["missing"] == 2
    assert second["vectors_not_finite"] == 1
    assert second["missing"] == 3


def test_nothing_known_of_items_is_nothing():
    features = build_item_features(ITEMS, ItemOptions())
    assert features.dense.shape == (6, 0)
    assert features.attributes.offsets.tolist() == [0] * 7
    assert features.report == {}
