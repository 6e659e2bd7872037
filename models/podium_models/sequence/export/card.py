"""Writes the model cards."""

from __future__ import annotations

import json
from pathlib import Path

from podium_models.bundle.manifest import OPSET
from podium_models.sequence.config import Config
from podium_models.sequence.data.interactions import Interactions
from podium_models.sequence.evaluation.metrics_file import METRICS_FILE
from podium_models.sequence.export.published import Published

ENCODER = """# {name} {version}

Turns the latest {length} items of a history into {width} numbers. A causal Transformer ({layers} layers, {heads} heads).
An empty history gives the embedding of an unknown shopper. float32, ONNX opset {opset}.

## Data
{users} users, {items} items, {events} events. Users' names are pseudonyms. The report that `prepare` wrote says what was left out.

## Limits
An embedding describes habits and is personal data where the shoppers are real people. Vectors of two versions do not mix.
"""

RANKER = """# {name} {version}

Scores items by how likely each is the next one, given the vector of `{encoder}` {version}: {similarity}.
Items it has not met share one average vector. float32, ONNX opset {opset}.

## Training
Loss `{loss}`, seed {seed}, item attributes {attributes}, dense item features {dense}. All settings: `config.json` of the run.

## Measured
{measured}

## Limits
It knows the items of its data and no others, and orders by habit, not by what is good for the shopper.
The licence is that of the data it was trained on.
"""


def encoder_card(data: Interactions, config: Config, bundles: Published) -> str:
    """Renders the encoder's card."""
    return ENCODER.format(
        name=bundles.encoder,
        version=bundles.version,
        length=config.model.max_length,
        width=config.model.width,
        layers=config.model.layers,
        heads=config.model.heads,
        opset=OPSET,
        users=len(data.users),
        items=len(data.items.names),
        events=len(data.event_items),
    )


def measured(trained: Path) -> str:
    """Renders what ``evaluate`` measured of a trained model, if it ran."""
    path = trained / METRICS_FILE
    if not path.is_file():
        return "Not measured: `evaluate` did not run before `export`."
    result = json.loads(path.read_text(encoding="utf-8"))
    lines = [
        f"All items ranked for {result['users']} users, those of the history left out; 95% bootstrap"
        " intervals over users.",
        "",
        "| metric | mean | interval |",
        "|---|---|---|",
    ]
    for name, value in result["all_items"].items():
        if isinstance(value, list):
            lines.append(f"| {name} | {value[0]:.4f} | [{value[1]:.4f}, {value[2]:.4f}] |")
    return "\n".join(lines)


def ranker_card(data: Interactions, config: Config, bundles: Published, trained: Path) -> str:
    """Renders the ranker's card."""
    cosine = f"cosine over {config.model.temperature}"
    used = {True: "used", False: "not used"}
    return RANKER.format(
        name=bundles.ranker,
        encoder=bundles.encoder,
        version=bundles.version,
        similarity="dot product" if config.model.similarity == "dot" else cosine,
        opset=OPSET,
        loss=config.train.loss,
        seed=config.train.seed,
        attributes=used[config.model.attributes and bool(data.attributes.names)],
        dense=used[config.model.dense and bool(data.dense.shape[1])],
        measured=measured(trained),
    )
