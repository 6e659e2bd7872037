"""Runs ``export`` for text rankers: writes the bundle that ``model.bundle`` names."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from podium_models.bundle.directory import fresh
from podium_models.bundle.manifest import CARD, EXAMPLE, GOLDEN, MANIFEST, MODEL
from podium_models.text.config import Config
from podium_models.text.data.prepared import Prepared
from podium_models.text.evaluation.graphs import ALL_GRAPH
from podium_models.text.evaluation.lists import RELEVANT
from podium_models.text.evaluation.offline import METRICS_FILE, SHIPPED_GRAPHS
from podium_models.text.evaluation.onnx_lists import ListFeeds
from podium_models.text.export import manifest
from podium_models.text.export.card import render_card
from podium_models.text.export.golden import compact, example, golden
from podium_models.text.names import ACCEPTED, NAME, STUDENT, TOKENIZER, VERSION
from podium_models.text.tokens.pruning import unknown_share

SIZE_LIMIT = 12_000_000
"""Bytes that the bundle which ships stays under, so that it can live in git."""


def refuse_large(config: Config, size: int) -> None:
    """Raises ``ValueError`` where the bundle that ships has too many bytes."""
    if config.model.bundle == NAME and size > SIZE_LIMIT:
        raise ValueError(
            f"{NAME} has {size} bytes, more than {SIZE_LIMIT}; name another by model.bundle"
        )


def facts_of(tokenizer: Tokenizer, prepared: Prepared) -> dict[str, float]:
    """Returns counts and shares that the card states."""
    judged = prepared.products[prepared.judged]
    ratings = np.concatenate([one.ratings for one in prepared.lists])
    return {
        "products": prepared.products.height,
        "relevant": float((ratings >= RELEVANT).mean()),
        "pieces": tokenizer.get_vocab_size(),
        "unknown_in_titles": unknown_share(tokenizer, judged["title"].to_list()),
        "unknown_in_queries": unknown_share(tokenizer, [one.query for one in prepared.lists]),
    }


def export(run: Path, prepared: Prepared, config: Config, models: Path) -> Path:
    """Writes the bundle under ``models`` and returns its directory.

    Raises ``FileNotFoundError`` before ``compress`` and ``evaluate`` have run, and ``ValueError``
    where the one that ships is too large.
    """
    graph, metrics = run / SHIPPED_GRAPHS / ALL_GRAPH, run / METRICS_FILE
    if not graph.is_file():
        raise FileNotFoundError(
            f"{graph} is missing; run `compress` with --method distil, then int8-dynamic"
        )
    if not metrics.is_file():
        raise FileNotFoundError(f"{metrics} is missing; run `evaluate` first")
    refuse_large(config, graph.stat().st_size)
    tokenizer = Tokenizer.from_file(str(run / SHIPPED_GRAPHS / TOKENIZER))
    directory = fresh(models / config.model.bundle / str(VERSION))
    shutil.copyfile(graph, directory / MODEL)
    compacted = json.loads(tokenizer.to_str())
    (directory / TOKENIZER).write_text(compact(compacted), encoding="utf-8")
    vectors = golden(directory / MODEL, ListFeeds(tokenizer, config.model))
    (directory / GOLDEN).write_text(compact(vectors), encoding="utf-8")
    (directory / EXAMPLE).write_text(compact(example()), encoding="utf-8")
    measured = json.loads(metrics.read_text(encoding="utf-8"))
    distilled = (run / STUDENT / ACCEPTED).is_file()
    card = render_card(config, measured, facts_of(tokenizer, prepared), distilled)
    (directory / CARD).write_text(card, encoding="utf-8")
    text = manifest.render(directory, config.model)
    (directory / MANIFEST).write_text(text, encoding="utf-8")
    size = sum(one.stat().st_size for one in directory.iterdir())
    refuse_large(config, size)
    print(f"{directory}: {size} bytes")
    return directory
