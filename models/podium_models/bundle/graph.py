"""Converts a torch module to an ONNX graph with named axes, and compares two runtimes' outputs."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from podium_models.bundle.manifest import OPSET

Axes = dict[str, dict[int, str]]


def state_dims(graph: onnx.ModelProto, axes: Axes, samples: dict[str, tuple[int, ...]]) -> None:
    """Writes every output's dims into the graph: the name of a dynamic axis, else its number."""
    for output in graph.graph.output:
        dims = output.type.tensor_type.shape.dim
        for place, (dim, length) in enumerate(zip(dims, samples[output.name], strict=True)):
            name = axes[output.name].get(place)
            if name is None:
                dim.dim_value = length
            else:
                dim.dim_param = name


def convert(
    network: nn.Module, inputs: dict[str, Tensor], outputs: tuple[str, ...], axes: Axes, path: Path
) -> None:
    """Writes one network as an ONNX graph with the named dynamic axes and no local paths in it."""
    network.eval()
    with torch.no_grad():
        traced = network(*inputs.values())
    traced = traced if isinstance(traced, tuple) else (traced,)
    samples = {name: tuple(one.shape) for name, one in zip(outputs, traced, strict=True)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            tuple(inputs.values()),
            str(path),
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
            do_constant_folding=True,
        )
    network.eval()
    graph = onnx.load(str(path))
    for node in graph.graph.node:
        node.ClearField("doc_string")
    state_dims(graph, axes, samples)
    onnx.checker.check_model(graph, full_check=True)
    onnx.save(graph, str(path))


def largest_difference(left: np.ndarray, right: np.ndarray) -> float:
    """Returns the largest |left - right| / max(1, |right|); non-finite values raise."""
    if not (np.isfinite(left).all() and np.isfinite(right).all()):
        raise ArithmeticError("a graph gave a value that is not finite")
    return float(np.max(np.abs(left - right) / np.maximum(1.0, np.abs(right)), initial=0.0))
