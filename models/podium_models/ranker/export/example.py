"""Makes the example request: candidates any shop would consider in the first test week."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt

from podium_models.bundle.vocabulary import FIRST
from podium_models.ranker.data.candidates import popularity_order
from podium_models.ranker.data.prepared import Prepared

POPULAR, PROMOTED = 160, 80

Ints = npt.NDArray[np.int64]


def example_items(prepared: Prepared, cutoff: int, week: int) -> Ints:
    """Chooses 240 item indices: the most popular, then those promoted most in the week.

    Promotion is the share of stores with a display plus that with a mailer, weighed by the root of
    the popularity so that hardly bought items stay out; ties by index.
    """
    features = prepared.features
    popular = popularity_order(features.popularity[cutoff])[:POPULAR]
    push = (features.display[week] + features.mailer[week]) * np.sqrt(features.popularity[cutoff])
    push[:FIRST] = -1.0
    push[popular] = -1.0
    pushed = np.argsort(-push, kind="stable")[:PROMOTED]
    return np.concatenate([popular, pushed[push[pushed] >= 0.0]])


def example_request(prepared: Prepared, cutoff: int, week: int) -> dict[str, Any]:
    """Returns a ``podium.v1.RankRequest`` without a user, in proto3's JSON mapping."""
    items, features = example_items(prepared, cutoff, week), prepared.features
    columns = {
        "price": features.price[cutoff],
        "discount": features.discount[cutoff],
        "display": features.display[week],
        "mailer": features.mailer[week],
    }
    return {
        "context": [{"name": "week", "floats": {"values": [float(prepared.calendar[week])]}}],
        "candidates": {
            "ids": [prepared.items.names[item - FIRST] for item in items],
            "columns": [
                {"name": name, "floats": {"values": [float(str(one)) for one in values[items]]}}
                for name, values in columns.items()
            ],
        },
    }


def compact_json(value: Any) -> str:
    """Renders JSON on one line with a line end."""
    return json.dumps(value, separators=(",", ":")) + "\n"
