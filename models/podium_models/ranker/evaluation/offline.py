"""Runs the ``evaluate`` command on the exported graphs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from podium_models.measure.reliability_plot import draw_reliability
from podium_models.ranker.config import Config
from podium_models.ranker.data.prepared import Prepared
from podium_models.ranker.data.signatures import ENCODER_FILE, RANKER_FILE
from podium_models.ranker.evaluation.groups import (
    Groups,
    held_out_groups,
    validation_groups,
)
from podium_models.ranker.evaluation.interest import score_interests
from podium_models.ranker.evaluation.interest_report import Part
from podium_models.ranker.evaluation.onnx_scorer import OnnxScorer
from podium_models.ranker.evaluation.report import measure
from podium_models.ranker.evaluation.scoring import score_groups
from podium_models.ranker.evaluation.tables import all_tables

METRICS_FILE, TABLES_FILE, RELIABILITY_FILE = "metrics.json", "tables.md", "reliability.png"


def evaluate(
    run: Path, prepared: Prepared, config: Config, groups: Groups | None = None
) -> dict[str, Any]:
    """Measures a run on the test weeks, writes metrics, tables and a plot, prints the tables.

    ``groups`` measures others instead, and writes nothing.
    """
    scorer = OnnxScorer(run / "graphs" / ENCODER_FILE, run / "graphs" / RANKER_FILE)
    length = config.model.max_length
    earlier = validation_groups(prepared, config)
    chosen = held_out_groups(prepared, config) if groups is None else groups
    if len(chosen.week) == 0 or len(earlier.week) == 0:
        raise ValueError("nothing was bought in the validation weeks, or in the test weeks")
    validation, test = (
        Part(part, score_interests(scorer, prepared, part, length)) for part in (earlier, chosen)
    )
    scores = score_groups(scorer, prepared, chosen, length)
    result, tables = measure(scores, prepared, validation, test, config)
    print(f"{result['households']} households, {result['household_weeks']} household-weeks\n")
    print(all_tables(result))
    if groups is None:
        text = json.dumps(result, indent=2) + "\n"
        (run / METRICS_FILE).write_text(text, encoding="utf-8")
        (run / TABLES_FILE).write_text(all_tables(result), encoding="utf-8")
        draw_reliability(tables, run / RELIABILITY_FILE)
    return result
