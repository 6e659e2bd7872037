"""Makes labels of attributes, and keeps near-equal titles in one split."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

from podium_models.settings import override
from podium_models.text.attributes.data import (
    choose_labels,
    deal_groups,
    load_labelled,
    long_labels,
    prepare,
)
from podium_models.text.config import Config
from podium_models.text.data.products import Columns

COLUMNS = Columns("id", "title", "supplier", "short_description")


def shop(count=60):
    """Returns products of three kinds, the colour in the title, a model number at its end."""
    kinds, colours = ("mouse", "cable", "speaker"), ("black", "white")
    rows = [
        (f"p{n}", f"{kinds[n % 3]} {colours[n % 2]} variant {chr(97 + n // 6)} X{n}", "Acme", None)
        for n in range(count)
    ]
    table = pl.DataFrame(rows, schema=list(COLUMNS), orient="row")
    return table.with_columns(
        attr_t_type=pl.Series([kinds[n % 3].upper() for n in range(count)]),
        attr_t_colour=pl.Series([f"{colours[n % 2]}, matt" for n in range(count)]),
        attr_t_note=pl.Series(["x" * 41 if n else None for n in range(count)]),
    )


def test_values_are_split_at_commas_in_lower_case():
    stated = long_labels(shop(2), "id", "attr_t_")
    found = set(stated.rows())
    assert ("p0", "type=mouse") in found
    assert {("p0", "colour=black"), ("p0", "colour=matt"), ("p1", "colour=white")} <= found
    assert not any(label.startswith("note=") for _, label in found)


def test_products_without_attribute_columns_are_refused():
    with pytest.raises(ValueError, match="no column of the products starts with 'colour'"):
        long_labels(shop(2), "id", "colour")


def test_labels_have_their_support():
    stated = long_labels(shop(), "id", "attr_t_")
    settings = ["attributes.support=25", "attributes.labels=10"]
    assert choose_labels(stated, override(Config(), settings).attributes) == [
        "colour=black",
        "colour=matt",
        "colour=white",
    ]
    assert choose_labels(stated, override(Config(), ["attributes.labels=1"]).attributes) == [
        "colour=matt"
    ]


def test_titles_that_differ_by_a_number_share_a_split():
    table = pl.DataFrame(
        {
            "title": [f"Mouse {kind} MX-{n}" for kind in "abcdefghij" for n in range(9)],
            "brand": ["Acme"] * 90,
        }
    )
    splits = np.array(deal_groups(table, 3)).reshape(10, 9)
    assert all(len(set(row)) == 1 for row in splits.tolist())
    assert len(set(splits[:, 0])) > 1


def test_prepare_counts_products_without_a_label(tmp_path):
    raw = shop().with_columns(
        attr_t_colour=pl.when(pl.col("id") == "p7").then(None).otherwise("attr_t_colour"),
        attr_t_type=pl.when(pl.col("id") == "p7").then(None).otherwise("attr_t_type"),
    )
    raw.write_csv(tmp_path / "p.csv")
    config = override(Config(), ["attributes.support=10"])
    counts = prepare(tmp_path / "run", [tmp_path / "p.csv"], COLUMNS, "attr_t_", config)
    assert counts["products_without_label"] == 1
    assert counts["labels"] == 6
    shares = [counts[f"products_{one}"] for one in ("train", "validation", "test")]
    assert sum(shares) == 59
    assert json.loads((tmp_path / "run" / "report.json").read_text()) == counts
    labelled = load_labelled(tmp_path / "run")
    place = labelled.labels.index("colour=black")
    black = labelled.table["title"].str.contains("black").to_numpy()
    assert labelled.truth[:, place].tolist() == black.tolist()
    assert [len(labelled.rows(one)) for one in ("train", "validation", "test")] == shares


def test_too_high_a_support_is_refused(tmp_path):
    shop().write_csv(tmp_path / "p.csv")
    config = override(Config(), ["attributes.support=61"])
    with pytest.raises(ValueError, match="no label has the support 61"):
        prepare(tmp_path / "run", [tmp_path / "p.csv"], COLUMNS, "attr_t_", config)
