"""Runs both graphs in ONNX Runtime on the CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from podium_models.bundle.session import open_session
from podium_models.ranker.data.assemble import Arrays
from podium_models.ranker.data.signatures import ENCODER_OUTPUT, RANKER_OUTPUTS

Floats = npt.NDArray[np.float32]


class OnnxScorer:
    """Scores with the exported graphs, as the server does."""

    def __init__(self, encoder: Path, ranker: Path, threads: int = 2) -> None:
        self.encoder = open_session(encoder, threads)
        self.ranker = open_session(ranker, threads)

    def embed(self, inputs: Arrays) -> Floats:
        """Returns the user embedding [users, states, width] float32."""
        result: Floats = self.encoder.run([ENCODER_OUTPUT], inputs)[0]
        return result

    def rank(self, embedding: Floats, week: Floats, rows: Arrays) -> tuple[Floats, ...]:
        """Returns the logits of every head, each [rows] float32."""
        inputs = {"user_embedding": embedding, "week": week, **rows}
        return tuple(self.ranker.run(list(RANKER_OUTPUTS), inputs))
