"""Runs the ``evaluate`` command on the exported graphs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from podium_models.ranker.config import Config
from podium_models.ranker.data.prepared import Prepared
from podium_models.ranker.data.signatures import ENCODER_FILE, RANKER_FILE
from podium_models.ranker.evaluation.groups import Groups, build_groups
from podium_models.ranker.evaluation.onnx_scorer import OnnxScorer
from podium_models.ranker.evaluation.report import (
    departments_table,
    gains_table,
    measure,
    metrics_table,
)
from podium_models.ranker.evaluation.scoring import Scores, score_groups

METRICS_FILE = "metrics.json"


def held_out_groups(prepared: Prepared, config: Config) -> Groups:
    """Lists the household-weeks of the test weeks, histories frozen before the first of them."""
    return build_groups(prepared, config.split.test_weeks, config.split.last_validation_week)


def score_offline(run: Path, prepared: Prepared, config: Config, groups: Groups) -> Scores:
    """Scores the test groups with the graphs of a run in ONNX Runtime."""
    scorer = OnnxScorer(run / "graphs" / ENCODER_FILE, run / "graphs" / RANKER_FILE)
    cutoff = config.split.last_validation_week
    return score_groups(scorer, prepared, groups, cutoff, config.model.max_length)


def evaluate(run: Path, prepared: Prepared, config: Config) -> dict[str, Any]:
    """Measures a run on the test weeks, writes ``metrics.json`` and prints the tables."""
    groups = held_out_groups(prepared, config)
    scores = score_offline(run, prepared, config, groups)
    result = measure(scores, prepared, groups, config.split.last_validation_week, config)
    text = json.dumps(result, indent=2) + "\n"
    (run / METRICS_FILE).write_text(text, encoding="utf-8")
    print(f"{result['households']} households, {result['household_weeks']} household-weeks")
    for part in (metrics_table, gains_table, departments_table):
        print("\n" + part(result))
    return result
