"""Runs ``prepare judgements``: files in, cleaned tables, folds and a report out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from podium_models.data_sum import require_same_data, sum_of, write_sum
from podium_models.settings import write_config
from podium_models.text.config import KIND, Config
from podium_models.text.data.judgements import (
    Judgements,
    RatingColumns,
    clean_judgements,
    read_ratings,
)
from podium_models.text.data.prepared import save_prepared
from podium_models.text.data.products import Columns, Products, clean_products, read_all, read_table
from podium_models.text.data.report import draw_report, write_report
from podium_models.text.texts import VIEWS, product_texts

NOTES = (
    "Rows without id or title, repeated ids (the first stays), ratings of unknown products and "
    "rows without a query are left out. Of a pair rated twice the higher rating stays. Queries "
    "with one label train, but no order of theirs is better than another: they are not measured.",
    "Queries are dealt to folds at random, by the seed in `config.json`.",
)


def token_lengths(products: Products, judgements: Judgements) -> dict[str, list[int]]:
    """Counts tokens of queries and of products in each view; words where MiniLM is absent."""
    texts = {"queries": judgements.table["query"].unique(maintain_order=True).to_list()}
    texts |= {view: product_texts(products.table, view) for view in VIEWS}
    try:
        from tokenizers import Tokenizer

        from podium_models.text.nn.minilm import minilm_directory

        tokenizer = Tokenizer.from_file(str(minilm_directory() / "tokenizer.json"))
    except (ImportError, FileNotFoundError):
        return {name: [len(one.split()) for one in some] for name, some in texts.items()}
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return {
        name: [len(one.ids) for one in tokenizer.encode_batch(some)] for name, some in texts.items()
    }


def prepare_judgements(
    run: Path,
    ratings: Path,
    products: Sequence[Path],
    columns: tuple[RatingColumns, Columns],
    config: Config,
) -> dict[str, int]:
    """Writes the run's prepared tables and report; returns what was counted."""
    data = config.data
    cleaned = clean_products(read_all(products), columns[1], data.longest_text)
    given = read_ratings(read_table(ratings), columns[0], data.max_rating)
    judged = clean_judgements(given, cleaned.table["item"], data.folds, data.seed)
    found = sum_of(cleaned.table, judged.table)
    require_same_data(run / "prepared", found, (run / "teacher").glob("*.pt"))
    save_prepared(run, cleaned, judged)
    write_sum(run / "prepared", found)
    counts = {**cleaned.counts, **judged.counts}
    write_report(run, counts, NOTES)
    lengths = token_lengths(cleaned, judged)
    draw_report(run / "report.png", judged.table["rating"].to_list(), lengths)
    write_config(run, KIND, config)
    return counts
