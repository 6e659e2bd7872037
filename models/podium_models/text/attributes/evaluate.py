"""Measures predicted attributes on test products against the labels' frequencies."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from podium_models.measure.bootstrap import Interval, bootstrap_totals
from podium_models.measure.classification import (
    Confusion,
    Flags,
    Floats,
    best_threshold,
    macro_f1,
    micro_f1,
)
from podium_models.text.attributes.data import HEAD, VECTORS, load_labelled
from podium_models.text.attributes.train import make_head, predict
from podium_models.text.config import Config

SEED = 7
FILE, TABLE = "attributes.json", "attributes.md"

Measure = Callable[[Confusion], Floats]


def counts_by_product(predicted: Flags, truth: Flags) -> Floats:
    """Returns TP, FP and FN of every product and label, [products, 3, labels]."""
    parts = (predicted & truth, predicted & ~truth, ~predicted & truth)
    return np.stack(parts, axis=1).astype(np.float64)


def interval(parts: Floats, measure: Measure) -> Interval:
    """Returns a measure of summed counts with its interval over products."""
    return bootstrap_totals(
        parts, lambda sums: measure(Confusion(sums[:, 0], sums[:, 1], sums[:, 2])), SEED
    )


def gain(left: Floats, right: Floats, measure: Measure) -> Interval:
    """Returns how much more ``left`` reaches, paired by product."""

    def difference(sums: Floats) -> Floats:
        one, other = (Confusion(sums[:, n], sums[:, n + 1], sums[:, n + 2]) for n in (0, 3))
        return np.asarray(measure(one) - measure(other), np.float64)

    return bootstrap_totals(np.concatenate([left, right], axis=1), difference, SEED)


def evaluate(run: Path, config: Config) -> None:
    """Writes and prints the table; raises ``FileNotFoundError`` before ``train``."""
    if not (run / HEAD).is_file():
        raise FileNotFoundError(f"{run / HEAD} is missing; run `train` first")
    labelled = load_labelled(run)
    vectors = torch.from_numpy(np.load(run / VECTORS))
    state = torch.load(run / HEAD, weights_only=True)
    head = make_head(vectors.shape[1], len(labelled.labels), config.attributes)
    head.load_state_dict(state["head"])
    train, validation, test = (labelled.rows(one) for one in ("train", "validation", "test"))
    truth = labelled.truth[test]
    prior = labelled.truth[train].mean(axis=0)
    level = best_threshold(np.tile(prior, (len(validation), 1)), labelled.truth[validation])
    ours = counts_by_product(predict(head, vectors[test]) >= state["threshold"], truth)
    theirs = counts_by_product(np.tile(prior >= level, (len(test), 1)), truth)
    measures: dict[str, Measure] = {"F1 micro": micro_f1, "F1 macro": macro_f1}
    rows = {
        "head on MiniLM": [interval(ours, one) for one in measures.values()],
        "label frequency": [interval(theirs, one) for one in measures.values()],
        "gain": [gain(ours, theirs, one) for one in measures.values()],
    }
    table = f"| {len(test)} products, {len(labelled.labels)} labels | {' | '.join(measures)} |\n"
    table += "|---|---|---|\n"
    for name, values in rows.items():
        table += f"| {name} | " + " | ".join(map(str, values)) + " |\n"
    content = {name: [one._asdict() for one in values] for name, values in rows.items()}
    (run / FILE).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    (run / TABLE).write_text(table, encoding="utf-8")
    print(table)
