"""Makes labels of attributes, and splits products so that near-equal titles stay together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from podium_models.data_sum import require_same_data, sum_of, write_sum
from podium_models.settings import write_config
from podium_models.text.config import KIND, AttributeConfig, Config
from podium_models.text.data.products import Columns, clean_products, need, read_all
from podium_models.text.data.report import write_report

PREPARED = Path("prepared") / "attributes.parquet"
VECTORS, HEAD = "vectors.npy", "head.pt"
LONGEST_VALUE = 40
SPLITS = (("train", 0.70), ("validation", 0.15), ("test", 0.15))

NOTES = (
    "A label is `column=value`, of a column's values split at commas, in lower case. Values "
    "of more than 40 characters are no labels. A product without a chosen label is left out; one "
    "that does not state a label counts as not having it.",
    "Products whose brand and title are equal but for words with digits share a split.",
)


class Labelled(NamedTuple):
    """Products with ``title``, ``brand``, ``split``; truth [products, labels]; label names."""

    table: pl.DataFrame
    truth: npt.NDArray[np.bool_]
    labels: tuple[str, ...]

    def rows(self, split: str) -> npt.NDArray[np.int64]:
        """Returns places of one split's products."""
        return np.flatnonzero((self.table["split"] == split).to_numpy())


def long_labels(raw: pl.DataFrame, id_column: str, prefix: str) -> pl.DataFrame:
    """Returns one row a product and label it states: ``item``, ``label``."""
    columns = [one for one in raw.columns if one.startswith(prefix)]
    if not columns:
        raise ValueError(f"no column of the products starts with {prefix!r}; say which by --prefix")
    texts = raw.select(
        pl.col(id_column).cast(pl.String).alias("item"), pl.col(columns).cast(pl.String)
    )
    value = pl.col("value").str.split(",")
    stated = texts.unpivot(index="item").drop_nulls("value").with_columns(value).explode("value")
    plain = pl.col("value").str.strip_chars().str.to_lowercase()
    stated = stated.with_columns(plain).filter(
        (pl.col("value") != "") & (pl.col("value").str.len_chars() <= LONGEST_VALUE)
    )
    name = pl.col("variable").str.strip_prefix(prefix) + "=" + pl.col("value")
    return stated.select("item", label=name).unique(maintain_order=True)


def choose_labels(stated: pl.DataFrame, config: AttributeConfig) -> list[str]:
    """Chooses the labels that most products state, of at least ``support`` each."""
    counts = stated["label"].value_counts().filter(pl.col("count") >= config.support)
    ordered = counts.sort("count", "label", descending=[True, False])
    return sorted(ordered["label"].head(config.labels).to_list())


def deal_groups(table: pl.DataFrame, seed: int) -> list[str]:
    """Returns each product's split; brand and title without words with digits make a group."""
    words = pl.col("title").str.to_lowercase().str.replace_all(r"\S*\d\S*", "")
    key = pl.col("brand").str.to_lowercase() + "|" + words.str.replace_all(r"[^\p{L}]+", " ")
    keys = table.select(key.str.strip_chars().alias("key"))["key"].to_list()
    groups = sorted(set(keys))
    draws = np.random.default_rng(seed).random(len(groups))
    bounds = np.cumsum([share for _, share in SPLITS])
    names = [SPLITS[min(int(np.searchsorted(bounds, one, side="right")), 2)][0] for one in draws]
    split_of = dict(zip(groups, names, strict=True))
    return [split_of[one] for one in keys]


def prepare(
    run: Path, files: Sequence[Path], columns: Columns, prefix: str, config: Config
) -> dict[str, int]:
    """Writes the run's labelled products and its report; returns what was counted."""
    raw = read_all(files)
    need(raw, (columns.id,), "the products")
    cleaned = clean_products(raw, columns, config.data.longest_text)
    stated = long_labels(raw, columns.id, prefix)
    labels = choose_labels(stated, config.attributes)
    if not labels:
        raise ValueError(f"no label has the support {config.attributes.support}")
    kept = stated.filter(pl.col("label").is_in(labels))
    by_item = kept.group_by("item").agg(pl.col("label").sort())
    table = cleaned.table.join(by_item, on="item", how="inner").sort("item")
    table = table.with_columns(split=pl.Series(deal_groups(table, config.attributes.seed)))
    table = table.select("item", "title", "brand", "label", "split")
    directory, found = (run / PREPARED).parent, sum_of(table)
    require_same_data(directory, found, [run / VECTORS, run / HEAD])
    directory.mkdir(parents=True, exist_ok=True)
    table.write_parquet(run / PREPARED)
    write_sum(directory, found)
    counts = {
        **cleaned.counts,
        "labels_stated": stated["label"].n_unique(),
        "labels": len(labels),
        "products_without_label": cleaned.table.height - table.height,
        **{f"products_{name}": int((table["split"] == name).sum()) for name, _ in SPLITS},
    }
    write_report(run, counts, NOTES)
    write_config(run, KIND, config)
    return counts


def load_labelled(run: Path) -> Labelled:
    """Reads what ``prepare attributes`` wrote."""
    table = pl.read_parquet(run / PREPARED)
    labels = tuple(sorted(set(table["label"].explode().to_list())))
    place = {name: number for number, name in enumerate(labels)}
    truth = np.zeros((table.height, len(labels)), bool)
    for row, names in enumerate(table["label"].to_list()):
        truth[row, [place[name] for name in names]] = True
    return Labelled(table, truth, labels)
