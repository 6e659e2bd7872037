"""Renders measurements as Markdown tables."""

from __future__ import annotations

from typing import Any

from podium_models.measure.bootstrap import Interval
from podium_models.ranker.evaluation.metrics import METRICS

INTERESTS = {
    "auc among candidates": "AUC, labels of candidates",
    "auc": "AUC, all labels",
    "f1 micro": "F1 micro",
    "f1 macro": "F1 macro",
}


def as_text(entry: dict[str, float]) -> str:
    """Renders an interval from its JSON form."""
    return str(Interval(entry["mean"], entry["low"], entry["high"]))


def table(header: list[str], rows: list[list[str]]) -> str:
    """Renders a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def metrics_table(result: dict[str, Any]) -> str:
    """Renders each method's metrics with intervals."""
    rows = [
        [name, *(as_text(values[metric]) for metric in METRICS)]
        for name, values in result["metrics"].items()
    ]
    return table(["", *METRICS], rows)


def gains_table(result: dict[str, Any]) -> str:
    """Renders the paired gains of the ranker over each baseline."""
    rows = [
        [name, *(as_text(values[metric]) for metric in METRICS)]
        for name, values in result["gains"].items()
    ]
    return table(["gain over", *METRICS], rows)


def interest_table(result: dict[str, Any], label: str) -> str:
    """Renders an interest head beside its rivals, and its paired gains."""
    found = result["interest"][label]
    rows = [
        [name, *(as_text(found[metric][name]) for metric in INTERESTS)] for name in found["auc"]
    ]
    return table([label, *INTERESTS.values()], rows)


def calibration_table(result: dict[str, Any]) -> str:
    """Renders how far each head's probabilities can be trusted."""
    heads = result["calibration"]
    columns = list(next(iter(heads.values())))
    rows = [[name, *(f"{one[key]:.4f}" for key in columns)] for name, one in heads.items()]
    return table(["head", *(key.replace("_", " ") for key in columns)], rows)


def coverage_table(result: dict[str, Any]) -> str:
    """Renders how much of the vocabulary the top tens show, and how evenly."""
    rows = [
        [name, f"{one['catalogue_coverage']:.1%}", f"{one['gini']:.4f}"]
        for name, one in result["coverage"].items()
    ]
    return table(["top 10 of all test weeks", "share of the items shown", "Gini"], rows)


def all_tables(result: dict[str, Any]) -> str:
    """Renders every table, as ``evaluate`` prints them."""
    parts = [metrics_table(result), gains_table(result)]
    parts += [interest_table(result, label) for label in result["interest"]]
    return "\n".join([*parts, calibration_table(result), coverage_table(result)])
