"""Runs the ``export`` command: writes both bundles and checks what it wrote."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from podium_models.bundle import manifest as parts
from podium_models.bundle.directory import fresh
from podium_models.bundle.text_files import write_csv_gzip
from podium_models.compression.report import card_section
from podium_models.ranker.config import Config
from podium_models.ranker.data.prepared import Prepared
from podium_models.ranker.data.signatures import ENCODER_FILE, RANKER_FILE
from podium_models.ranker.evaluation.offline import METRICS_FILE
from podium_models.ranker.evaluation.onnx_scorer import OnnxScorer
from podium_models.ranker.export import manifest
from podium_models.ranker.export.card import encoder_card, ranker_card
from podium_models.ranker.export.example import compact_json, example_request
from podium_models.ranker.export.golden import encoder_golden, ranker_golden
from podium_models.ranker.export.tables import catalogue_table, histories_table

SIZE_LIMIT = 10_000_000
"""Bytes that both grocery bundles together stay under, so that they can live in git."""


def write_vocabularies(directory: Path, prepared: Prepared) -> None:
    """Writes the item and category vocabularies, the same in both bundles."""
    items, categories = prepared.items.to_text(), prepared.categories.to_text()
    (directory / manifest.ITEMS).write_text(items, encoding="utf-8")
    (directory / manifest.CATEGORIES).write_text(categories, encoding="utf-8")


def write_encoder(
    directory: Path, graphs: Path, prepared: Prepared, config: Config, scorer: OnnxScorer
) -> None:
    """Writes the encoder; the manifest comes last because it holds the sums."""
    cutoff = config.split.last_validation_week
    shutil.copyfile(graphs / ENCODER_FILE, directory / parts.MODEL)
    write_vocabularies(directory, prepared)
    catalogue = catalogue_table(prepared, cutoff).select("item", "category")
    write_csv_gzip(directory / manifest.CATALOGUE, catalogue)
    histories = histories_table(prepared, cutoff, config.data.history_events)
    write_csv_gzip(directory / manifest.HISTORIES, histories)
    golden = compact_json(encoder_golden(prepared, scorer, cutoff))
    (directory / parts.GOLDEN).write_text(golden, encoding="utf-8")
    card = encoder_card(prepared, config, histories["user"].n_unique(), histories.height)
    (directory / parts.CARD).write_text(card + card_section(graphs), encoding="utf-8")
    text = manifest.encoder_manifest(directory, config)
    (directory / parts.MANIFEST).write_text(text, encoding="utf-8")


def write_ranker(
    directory: Path, graphs: Path, prepared: Prepared, config: Config, scorer: OnnxScorer
) -> None:
    """Writes the ranker; the manifest comes last because it holds the sums."""
    cutoff, measured = config.split.last_validation_week, graphs.parent / METRICS_FILE
    metrics: dict[str, Any] = json.loads(measured.read_text(encoding="utf-8"))
    shutil.copyfile(graphs / RANKER_FILE, directory / parts.MODEL)
    write_vocabularies(directory, prepared)
    write_csv_gzip(directory / manifest.CATALOGUE, catalogue_table(prepared, cutoff))
    golden = compact_json(ranker_golden(prepared, scorer, cutoff))
    (directory / parts.GOLDEN).write_text(golden, encoding="utf-8")
    example = compact_json(example_request(prepared, cutoff, cutoff + 1))
    (directory / parts.EXAMPLE).write_text(example, encoding="utf-8")
    card = ranker_card(prepared, config, metrics) + card_section(graphs)
    (directory / parts.CARD).write_text(card, encoding="utf-8")
    text = manifest.ranker_manifest(directory, config)
    (directory / parts.MANIFEST).write_text(text, encoding="utf-8")


def export(
    run: Path, prepared: Prepared, config: Config, models: Path, method: str | None = None
) -> list[Path]:
    """Writes both bundles under ``models`` and returns their directories.

    The graphs are those of ``train``, or what ``compress`` made by a method. Raises
    ``FileNotFoundError`` before ``train``, ``evaluate`` and such a ``compress`` have run, and
    ``ValueError`` where the bundles are too large.
    """
    graphs = run / ("graphs" if method is None else f"graphs-{method}")
    steps = "`train` and `evaluate`" if method is None else f"`compress --method {method}`"
    for needed in (graphs / RANKER_FILE, run / METRICS_FILE):
        if not needed.is_file():
            raise FileNotFoundError(f"{needed} is missing; run {steps} first")
    version = str(manifest.VERSION)
    encoder = fresh(models / config.bundle.encoder / version)
    ranker = fresh(models / config.bundle.ranker / version)
    scorer = OnnxScorer(graphs / ENCODER_FILE, graphs / RANKER_FILE)
    write_encoder(encoder, graphs, prepared, config, scorer)
    write_ranker(ranker, graphs, prepared, config, scorer)
    size = sum(one.stat().st_size for where in (encoder, ranker) for one in where.iterdir())
    if config.bundle.journey and size > SIZE_LIMIT:
        raise ValueError(f"the bundles hold {size} bytes, more than {SIZE_LIMIT}")
    for where in (encoder, ranker):
        print(f"{where}: {sum(one.stat().st_size for one in where.iterdir())} bytes")
    return [encoder, ranker]
