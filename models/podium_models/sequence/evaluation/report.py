"""Prints what ``evaluate`` measured: a table by model, and means over seeds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from podium_models.sequence.data.interactions import Interactions
from podium_models.sequence.evaluation.histories import test_events
from podium_models.sequence.evaluation.offline import baseline, measure_model
from podium_models.sequence.export.files import GRAPHS
from podium_models.sequence.training.run import trained_directories

SHOWN = ("hr@5", "ndcg@5", "hr@10", "ndcg@10", "hr@20", "ndcg@20", "mrr", "auc")

Results = dict[str, dict[str, Any]]


def table_row(name: str, cells: list[str]) -> str:
    """Renders one row of a Markdown table."""
    return f"| {name} | " + " | ".join(cells) + " |"


def results_table(results: Results) -> str:
    """Renders all-item metrics by model, means with 95% bootstrap intervals over users."""
    lines = [table_row("model", list(SHOWN)), table_row("---", ["---"] * len(SHOWN))]
    for name, result in results.items():
        values = [result["all_items"][key] for key in SHOWN]
        cells = [f"{mean:.4f} [{low:.4f}, {high:.4f}]" for mean, low, high in values]
        lines.append(table_row(name, cells))
    return "\n".join(lines)


def recipe_of(name: str) -> str:
    """Returns a trained model's name without its seed."""
    return re.sub(r"-\d+$", "", name)


def seeds_table(results: Results) -> str:
    """Renders means and standard deviations over the seeds of each recipe."""
    recipes: dict[str, list[dict[str, Any]]] = {}
    for name, result in results.items():
        recipes.setdefault(recipe_of(name), []).append(result["all_items"])
    lines = [table_row("recipe (seeds)", list(SHOWN)), table_row("---", ["---"] * len(SHOWN))]
    for recipe, group in recipes.items():
        cells = []
        for key in SHOWN:
            means = [one[key][0] for one in group]
            spread = f" ± {np.std(means, ddof=1):.4f}" if len(means) > 1 else ""
            cells.append(f"{np.mean(means):.4f}{spread}")
        lines.append(table_row(f"{recipe} ({len(group)})", cells))
    return "\n".join(lines)


def evaluate_run(run: Path, data: Interactions, only: str | None, sampled: bool) -> Results:
    """Measures every trained model of a run, or ``only`` one, and prints the tables."""
    from podium_models.sequence.config import Config

    directories = [
        one for one in trained_directories(run) if only in (None, one.name, recipe_of(one.name))
    ]
    directories = [one for one in directories if (one / GRAPHS).is_dir()]
    if not directories:
        raise FileNotFoundError(f"{run} holds no trained model of that name; run `train` first")
    parts = test_events(data)
    results: Results = {"popularity": baseline(data, Config())}
    for where in directories:
        print(f"measuring {where.name}: {len(parts.users)} users, {len(data.items.names)} items")
        results[where.name] = measure_model(where, data, parts, sampled)
    print("\n" + results_table(results))
    print("\n" + seeds_table(results))
    for name, result in results.items():
        if "sampled" in result:
            told = ", ".join(f"{key} {value}" for key, value in result["sampled"].items())
            print(f"{name}, sampled: {told}")
    return results
