"""Runs ``evaluate``: every system on every query that it has not seen, with intervals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from podium_models.measure.bootstrap import Interval, bootstrap
from podium_models.measure.calibration import brier, expected_calibration_error, reliability
from podium_models.measure.classification import accuracy
from podium_models.text import names
from podium_models.text.config import Config
from podium_models.text.data.prepared import Prepared
from podium_models.text.evaluation.bm25 import bm25_scores
from podium_models.text.evaluation.lists import METRICS, NDCG, RELEVANT, measure_list
from podium_models.text.evaluation.report import draw_report, write_tables
from podium_models.text.texts import VIEWS

Floats = npt.NDArray[np.float64]
Values = dict[str, dict[str, dict[str, Floats]]]
"""By view, system and metric: one value a mixed list."""

BM25, MINILM, TEACHER, STUDENT = "BM25", "MiniLM, not fine-tuned", "teacher", "student, float32"
SHIPPED = "int8 (shipped)"
METRICS_FILE = "metrics.json"
SHIPPED_GRAPHS = "graphs-int8-dynamic"
BOTH = "mean of both"
SEED = 7


def minilm_scores(prepared: Prepared, config: Config) -> dict[str, list[Floats]]:
    """Scores with MiniLM's cosine as it is."""
    from dataclasses import replace

    from podium_models.text.evaluation.scoring import cross_validated
    from podium_models.text.forms import BI
    from podium_models.text.nn.ranker import Top
    from podium_models.text.training.teacher import load_base

    base = load_base()
    top = Top(base.bert, BI, 0)
    bi = replace(config, model=replace(config.model, form=BI))
    return cross_validated(lambda _: (base.bert, top), base.tokenizer, prepared, bi)


def trained_scores(run: Path, prepared: Prepared, config: Config) -> dict[str, Any]:
    """Scores with the graphs that are there: teacher, student and the shipped form of it."""
    from tokenizers import Tokenizer

    from podium_models.text.compress import teacher_graphs
    from podium_models.text.evaluation.graphs import ALL_GRAPH, GRAPHS, score_graphs

    directory, tokenizer = teacher_graphs(run, prepared, config)
    found = {TEACHER: score_graphs(directory, tokenizer, prepared, config)}
    student = run / names.STUDENT
    places = {
        STUDENT: (student / GRAPHS, student / names.TOKENIZER),
        SHIPPED: (run / SHIPPED_GRAPHS, run / SHIPPED_GRAPHS / names.TOKENIZER),
    }
    for name, (where, tokens) in places.items():
        if (where / ALL_GRAPH).is_file():
            own = Tokenizer.from_file(str(tokens))
            found[name] = score_graphs(where, own, prepared, config)
    return found


def measure(scores: dict[str, dict[str, list[Floats]]], prepared: Prepared) -> Values:
    """Measures every system on mixed lists."""
    mixed = [place for place, one in enumerate(prepared.lists) if one.mixed]
    values: Values = {}
    for view in VIEWS:
        values[view] = {}
        for system, by_view in scores.items():
            rows = [measure_list(by_view[view][n], prepared.lists[n].ratings) for n in mixed]
            values[view][system] = {
                name: np.asarray([row[name] for row in rows]) for name in METRICS
            }
    return values


def gains(values: Values) -> dict[str, dict[str, Interval]]:
    """Returns paired differences of NDCG@10, query by query, of each view and of their mean."""
    pairs = [
        (TEACHER, MINILM),
        (TEACHER, BM25),
        (MINILM, BM25),
        (SHIPPED, BM25),
        (SHIPPED, MINILM),
        (SHIPPED, TEACHER),
        (SHIPPED, STUDENT),
    ]
    reached = {
        view: {name: one[NDCG] for name, one in systems.items()} for view, systems in values.items()
    }
    names = next(iter(reached.values()))
    reached[BOTH] = {
        name: np.mean([systems[name] for systems in reached.values()], axis=0) for name in names
    }
    return {
        view: {
            f"{left} - {right}": bootstrap(systems[left] - systems[right], SEED)
            for left, right in pairs
            if left in systems and right in systems
        }
        for view, systems in reached.items()
    }


def calibrations(
    scores: dict[str, dict[str, list[Floats]]], prepared: Prepared
) -> dict[str, dict[str, Any]]:
    """Compares the sigmoid of fitted systems' logits with "rated 2 or 3", over all pairs."""
    truth = np.concatenate([one.ratings for one in prepared.lists]) >= RELEVANT
    found: dict[str, dict[str, Any]] = {}
    for system, by_view in scores.items():
        if system in (BM25, MINILM):
            continue
        for view in VIEWS:
            chance = 1.0 / (1.0 + np.exp(-np.concatenate(by_view[view])))
            table = reliability(chance, truth)
            found[f"{system}, {view}"] = {
                "predicted": float(chance.mean()),
                "happened": float(truth.mean()),
                "accuracy": accuracy(chance, truth),
                "brier": brier(chance, truth),
                "ece": expected_calibration_error(table),
                "table": table,
            }
    return found


def evaluate(run: Path, prepared: Prepared, config: Config) -> None:
    """Writes ``metrics.json``, ``metrics.md`` and ``metrics.png`` and prints the tables."""
    lexical = {view: bm25_scores(prepared, view) for view in VIEWS}
    scores = {BM25: lexical, MINILM: minilm_scores(prepared, config)}
    scores |= trained_scores(run, prepared, config)
    values, calibrated = measure(scores, prepared), calibrations(scores, prepared)
    differences = gains(values)
    content = {
        "queries": sum(one.mixed for one in prepared.lists),
        "all_queries": len(prepared.lists),
        "pairs": sum(len(one.ratings) for one in prepared.lists),
        "folds": config.data.folds,
        "metrics": {
            view: {
                system: {name: bootstrap(one, SEED)._asdict() for name, one in by_metric.items()}
                for system, by_metric in systems.items()
            }
            for view, systems in values.items()
        },
        "gains": {
            view: {name: one._asdict() for name, one in some.items()}
            for view, some in differences.items()
        },
        "calibration": {
            name: {key: one for key, one in some.items() if key != "table"}
            for name, some in calibrated.items()
        },
    }
    (run / METRICS_FILE).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    print(write_tables(run / "metrics.md", content))
    draw_report(run / "metrics.png", values, {k: one["table"] for k, one in calibrated.items()})
