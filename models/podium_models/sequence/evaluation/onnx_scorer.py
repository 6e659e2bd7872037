"""Scores with the exported graphs in ONNX Runtime, as the server does."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from podium_models.bundle.session import open_session
from podium_models.sequence.evaluation.ranks import Floats, Ints


class GraphPair:
    """Holds the encoder's and the ranker's sessions on the CPU."""

    def __init__(self, encoder: Path, ranker: Path, threads: int = 2) -> None:
        self.encoder = open_session(encoder, threads)
        self.ranker = open_session(ranker, threads)

    def embed(self, item: Ints, mask: Floats) -> Floats:
        """Returns the embeddings [users, width] float32 of right-padded histories."""
        result: Floats = self.encoder.run(["user_embedding"], {"item": item, "mask": mask})[0]
        return result

    def rank(self, embedding: Floats, user_index: Ints, item: Ints) -> Floats:
        """Returns the scores [rows] float32 of candidate rows."""
        inputs = {"user_embedding": embedding, "user_index": user_index, "item": item}
        result: Floats = self.ranker.run(["score"], inputs)[0]
        return result


class GraphScorer:
    """Scores every item for every user through both graphs."""

    def __init__(self, graphs: GraphPair, items: int) -> None:
        self.graphs, self.items = graphs, items

    def __call__(self, item: Ints, mask: Floats) -> Floats:
        """Returns scores [users, items] float32."""
        users = len(item)
        embedding = self.graphs.embed(item, mask)
        scores = [
            self.graphs.rank(
                embedding[user : user + 1],
                np.zeros(self.items, dtype=np.int64),
                np.arange(self.items, dtype=np.int64),
            )
            for user in range(users)
        ]
        return np.stack(scores)
