"""Renders golden vectors: a graph's raw inputs with the outputs that ONNX Runtime gave."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Arrays = dict[str, npt.NDArray[Any]]


def tensor(values: npt.NDArray[np.generic]) -> dict[str, Any]:
    """Renders a tensor with its dtype, shape and row-major data."""
    flat = values.reshape(-1)
    floats = values.dtype == np.float32
    data = [float(str(one)) for one in flat] if floats else [int(one) for one in flat]
    return {"dtype": str(values.dtype), "shape": list(values.shape), "data": data}


def case(name: str, inputs: Arrays, outputs: Arrays) -> dict[str, Any]:
    """Renders one golden case."""
    return {
        "name": name,
        "inputs": {key: tensor(values) for key, values in inputs.items()},
        "outputs": {key: tensor(values) for key, values in outputs.items()},
    }
