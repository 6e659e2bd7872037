"""Multiplies in int8 with activations rounded row by row, out of standard operators alone.

ONNX Runtime's dynamic quantisation rounds a whole batch by its largest value, so a row's score
depends on the rows beside it. Here every row (one token of one text) has a scale of its own.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

WEIGHT_LIMIT = 63
"""Seven bits: two products of uint8 and int8 then fit the 16 bits that AVX2 adds them in."""

ZERO, HALF_RANGE = "rows.zero", "rows.half_range"
LEAST, UNIT = "rows.least", "rows.unit"


def constants() -> list[onnx.TensorProto]:
    """Returns the scalars that every rounded product shares."""
    values: dict[str, np.ndarray] = {
        ZERO: np.array(128, np.uint8),
        HALF_RANGE: np.array(1.0 / 127.0, np.float32),
        LEAST: np.array(1e-12, np.float32),
        UNIT: np.array(1.0, np.float32),
    }
    return [numpy_helper.from_array(value, name) for name, value in values.items()]


def round_weight(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rounds [in, out] float32 to int8 of seven bits and its scales [out] float32, by column."""
    scale = np.abs(weight).max(axis=0) / WEIGHT_LIMIT
    scale = np.where(scale == 0.0, 1.0, scale).astype(np.float32)
    rounded = np.clip(np.rint(weight / scale), -WEIGHT_LIMIT, WEIGHT_LIMIT)
    return rounded.astype(np.int8), scale


def round_activation(name: str) -> list[onnx.NodeProto]:
    """Makes ``NAME.rounded`` (uint8 around 128) and ``NAME.scale`` (one for each row)."""
    make = helper.make_node
    return [
        make("Abs", [name], [f"{name}.abs"]),
        make("ReduceMax", [f"{name}.abs"], [f"{name}.largest"], axes=[-1], keepdims=1),
        make("Mul", [f"{name}.largest", HALF_RANGE], [f"{name}.raw_scale"]),
        make("Max", [f"{name}.raw_scale", LEAST], [f"{name}.scale"]),
        make("Div", [name, f"{name}.scale"], [f"{name}.scaled"]),
        make("QuantizeLinear", [f"{name}.scaled", UNIT, ZERO], [f"{name}.rounded"]),
    ]


def multiply(node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """Replaces one product of a rounded activation and a rounded weight."""
    (name, weight), out = node.input, node.output[0]
    make = helper.make_node
    inputs = [f"{name}.rounded", f"{weight}.int8", ZERO]
    return [
        make("MatMulInteger", inputs, [f"{out}.int32"], name=f"{out}.integer"),
        make("Cast", [f"{out}.int32"], [f"{out}.float"], to=onnx.TensorProto.FLOAT),
        make("Mul", [f"{out}.float", f"{weight}.scale"], [f"{out}.columns"]),
        make("Mul", [f"{out}.columns", f"{name}.scale"], [out]),
    ]


def quantise_products(model: onnx.ModelProto) -> int:
    """Rounds every product with a constant matrix, in place, and returns how many there were."""
    graph = model.graph
    floats = {one.name: one for one in graph.initializer if one.data_type == onnx.TensorProto.FLOAT}
    matrices = {name for name, one in floats.items() if len(one.dims) == 2}
    changed = [one for one in graph.node if one.op_type == "MatMul" and one.input[1] in matrices]
    for weight in sorted({one.input[1] for one in changed}):
        rounded, scale = round_weight(numpy_helper.to_array(floats[weight]))
        graph.initializer.append(numpy_helper.from_array(rounded, f"{weight}.int8"))
        graph.initializer.append(numpy_helper.from_array(scale, f"{weight}.scale"))
    graph.initializer.extend(constants() if changed else [])
    nodes: list[onnx.NodeProto] = []
    rounded_names: set[str] = set()
    targets = {one.output[0] for one in changed}
    for node in graph.node:
        if not (node.output and node.output[0] in targets):
            nodes.append(node)
            continue
        if node.input[0] not in rounded_names:
            nodes.extend(round_activation(node.input[0]))
            rounded_names.add(node.input[0])
        nodes.extend(multiply(node))
    kept = [onnx.NodeProto.FromString(one.SerializeToString()) for one in nodes]
    del graph.node[:]
    graph.node.extend(kept)
    used = {name for node in graph.node for name in node.input}
    for one in [one for one in graph.initializer if one.name not in used]:
        graph.initializer.remove(one)
    return len(changed)
