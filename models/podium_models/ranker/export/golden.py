"""Makes golden vectors: raw graph inputs with ONNX Runtime's outputs."""

from __future__ import annotations

from typing import Any

import numpy as np

from podium_models.bundle.golden import case
from podium_models.ranker.data.assemble import Arrays, encoder_inputs, ranker_rows, week_inputs
from podium_models.ranker.data.labels import label_columns
from podium_models.ranker.data.prepared import Prepared
from podium_models.ranker.data.signatures import ENCODER_OUTPUT, RANKER_OUTPUTS
from podium_models.ranker.data.visits import visits_at
from podium_models.ranker.evaluation.onnx_scorer import OnnxScorer
from podium_models.ranker.export.random_inputs import random_encoder_inputs, random_ranker_inputs

SHORT_HISTORY = 12


def encoder_cases(prepared: Prepared, cutoff: int) -> dict[str, Arrays]:
    """Chooses encoder inputs: nobody's history, a household's, and a padded pair."""
    empty: Arrays = {
        "item": np.zeros((1, 1), np.int64),
        "category": np.zeros((1, 1), np.int64),
        "gap": np.zeros((1, 1), np.float32),
        "mask": np.zeros((1, 1), np.float32),
    }
    household, week = np.array([0]), np.array([cutoff])
    random = np.random.default_rng(3)
    return {
        "unknown shopper": empty,
        "first household": encoder_inputs(prepared, household, week, SHORT_HISTORY),
        "two padded histories": random_encoder_inputs(prepared, random, users=2, length=7),
    }


def encoder_golden(prepared: Prepared, scorer: OnnxScorer, cutoff: int) -> dict[str, Any]:
    """Returns the encoder's golden file."""
    return {
        "cases": [
            case(name, inputs, {ENCODER_OUTPUT: scorer.embed(inputs)})
            for name, inputs in encoder_cases(prepared, cutoff).items()
        ]
    }


def ranker_golden(prepared: Prepared, scorer: OnnxScorer, cutoff: int) -> dict[str, Any]:
    """Returns the ranker's golden file, over the encoder's golden users."""
    random = np.random.default_rng(4)
    users = {name: scorer.embed(one) for name, one in encoder_cases(prepared, cutoff).items()}
    visit = visits_at(np.array([0]), np.array([cutoff + 1]), cutoff)
    real = {
        "user_embedding": users["first household"],
        "week": week_inputs(prepared, visit.week),
        **ranker_rows(prepared, visit, np.arange(8)[None, :], label_columns(prepared, visit)),
    }
    inputs: dict[str, Arrays] = {
        "unknown shopper, one row": random_ranker_inputs(
            prepared, random, users["unknown shopper"], rows=1
        ),
        "first household": real,
        "two users": random_ranker_inputs(prepared, random, users["two padded histories"], rows=6),
    }
    inputs["two users"]["item"][0] = 1
    inputs["two users"]["category"][0] = 1
    cases = []
    for name, one in inputs.items():
        rows = {key: values for key, values in one.items() if key not in ("user_embedding", "week")}
        heads = scorer.rank(one["user_embedding"], one["week"], rows)
        cases.append(case(name, one, dict(zip(RANKER_OUTPUTS, heads, strict=True))))
    return {"cases": cases}
