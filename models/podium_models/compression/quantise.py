"""Turns a float32 graph into int8 or fp16, file to file.

Weights lose one bit where activations are int8 too: processors without VNNI add pairs of products
in 16 bits, which overflow with eight, so that the same file would score differently there.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from podium_models.compression.rows import quantise_products
from podium_models.compression.tables import quantise_tables

Feeds = Mapping[str, npt.NDArray[Any]]

PRODUCTS = ["MatMul", "Gemm"]


def prepared(source: Path, directory: str) -> Path:
    """Infers shapes and folds constants, which ONNX Runtime's quantisers ask for."""
    from onnxruntime.quantization.shape_inference import quant_pre_process

    out = Path(directory) / "prepared.onnx"
    quant_pre_process(str(source), str(out), skip_symbolic_shape=True)
    return out


def finish(model: onnx.ModelProto, target: Path) -> None:
    """Stores tables by row and writes a graph without local paths in it."""
    quantise_tables(model)
    for node in model.graph.node:
        node.ClearField("doc_string")
    model.producer_name, model.producer_version = "podium_models", ""
    onnx.checker.check_model(model)
    onnx.save(model, str(target))


def quantise_dynamic(source: Path, target: Path) -> None:
    """Writes int8 weights; activations are rounded by what each batch holds.

    A row's score then depends a little on the rows beside it: a ranker that is served in the
    layout ``rows`` should be rounded by ``quantise_rowwise`` or ``quantise_static``.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory) / "dynamic.onnx"
        quantize_dynamic(
            str(prepared(source, directory)),
            str(out),
            op_types_to_quantize=PRODUCTS,
            per_channel=True,
            reduce_range=True,
            weight_type=QuantType.QInt8,
            extra_options={"MatMulConstBOnly": True},
        )
        finish(onnx.load(str(out)), target)


def quantise_rowwise(source: Path, target: Path) -> None:
    """Writes int8 weights; each row of activations is rounded by its own largest value.

    As dynamic as ``quantise_dynamic``, but no row's score depends on another's.
    """
    with tempfile.TemporaryDirectory() as directory:
        model = onnx.load(str(prepared(source, directory)))
        quantise_products(model)
        finish(model, target)


def quantise_static(source: Path, target: Path, batches: Iterable[Feeds]) -> None:
    """Writes int8 weights, and activations rounded by ranges measured on ``batches``."""
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        """Hands out the batches."""

        def __init__(self) -> None:
            self.left = iter(batches)

        def get_next(self) -> dict[str, npt.NDArray[Any]] | None:
            """Returns the next batch, and None after the last."""
            found = next(self.left, None)
            return None if found is None else dict(found)

    with tempfile.TemporaryDirectory() as directory, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        out = Path(directory) / "static.onnx"
        quantize_static(
            str(prepared(source, directory)),
            str(out),
            Reader(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=PRODUCTS,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            extra_options={"MatMulConstBOnly": True, "CalibMovingAverage": False},
        )
        finish(onnx.load(str(out)), target)


def to_fp16(source: Path, target: Path) -> None:
    """Writes weights and arithmetic in fp16; inputs and outputs keep their types."""
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    half = convert_float_to_float16(onnx.load(str(source)), keep_io_types=True)
    ordered = OnnxModel(half)
    ordered.topological_sort()
    model = ordered.model
    onnx.checker.check_model(model)
    onnx.save(model, str(target))


def outputs_of(path: Path, feeds: Feeds) -> list[npt.NDArray[np.float32]]:
    """Runs a graph once on the CPU and returns all its outputs."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return list(session.run(None, dict(feeds)))
