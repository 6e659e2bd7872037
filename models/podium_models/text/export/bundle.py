"""Runs ``export`` for text rankers: writes ``electronics-search`` and checks what it wrote."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tokenizers import Tokenizer

from podium_models.bundle.manifest import CARD, EXAMPLE, GOLDEN, MANIFEST, MODEL
from podium_models.text.config import Config
from podium_models.text.data.prepared import Prepared
from podium_models.text.evaluation.graphs import ALL_GRAPH
from podium_models.text.evaluation.offline import METRICS_FILE, SHIPPED_GRAPHS
from podium_models.text.evaluation.onnx_lists import ListFeeds
from podium_models.text.export import manifest
from podium_models.text.export.card import render_card
from podium_models.text.export.golden import compact, example, golden
from podium_models.text.names import NAME, TOKENIZER, VERSION
from podium_models.text.tokens.pruning import unknown_share

SIZE_LIMIT = 12_000_000
"""Bytes that the bundle stays under, so that it can live in git."""


def fresh(directory: Path) -> Path:
    """Empties and recreates a bundle's directory."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    return directory


def token_counts(tokenizer: Tokenizer, prepared: Prepared) -> dict[str, float]:
    """Returns the vocabulary's size and the shares of [UNK] that the card states."""
    judged = prepared.products[prepared.judged]
    return {
        "pieces": tokenizer.get_vocab_size(),
        "unknown_in_titles": unknown_share(tokenizer, judged["title"].to_list()),
        "unknown_in_queries": unknown_share(tokenizer, [one.query for one in prepared.lists]),
    }


def export(run: Path, prepared: Prepared, config: Config, models: Path) -> Path:
    """Writes the bundle under ``models`` and returns its directory.

    Raises ``FileNotFoundError`` before ``compress`` and ``evaluate`` have run, and ``ValueError``
    where it is too large.
    """
    graph, metrics = run / SHIPPED_GRAPHS / ALL_GRAPH, run / METRICS_FILE
    if not graph.is_file():
        raise FileNotFoundError(
            f"{graph} is missing; run `compress` with --method distil, then int8-dynamic"
        )
    if not metrics.is_file():
        raise FileNotFoundError(f"{metrics} is missing; run `evaluate` first")
    if graph.stat().st_size > SIZE_LIMIT:
        raise ValueError(f"{graph} holds {graph.stat().st_size} bytes, more than {SIZE_LIMIT}")
    tokenizer = Tokenizer.from_file(str(run / SHIPPED_GRAPHS / TOKENIZER))
    directory = fresh(models / NAME / str(VERSION))
    shutil.copyfile(graph, directory / MODEL)
    compacted = json.loads(tokenizer.to_str())
    (directory / TOKENIZER).write_text(compact(compacted), encoding="utf-8")
    vectors = golden(directory / MODEL, ListFeeds(tokenizer, config.model))
    (directory / GOLDEN).write_text(compact(vectors), encoding="utf-8")
    (directory / EXAMPLE).write_text(compact(example()), encoding="utf-8")
    measured = json.loads(metrics.read_text(encoding="utf-8"))
    card = render_card(config, measured, token_counts(tokenizer, prepared))
    (directory / CARD).write_text(card, encoding="utf-8")
    text = manifest.render(directory, config.model)
    (directory / MANIFEST).write_text(text, encoding="utf-8")
    size = sum(one.stat().st_size for one in directory.iterdir())
    if size > SIZE_LIMIT:
        raise ValueError(f"the bundle holds {size} bytes, more than {SIZE_LIMIT}")
    print(f"{directory}: {size} bytes")
    return directory
