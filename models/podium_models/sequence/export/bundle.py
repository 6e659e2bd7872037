"""Writes the two bundles of a trained model: the encoder with histories, and the ranker."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from podium_models.bundle.directory import fresh
from podium_models.bundle.golden import Arrays, case
from podium_models.bundle.manifest import CARD, EXAMPLE, GOLDEN, MANIFEST, MODEL
from podium_models.bundle.text_files import write_csv_gzip
from podium_models.bundle.vocabulary import FIRST
from podium_models.compression.report import card_section
from podium_models.sequence.config import Config
from podium_models.sequence.data.interactions import Interactions
from podium_models.sequence.data.padding import pad
from podium_models.sequence.evaluation.onnx_scorer import GraphPair
from podium_models.sequence.export.card import encoder_card, ranker_card
from podium_models.sequence.export.files import ENCODER_FILE, RANKER_FILE, graphs_of
from podium_models.sequence.export.manifest import (
    CATALOGUE,
    HISTORIES,
    ITEMS,
    encoder_manifest,
    ranker_manifest,
)
from podium_models.sequence.export.published import Published
from podium_models.settings import read_config

EXAMPLE_ITEMS = 100


def histories_table(data: Interactions, whole: bool, limit: int) -> pl.DataFrame:
    """Returns the latest ``limit`` events of each user: user, item (str), time (int64 seconds).

    Unless ``whole``, test items are left out, as evaluation needs it.
    """
    stops = data.offsets[1:] if whole else data.validation_ends
    starts = np.maximum(data.offsets[:-1], stops - limit)
    counts = stops - starts
    places = np.repeat(starts - (np.cumsum(counts) - counts), counts) + np.arange(counts.sum())
    names = np.asarray(data.items.names, dtype=object)
    known = data.event_items[places] >= FIRST
    owner = np.repeat(np.arange(len(data.users)), counts)[known]
    return pl.DataFrame(
        {
            "user": np.asarray(data.users, dtype=object)[owner],
            "item": names[data.event_items[places][known] - FIRST],
            "time": data.event_times[places][known],
        },
        schema={"user": pl.String, "item": pl.String, "time": pl.Int64},
    )


def encoder_inputs(histories: list[list[int]]) -> dict[str, np.ndarray]:
    """Builds encoder inputs of item indices, right padded."""
    item = pad([np.asarray(one, dtype=np.int64) for one in histories])
    return {"item": item, "mask": (item > 0).astype(np.float32)}


def golden_files(data: Interactions, graphs: GraphPair) -> tuple[dict[str, Any], dict[str, Any]]:
    """Makes the golden vectors of both graphs out of vocabulary indices alone."""
    last = data.items.size - 1
    users = {
        "unknown shopper": encoder_inputs([[]]),
        "three events": encoder_inputs([[2, min(3, last), last]]),
        "two histories, one with an unknown item": encoder_inputs([[last, 1, 2, 2, 2], [last]]),
    }
    encoder, ranker = [], []
    for name, inputs in users.items():
        embedding = graphs.embed(inputs["item"], inputs["mask"])
        encoder.append(case(name, inputs, {"user_embedding": embedding}))
        index = np.arange(4, dtype=np.int64) % len(embedding)
        item = np.asarray([2, last, 1, min(3, last)], dtype=np.int64)
        rows: Arrays = {"user_embedding": embedding, "user_index": index, "item": item}
        scores = {"score": graphs.rank(embedding, index, item)}
        ranker.append(case(name, rows, scores))
    return {"cases": encoder}, {"cases": ranker}


def example_request(data: Interactions) -> dict[str, Any]:
    """Returns a ``podium.v1.RankRequest`` without a user: the items met most often."""
    counts = np.bincount(data.event_items, minlength=data.items.size)
    counts[:FIRST] = -1
    best = np.argsort(-counts, kind="stable")[: min(EXAMPLE_ITEMS, len(data.items.names))]
    return {"candidates": {"ids": [data.items.names[item - FIRST] for item in best]}}


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Writes JSON on one line."""
    path.write_text(json.dumps(content, separators=(",", ":")) + "\n", encoding="utf-8")


def write_catalogue(directory: Path, data: Interactions) -> list[str]:
    """Writes the item texts where there are any; returns their columns."""
    columns = [name for name, kind in data.items_table.schema.items() if kind == pl.String]
    columns.remove("item")
    if columns:
        write_csv_gzip(directory / CATALOGUE, data.items_table.select("item", *columns))
    return columns


def export(
    bundles: Published,
    trained: Path,
    data: Interactions,
    *,
    whole: bool,
    method: str | None = None,
) -> None:
    """Writes both bundles of a trained model's directory, with graphs compressed by a method.

    Unless ``whole``, the shipped histories end before the test items.
    """
    config = read_config(trained, Config())
    source = graphs_of(trained, method)
    encoder, ranker = fresh(bundles.encoder_directory), fresh(bundles.ranker_directory)
    shutil.copyfile(source / ENCODER_FILE, encoder / MODEL)
    shutil.copyfile(source / RANKER_FILE, ranker / MODEL)
    graphs = GraphPair(encoder / MODEL, ranker / MODEL)
    for directory, golden in zip((encoder, ranker), golden_files(data, graphs), strict=True):
        (directory / ITEMS).write_text(data.items.to_text(), encoding="utf-8")
        write_json(directory / GOLDEN, golden)
    histories = histories_table(data, whole, config.model.max_length)
    write_csv_gzip(encoder / HISTORIES, histories)
    write_json(ranker / EXAMPLE, example_request(data))
    columns = write_catalogue(ranker, data)
    cards = encoder_card(data, config, bundles), ranker_card(data, config, bundles, trained)
    for directory, card in zip((encoder, ranker), cards, strict=True):
        (directory / CARD).write_text(card + card_section(source), encoding="utf-8")
    (encoder / MANIFEST).write_text(encoder_manifest(encoder, config), encoding="utf-8")
    text = ranker_manifest(ranker, config, bundles, columns)
    (ranker / MANIFEST).write_text(text, encoding="utf-8")
    for where in (encoder, ranker):
        print(f"{where}: {sum(one.stat().st_size for one in where.iterdir())} bytes")
