"""A perceptron of 64, 128 and 1, so small that what is around the run is what costs."""

from __future__ import annotations

import json

import numpy as np

from bundle import Bundle, Tensor, Tensors, graph, inputs

WIDTH, HIDDEN, CANDIDATES, SEED = 64, 128, 256, 5

GRAPH = f"""tiny_mlp (float[rows, {WIDTH}] features) => (float[rows] score) {{
  raised = MatMul(features, first_weight)
  shifted = Add(raised, first_bias)
  bent = Relu(shifted)
  summed = MatMul(bent, second_weight)
  score = Squeeze(summed, last)
}}"""

MANIFEST = f"""format = 1
role = "ranker"
description = "A perceptron of {WIDTH}, {HIDDEN} and 1 over one vector a candidate; made up, for benchmarks."

{inputs(features=f'source = "candidate"{chr(10)}dtype = "float32"{chr(10)}shape = ["rows", {WIDTH}]')}
[[outputs]]
name = "score"
shape = ["rows"]
activation = "sigmoid"

[example]
file = "example.json"
"""


def bundle() -> Bundle:
    """Returns `tiny-mlp/1`."""
    random = np.random.default_rng(SEED)

    def normal(*shape: int) -> Tensor:
        return random.normal(scale=1 / np.sqrt(shape[0]), size=shape).astype(np.float32)

    weights: Tensors = {
        "first_weight": normal(WIDTH, HIDDEN),
        "first_bias": normal(HIDDEN),
        "second_weight": normal(HIDDEN, 1),
        "last": np.array([1], np.int64),
    }
    features = np.round(random.normal(size=(CANDIDATES, WIDTH)), 3)
    cases: dict[str, Tensors] = {
        "one row": {"features": features[:1].astype(np.float32)},
        "five rows": {"features": features[1:6].astype(np.float32)},
    }
    column = {"name": "features", "vectors": {"dim": WIDTH, "values": features.flatten().tolist()}}
    ids = [f"row-{place:04}" for place in range(CANDIDATES)]
    example = json.dumps({"candidates": {"ids": ids, "columns": [column]}}).encode()
    return Bundle("tiny-mlp", "1", MANIFEST, graph(GRAPH, weights), cases, {"example.json": example})
