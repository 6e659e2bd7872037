"""Scores all items with the torch model."""

from __future__ import annotations

import numpy as np
import torch

from podium_models.sequence.evaluation.ranks import Floats, Ints
from podium_models.sequence.nn.encoder import SequenceEncoder


class TorchScorer:
    """Holds the item table of one state of the model, so that it is made once."""

    def __init__(self, model: SequenceEncoder) -> None:
        model.eval()
        self.model = model
        self.device = model.position.device
        with torch.no_grad():
            self.table = model.target_table()

    def __call__(self, item: Ints, mask: Floats) -> Floats:
        """Returns scores [users, items] float32."""
        with torch.no_grad():
            embedding = self.model(
                torch.from_numpy(item).to(self.device), torch.from_numpy(mask).to(self.device)
            )
            scores = embedding @ self.table.T
        return np.asarray(scores.float().cpu().numpy(), dtype=np.float32)
