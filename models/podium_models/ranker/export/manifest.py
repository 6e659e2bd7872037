"""Renders the manifests of both bundles from the same tables that training reads."""

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
from podium_models.ranker.config import Config
from podium_models.ranker.data.signatures import ENCODER_OUTPUT, LABEL_FEATURES, RANKER_OUTPUTS
from podium_models.ranker.data.transforms import CANDIDATE_TRANSFORMS, GAP, WEEK, Transform

VERSION = 1

ITEMS, CATEGORIES = "items.txt", "categories.txt"
CATALOGUE, HISTORIES = "catalogue.csv.gz", "histories.csv.gz"
Entries = dict[str, object]

USER_ITEM: dict[str, Entries] = {
    "own_count": {"stat": "count"},
    "own_age": {"stat": "age_days"},
    **{
        name: {"stat": stat, "match": label}
        for label, names in LABEL_FEATURES.items()
        for name, stat in zip(names, ("count", "age_days"), strict=True)
    },
}


def vocabularies() -> str:
    """Renders the two vocabularies, which are the same files in both bundles."""
    entries = {"first_index": FIRST, "oov": OUT_OF_VOCABULARY}
    return "\n".join(
        toml_table(f"[vocabularies.{name}]", {"file": file, **entries})
        for name, file in (("item", ITEMS), ("category", CATEGORIES))
    )


def transform_entries(transform: Transform, with_default: bool) -> Entries:
    """States a transform in the manifest's keys."""
    entries: Entries = {"default": transform.default} if with_default else {}
    entries["clip"] = [transform.low, transform.high]
    if transform.log:
        entries["log"] = True
    return entries


def encoder_manifest(directory: Path, config: Config) -> str:
    """Renders the encoder's manifest for a directory that holds all its other files."""
    model, names, events = config.model, config.bundle, ["users", "length"]
    blocks = [
        toml_table(
            "",
            {
                "format": 1,
                "role": "user_encoder",
                "description": f"Turns a {names.shopper}'s latest purchases into a few vectors.",
            },
        ),
        toml_table(
            "[history]", {"max_length": model.max_length, "pad": "right", "file": HISTORIES}
        ),
        toml_table("[catalogue]", {"file": CATALOGUE, "key": "item", "unknown_items": "score"}),
        toml_table("[catalogue.columns]", {"category": "string"}),
        vocabularies(),
        model_input("item", "history", "int64", list(events), field="item", vocabulary="item"),
        model_input(
            "category", "history", "int64", list(events), field="category", vocabulary="category"
        ),
        model_input(
            "gap",
            "history",
            "float32",
            list(events),
            field="gap_days",
            **transform_entries(GAP, with_default=False),
        ),
        model_input("mask", "history_mask", "float32", list(events)),
        toml_table(
            "[[outputs]]",
            {"name": ENCODER_OUTPUT, "shape": ["users", model.states, model.width]},
        ),
        toml_table("[golden]", {"file": GOLDEN, "tolerance": GOLDEN_TOLERANCE}),
        file_sums(directory),
    ]
    return "\n".join(blocks)


def ranker_inputs(config: Config) -> list[str]:
    """Renders the ranker's inputs in the graph's order."""
    model, rows = config.model, ["rows"]
    shape: list[object] = ["users", model.states, model.width]
    blocks = [
        model_input(ENCODER_OUTPUT, "user_embedding", "float32", shape),
        model_input("week", "context", "float32", ["users"], **transform_entries(WEEK, True)),
        model_input("user_index", "user_index", "int64", list(rows)),
        model_input("item", "item_index", "int64", list(rows), vocabulary="item"),
        model_input("category", "candidate", "int64", list(rows), vocabulary="category"),
    ]
    for name, transform in CANDIDATE_TRANSFORMS.items():
        source = "user_item" if name in USER_ITEM else "candidate"
        more = {**USER_ITEM.get(name, {}), **transform_entries(transform, True)}
        blocks.append(model_input(name, source, "float32", list(rows), **more))
    return blocks


def ranker_manifest(directory: Path, config: Config) -> str:
    """Renders the ranker's manifest for a directory that holds all its other files."""
    names = config.bundle
    columns: Entries = dict.fromkeys(("product", "department", "brand", "category"), "string")
    columns |= dict.fromkeys(("price", "discount", "popularity"), "float")
    blocks = [
        toml_table(
            "",
            {
                "format": 1,
                "role": "ranker",
                "description": f"Orders {names.things} by how likely a {names.shopper}"
                " buys them in a week.",
                "layout": "rows",
                "independent": True,
            },
        ),
        toml_table("[encoder]", {"name": names.encoder, "version": VERSION}),
        toml_table("[history]", {"max_length": config.data.history_events}),
        toml_table("[catalogue]", {"file": CATALOGUE, "key": "item", "unknown_items": "score"}),
        toml_table("[catalogue.columns]", columns),
        vocabularies(),
        *ranker_inputs(config),
        *(
            toml_table("[[outputs]]", {"name": name, "shape": ["rows"], "activation": "sigmoid"})
            for name in RANKER_OUTPUTS
        ),
        toml_table("[golden]", {"file": GOLDEN, "tolerance": GOLDEN_TOLERANCE}),
        toml_table("[example]", {"file": EXAMPLE}),
        file_sums(directory),
    ]
    return "\n".join(blocks)
