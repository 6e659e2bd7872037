"""Defines the user encoder: a causal Transformer over the latest items of a history.

Source: Kang and McAuley, "Self-Attentive Sequential Recommendation", 2018, with pre-norm blocks;
the masked-item task follows Sun et al., "BERT4Rec", 2019.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from podium_models.nn.attention import MASKED, EncoderBlock
from podium_models.sequence.config import ModelConfig
from podium_models.sequence.data.interactions import Interactions
from podium_models.sequence.nn.items import Items


class SequenceEncoder(nn.Module):
    """Turns right-padded histories into one vector a user.

    A position is counted from the end of the history: the latest event is always at place 0.
    """

    def __init__(self, data: Interactions, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.items = Items(data, config)
        self.position = nn.Parameter(torch.randn(config.max_length, config.width) * 0.02)
        self.nobody = nn.Parameter(torch.randn(config.width) * 0.02)
        self.blocks = nn.ModuleList(
            EncoderBlock(
                config.width, config.heads, config.dropout, config.expansion, config.dropout
            )
            for _ in range(config.layers)
        )
        self.before = nn.LayerNorm(config.width)
        self.after = nn.LayerNorm(config.width)
        self.dropout = nn.Dropout(config.dropout)

    def hidden(self, item: Tensor, mask: Tensor, causal: bool = True) -> Tensor:
        """Returns the state at every event, [users, length, width] float32.

        ``item`` [users, length] int64 and ``mask`` [users, length] float32, right padded, oldest
        first. Unless ``causal``, an event sees the later ones too.
        """
        length = item.shape[1]
        places = torch.arange(length, device=item.device)
        count = mask.sum(1).to(torch.int64)
        back = (count.unsqueeze(1) - 1 - places).clamp(0, self.config.max_length - 1)
        scale = self.config.width**0.5 if self.config.similarity == "dot" else 1.0
        states: Tensor = self.items(item) * scale + self.position[back]
        states = self.dropout(self.before(states))
        if causal:
            allowed = (places.unsqueeze(0) <= places.unsqueeze(1)).to(mask.dtype)
            bias = ((1.0 - allowed) * MASKED).reshape(1, 1, length, length)
        else:
            bias = ((1.0 - mask) * MASKED).reshape(-1, 1, 1, length)
        for block in self.blocks:
            states = block(states, bias)
        return self.normal(self.after(states))

    def normal(self, vectors: Tensor) -> Tensor:
        """Scales vectors [..., width] to length 1 where the similarity is the cosine."""
        if self.config.similarity == "dot":
            return vectors
        return F.normalize(vectors, dim=-1)

    def targets(self, index: Tensor) -> Tensor:
        """Returns what states are multiplied with to score items: [..., width] float32."""
        return self.sharpened(self.items(index))

    def target_table(self) -> Tensor:
        """Returns the targets of all items, [items, width] float32."""
        return self.sharpened(self.items.table())

    def sharpened(self, vectors: Tensor) -> Tensor:
        """Normalises item vectors and divides them by the temperature where the config says so."""
        if self.config.similarity == "dot":
            return vectors
        return F.normalize(vectors, dim=-1) / self.config.temperature

    def forward(self, item: Tensor, mask: Tensor) -> Tensor:
        """Returns the embedding [users, width] float32; an empty history gives ``nobody``."""
        states = self.hidden(item, mask)
        count = mask.sum(1)
        places = torch.arange(item.shape[1], device=item.device, dtype=mask.dtype)
        latest = (places.unsqueeze(0) == (count - 1.0).unsqueeze(1)).to(mask.dtype)
        last = (states * latest.unsqueeze(-1)).sum(1)
        empty = (count == 0).to(mask.dtype).unsqueeze(1)
        return last + empty * self.normal(self.nobody).unsqueeze(0)


class Scorer(nn.Module):
    """Scores candidate rows by the product of their item and their user: the ranker's graph."""

    table: Tensor

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.register_buffer("table", table)

    def forward(self, user_embedding: Tensor, user_index: Tensor, item: Tensor) -> Tensor:
        """Returns scores [rows] float32.

        ``user_embedding`` [users, width] float32, ``user_index`` and ``item`` [rows] int64.
        """
        rows = user_embedding.index_select(0, user_index) * self.table.index_select(0, item)
        return rows.sum(1)
