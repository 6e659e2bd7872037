"""Stores embedding tables as int8 with one scale a row."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

MINIMUM_ROWS = 256
"""Smaller tables stay as they are: they cost nothing and a scale a row would not pay."""


def quantise_rows(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rounds [rows, width] float32 to int8 and its scales [rows, 1] float32, symmetric by row."""
    scale = np.abs(table).max(axis=1, keepdims=True) / 127.0
    scale = np.where(scale == 0.0, 1.0, scale).astype(np.float32)
    return np.clip(np.rint(table / scale), -127, 127).astype(np.int8), scale


def gather_rows(node: onnx.NodeProto, table: str) -> list[onnx.NodeProto]:
    """Replaces one look-up: int8 rows and their scales are gathered, cast and multiplied."""
    indices, out = node.input[1], node.output[0]
    return [
        helper.make_node("Gather", [f"{table}.int8", indices], [f"{out}.int8"], axis=0),
        helper.make_node("Cast", [f"{out}.int8"], [f"{out}.cast"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Gather", [f"{table}.scale", indices], [f"{out}.scale"], axis=0),
        helper.make_node("Mul", [f"{out}.cast", f"{out}.scale"], [out], name=f"{out}.rows"),
    ]


def quantise_tables(model: onnx.ModelProto, minimum_rows: int = MINIMUM_ROWS) -> int:
    """Stores every float table that is only looked up as int8, in place, and returns how many.

    Look-ups of a table stay one row each, so that no row's rounding depends on another's.
    """
    graph = model.graph
    floats = {one.name: one for one in graph.initializer if one.data_type == onnx.TensorProto.FLOAT}
    tables = {name for name, one in floats.items() if len(one.dims) == 2}
    tables = {name for name in tables if floats[name].dims[0] >= minimum_rows}
    for node in graph.node:
        lookup = node.op_type == "Gather" and all(one.i == 0 for one in node.attribute)
        tables -= set(node.input[1:] if lookup else node.input)
    for name in sorted(tables):
        rows, scale = quantise_rows(numpy_helper.to_array(floats[name]))
        graph.initializer.remove(floats[name])
        graph.initializer.append(numpy_helper.from_array(rows, f"{name}.int8"))
        graph.initializer.append(numpy_helper.from_array(scale, f"{name}.scale"))
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        changed = node.op_type == "Gather" and node.input[0] in tables
        nodes.extend(gather_rows(node, node.input[0]) if changed else [node])
    kept = [onnx.NodeProto.FromString(one.SerializeToString()) for one in nodes]
    del graph.node[:]
    graph.node.extend(kept)
    return len(tables)
