"""Runs both graphs in ONNX Runtime on the CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from podium_models.ranker.data.assemble import Arrays
from podium_models.ranker.data.signatures import ENCODER_OUTPUT, RANKER_OUTPUTS

Floats = npt.NDArray[np.float32]


def open_session(path: Path, threads: int) -> ort.InferenceSession:
    """Opens a graph on the CPU without spinning threads."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


class OnnxScorer:
    """Scores with the exported graphs, as the server does."""

    def __init__(self, encoder: Path, ranker: Path, threads: int = 2) -> None:
        self.encoder = open_session(encoder, threads)
        self.ranker = open_session(ranker, threads)

    def embed(self, inputs: Arrays) -> Floats:
        """Returns the user embedding [users, states, width] float32."""
        result: Floats = self.encoder.run([ENCODER_OUTPUT], inputs)[0]
        return result

    def rank(self, embedding: Floats, week: Floats, rows: Arrays) -> tuple[Floats, Floats]:
        """Returns the logits of both heads, each [rows] float32."""
        inputs = {"user_embedding": embedding, "week": week, **rows}
        purchase, interest = self.ranker.run(list(RANKER_OUTPUTS), inputs)
        return purchase, interest
