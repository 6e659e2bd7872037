"""Renders the manifest of a text ranker's bundle."""

from __future__ import annotations

from pathlib import Path

from podium_models.bundle.manifest import EXAMPLE, GOLDEN, file_sums, model_input
from podium_models.bundle.text_files import toml_table
from podium_models.text.config import ModelConfig
from podium_models.text.forms import BI
from podium_models.text.names import HEAD, TOKENIZER
from podium_models.text.texts import DEFAULTS, PRODUCT_TEMPLATE, QUERY_TEMPLATE

GOLDEN_TOLERANCE = 0.05
"""Of a logit (they span about 10): processors round the last bit of a float differently, and a
value that is rounded to int8 then tips over; within one processor the difference is 1e-5."""

DESCRIPTION = "Orders products, by title, brand and description, for a shopper's query."


def defaults() -> str:
    """Renders the defaults of optional fields as an inline table."""
    inner = ", ".join(f'{name} = "{value}"' for name, value in DEFAULTS.items())
    return f"defaults = {{ {inner} }}\n"


def token_inputs(text: str, rows: str, names: dict[str, str], axis: str) -> list[str]:
    """Renders the inputs that one text feeds; ``names`` gives the part of each."""
    return [
        model_input(name, "tokens", "int64", [rows, axis], text=text, part=part)
        for name, part in names.items()
    ]


def bi_blocks(model: ModelConfig) -> list[str]:
    """Renders the two texts and the inputs of a bi-encoder."""
    query = {"tokenizer": TOKENIZER, "first": QUERY_TEMPLATE, "max_tokens": model.query_tokens}
    product = {
        "tokenizer": TOKENIZER,
        "first": PRODUCT_TEMPLATE,
        "max_tokens": model.product_tokens,
    }
    return [
        toml_table("[texts.query]", dict(query)),
        toml_table("[texts.product]", dict(product)) + defaults(),
        *token_inputs("query", "users", {"query_ids": "ids", "query_mask": "mask"}, "tokens"),
        *token_inputs("product", "rows", {"product_ids": "ids", "product_mask": "mask"}, "tokens"),
        model_input("user_index", "user_index", "int64", ["rows"]),
    ]


def cross_blocks(model: ModelConfig) -> list[str]:
    """Renders the text and the inputs of a cross-encoder."""
    pair: dict[str, object] = {
        "tokenizer": TOKENIZER,
        "first": QUERY_TEMPLATE,
        "second": PRODUCT_TEMPLATE,
        "max_tokens": model.product_tokens,
    }
    names = {"ids": "ids", "mask": "mask", "types": "types"}
    return [
        toml_table("[texts.pair]", pair) + defaults(),
        *token_inputs("pair", "rows", names, "tokens"),
    ]


def render(directory: Path, model: ModelConfig) -> str:
    """Renders the manifest for a directory that holds all other files."""
    columns: dict[str, object] = {"title": "string", "brand": "string"}
    top: dict[str, object] = {"format": 1, "role": "ranker", "description": DESCRIPTION}
    output: dict[str, object] = {"name": HEAD, "shape": ["rows"], "activation": "sigmoid"}
    blocks = [
        toml_table("", {**top, "layout": "rows", "independent": True}),
        toml_table("[catalogue]", {"key": "item", "unknown_items": "score"}),
        toml_table("[catalogue.columns]", columns),
        *(bi_blocks(model) if model.form == BI else cross_blocks(model)),
        toml_table("[[outputs]]", output),
        toml_table("[golden]", {"file": GOLDEN, "tolerance": GOLDEN_TOLERANCE}),
        toml_table("[example]", {"file": EXAMPLE}),
        file_sums(directory),
    ]
    return "\n".join(blocks)
