"""Represents items: an embedding of their own, joined with their attributes and dense features."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from podium_models.sequence.config import ModelConfig
from podium_models.sequence.data.interactions import Interactions

ATTRIBUTES_KEPT = 64
"""An item's attributes beyond this many are left out, so that one odd item cannot fill memory."""


def pad_attributes(data: Interactions) -> npt.NDArray[np.int64]:
    """Lays the attributes of all items side by side, padded with 0: [items, most] int64."""
    counts = np.minimum(np.diff(data.attribute_offsets), ATTRIBUTES_KEPT)
    padded = np.zeros((data.items.size, max(1, int(counts.max(initial=0)))), dtype=np.int64)
    row = np.repeat(np.arange(data.items.size), counts)
    place = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    padded[row, place] = data.attribute_values[data.attribute_offsets[row] + place]
    return padded


class Items(nn.Module):
    """Maps item indices to vectors that serve as inputs and, for scoring, as targets."""

    attribute_ids: Tensor
    dense: Tensor

    def __init__(self, data: Interactions, config: ModelConfig) -> None:
        super().__init__()
        std = config.width**-0.5 if config.similarity == "cosine" else 0.02
        self.own = nn.Embedding(data.items.size, config.width, padding_idx=0)
        nn.init.normal_(self.own.weight, std=std)
        self.attribute = self.project = None
        if config.attributes and data.attributes.names:
            self.attribute = nn.Embedding(data.attributes.size, config.width, padding_idx=0)
            nn.init.normal_(self.attribute.weight, std=std)
            self.register_buffer("attribute_ids", torch.from_numpy(pad_attributes(data)))
        if config.dense and data.dense.shape[1]:
            self.project = nn.Linear(data.dense.shape[1], config.width)
            nn.init.normal_(self.project.weight, std=std * data.dense.shape[1] ** -0.5)
            nn.init.zeros_(self.project.bias)
            self.register_buffer("dense", torch.from_numpy(data.dense))
        with torch.no_grad():
            self.own.weight[0].zero_()
            if self.attribute is not None:
                self.attribute.weight[0].zero_()

    def forward(self, index: Tensor) -> Tensor:
        """Returns the vectors [..., width] float32 of indices [...] int64; padding gives zeros."""
        vector: Tensor = self.own(index)
        if self.attribute is not None:
            ids = self.attribute_ids[index]
            count = (ids > 0).sum(-1, keepdim=True).clamp(min=1)
            vector = vector + self.attribute(ids).sum(-2) / count
        if self.project is not None:
            vector = vector + self.project(self.dense[index])
        return vector

    def table(self) -> Tensor:
        """Returns every item's vector, [items, width] float32."""
        return self.forward(torch.arange(self.own.num_embeddings, device=self.own.weight.device))
