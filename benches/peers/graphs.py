"""What a server has to know of an ONNX graph: its name, and the name, type and dims of each tensor."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

DATATYPES = {
    onnx.TensorProto.BOOL: "BOOL",
    onnx.TensorProto.UINT8: "UINT8",
    onnx.TensorProto.INT8: "INT8",
    onnx.TensorProto.INT16: "INT16",
    onnx.TensorProto.INT32: "INT32",
    onnx.TensorProto.INT64: "INT64",
    onnx.TensorProto.FLOAT16: "FP16",
    onnx.TensorProto.FLOAT: "FP32",
    onnx.TensorProto.DOUBLE: "FP64",
}
"""The protocol's names of the types that all servers here take; texts are not among them."""

Dim = int | str | None


@dataclass(frozen=True)
class Tensor:
    """An input or output: `dims` are numbers where they are fixed, else names, or nothing."""

    name: str
    datatype: str
    dtype: np.dtype[Any]
    dims: tuple[Dim, ...]

    @property
    def shape(self) -> list[int]:
        """The dims as the protocol has them: -1 where they vary."""
        return [dim if isinstance(dim, int) else -1 for dim in self.dims]


@dataclass(frozen=True)
class Graph:
    """A graph whose tensors are all led by the same dimension, so that requests can be joined along it."""

    name: str
    path: Path
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


def model_name(path: Path) -> str:
    """Returns `mlp` for `mlp.onnx`, `mlp/model.onnx` and `mlp/1/model.onnx`."""
    if path.stem != "model":
        return path.stem
    folder = path.absolute().parent
    return folder.parent.name if folder.name.isdecimal() else folder.name


def tensor(value: onnx.ValueInfoProto) -> Tensor:
    """Reads an input or output of a graph."""
    kind = value.type.tensor_type
    if kind.elem_type not in DATATYPES:
        raise SystemExit(f"error: {value.name}: only tensors of numbers are served here")
    if not kind.HasField("shape"):
        raise SystemExit(f"error: {value.name}: the graph does not tell its dims")
    dims = [one.dim_value if one.HasField("dim_value") else one.dim_param or None for one in kind.shape.dim]
    dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type))
    return Tensor(value.name, DATATYPES[kind.elem_type], dtype, tuple(dims))


def read(path: Path, name: str | None = None) -> Graph:
    """Reads the graph of a file; without a name it is called by the file."""
    graph = onnx.load(path, load_external_data=False).graph
    constants = {one.name for one in graph.initializer}
    inputs = tuple(tensor(one) for one in graph.input if one.name not in constants)
    outputs = tuple(tensor(one) for one in graph.output)
    leads = {one.dims[0] if one.dims else 1 for one in (*inputs, *outputs)}
    if len(leads) != 1 or isinstance(next(iter(leads)), int):
        raise SystemExit(
            f"error: {path}: requests can be joined only where all inputs and outputs are led by one dimension that"
            f" varies; here they are led by {', '.join(sorted(map(str, leads)))}. benches/peers/repeated.py makes such"
            " a graph of a ranker that has a user's side"
        )
    return Graph(name or model_name(path), path.absolute(), inputs, outputs)
