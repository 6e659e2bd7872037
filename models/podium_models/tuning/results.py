"""Writes what a search found: a table, the best settings, and the plot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
from optuna.trial import FrozenTrial, TrialState

from podium_models.tuning.space import Parameter, to_settings, to_text
from podium_models.tuning.study import ERROR, SECONDS, values_of

TABLE, BEST, PLOT = "trials.csv", "best.json", "trials.png"


def rows_of(trials: list[FrozenTrial], space: list[Parameter]) -> list[dict[str, Any]]:
    """Makes one row a trial: number, value, seconds, settings, error."""
    rows = []
    for trial in trials:
        values = values_of(trial, space)
        rows.append(
            {
                "trial": trial.number,
                "value": trial.value if trial.state == TrialState.COMPLETE else None,
                "seconds": trial.user_attrs.get(SECONDS),
                **{one.name: to_text(values[one.name]) for one in space if one.name in values},
                "error": trial.user_attrs.get(ERROR, ""),
            }
        )
    return rows


def to_table(trials: list[FrozenTrial], space: list[Parameter]) -> pl.DataFrame:
    """Makes the table of all trials, the best first."""
    schema: dict[str, Any] = {"trial": pl.Int64, "value": pl.Float64, "seconds": pl.Float64}
    schema |= {one.name: pl.String for one in space} | {"error": pl.String}
    frame = pl.DataFrame(rows_of(trials, space), schema=schema, orient="row")
    return frame.sort("value", "trial", descending=[True, False], nulls_last=True)


def to_markdown(table: pl.DataFrame) -> str:
    """Renders the table; values with six decimals."""
    lines = [f"| {' | '.join(table.columns)} |", "|" + " --- |" * table.width]
    for row in table.iter_rows():
        cells = [
            "" if one is None else f"{one:.6f}" if at == 1 else one for at, one in enumerate(row)
        ]
        lines.append(f"| {' | '.join(str(one) for one in cells)} |")
    return "\n".join(lines)


def best_of(trials: list[FrozenTrial]) -> FrozenTrial:
    """Returns the best trial, the earliest of equals; without any raises ``ValueError``."""
    finished = [one for one in trials if one.state == TrialState.COMPLETE]
    if not finished:
        errors = {str(one.user_attrs.get(ERROR, "unknown")) for one in trials}
        raise ValueError(f"no trial succeeded: {'; '.join(sorted(errors))}")
    return max(finished, key=lambda one: (one.value, -one.number))


def write_results(directory: Path, trials: list[FrozenTrial], space: list[Parameter]) -> list[str]:
    """Writes table, best settings and plot; returns the best settings."""
    table = to_table(trials, space)
    table.write_csv(directory / TABLE)
    best = best_of(trials)
    settings = to_settings(values_of(best, space))
    content = {"trial": best.number, "value": best.value, "settings": settings}
    (directory / BEST).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    from podium_models.tuning.plot import draw_trials

    draw_trials(trials, space, directory / PLOT)
    return settings
