"""The model.py of each model that `triton.py` has Triton serve: one run of ONNX Runtime for all requests of a call."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb


class TritonPythonModel:
    """One instance, in a process of its own."""

    def initialize(self, args: dict[str, str]) -> None:
        """Loads the graph that the configuration names, on one thread."""
        config = json.loads(args["model_config"])
        self.inputs = [one["name"] for one in config["input"]]
        self.outputs = [one["name"] for one in config["output"]]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        path = config["parameters"]["onnx"]["string_value"]
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def execute(self, requests: list[Any]) -> list[Any]:
        """Joins the requests along their first dimension, runs them, and takes the answer apart."""
        parts = [[pb.get_input_tensor_by_name(one, name).as_numpy() for name in self.inputs] for one in requests]
        feeds = parts[0] if len(parts) == 1 else [np.concatenate(part) for part in zip(*parts, strict=True)]
        try:
            answers = self.session.run(self.outputs, dict(zip(self.inputs, feeds, strict=True)))
        except Exception as error:
            return [pb.InferenceResponse(error=pb.TritonError(str(error))) for _ in requests]
        responses, start = [], 0
        for part in parts:
            end = start + len(part[0])
            own = zip(self.outputs, answers, strict=True)
            responses.append(pb.InferenceResponse([pb.Tensor(name, values[start:end]) for name, values in own]))
            start = end
        return responses
