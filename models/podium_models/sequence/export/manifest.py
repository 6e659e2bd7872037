"""Renders the manifests of both bundles."""

from __future__ import annotations

from pathlib import Path

from podium_models.bundle.manifest import (
    EXAMPLE,
    GOLDEN,
    GOLDEN_TOLERANCE,
    file_sums,
    model_input,
)
from podium_models.bundle.text_files import toml_table
from podium_models.bundle.vocabulary import FIRST, OUT_OF_VOCABULARY
from podium_models.sequence.config import Config
from podium_models.sequence.export.published import Published

ITEMS, HISTORIES, CATALOGUE = "items.txt", "histories.csv.gz", "catalogue.csv.gz"


def vocabulary() -> str:
    """Renders the item vocabulary, the same file in both bundles."""
    entries = {"file": ITEMS, "first_index": FIRST, "oov": OUT_OF_VOCABULARY}
    return toml_table("[vocabularies.item]", dict(entries))


def golden() -> str:
    """Renders the golden section."""
    return toml_table("[golden]", {"file": GOLDEN, "tolerance": GOLDEN_TOLERANCE})


def encoder_manifest(directory: Path, config: Config) -> str:
    """Renders the encoder's manifest for a directory that holds all its other files."""
    events: list[object] = ["users", "length"]
    head: dict[str, object] = {
        "format": 1,
        "role": "user_encoder",
        "description": "Turns the latest items of a history into a vector.",
    }
    history: dict[str, object] = {
        "max_length": config.model.max_length,
        "pad": "right",
        "file": HISTORIES,
    }
    output: dict[str, object] = {"name": "user_embedding", "shape": ["users", config.model.width]}
    blocks = [
        toml_table("", head),
        toml_table("[history]", history),
        vocabulary(),
        model_input("item", "history", "int64", events, field="item", vocabulary="item"),
        model_input("mask", "history_mask", "float32", events),
        toml_table("[[outputs]]", output),
        golden(),
        file_sums(directory),
    ]
    return "\n".join(blocks)


def ranker_manifest(directory: Path, config: Config, bundles: Published, columns: list[str]) -> str:
    """Renders the ranker's manifest; ``columns`` are the texts of its catalogue, if any."""
    head: dict[str, object] = {
        "format": 1,
        "role": "ranker",
        "description": "Orders items by how likely each is the next.",
        "layout": "rows",
        "independent": True,
    }
    shape: list[object] = ["users", config.model.width]
    blocks = [
        toml_table("", head),
        toml_table("[encoder]", {"name": bundles.encoder, "version": bundles.version}),
    ]
    if columns:
        catalogue = {"file": CATALOGUE, "key": "item", "unknown_items": "score"}
        blocks.append(toml_table("[catalogue]", dict(catalogue)))
        blocks.append(toml_table("[catalogue.columns]", dict.fromkeys(columns, "string")))
    blocks += [
        vocabulary(),
        model_input("user_embedding", "user_embedding", "float32", shape),
        model_input("user_index", "user_index", "int64", ["rows"]),
        model_input("item", "item_index", "int64", ["rows"], vocabulary="item"),
        toml_table("[[outputs]]", {"name": "score", "shape": ["rows"]}),
        golden(),
        toml_table("[example]", {"file": EXAMPLE}),
        file_sums(directory),
    ]
    return "\n".join(blocks)
