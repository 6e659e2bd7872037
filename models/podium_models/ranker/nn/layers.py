"""Holds the parts both networks share; attention is written out so that it exports plainly."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from podium_models.nn.attention import feed_forward


class Tables(nn.Module):
    """Item and category embeddings, shared by encoder and ranker while training.

    Where items have precomputed vectors (of their text, or image), a learned projection of them is
    added to the item's embedding. ``bake`` adds it once and for all, so that it costs nothing to
    serve.
    """

    vectors: Tensor

    def __init__(
        self, items: int, categories: int, width: int, vectors: Tensor | None = None
    ) -> None:
        super().__init__()
        self.item = nn.Embedding(items, width, padding_idx=0)
        self.category = nn.Embedding(categories, width, padding_idx=0)
        self.scale = width**0.5
        for table in (self.item, self.category):
            nn.init.normal_(table.weight, std=0.05)
            with torch.no_grad():
                table.weight[0].zero_()
        self.project: nn.Linear | None = None
        if vectors is not None:
            self.register_buffer("vectors", vectors, persistent=False)
            self.project = nn.Linear(vectors.shape[1], width, bias=False)
            nn.init.normal_(self.project.weight, std=0.05 * vectors.shape[1] ** -0.5)

    def items(self, item: Tensor) -> Tensor:
        """Embeds items, with what their vectors say: [..., width] float32 for [...] int64."""
        embedded: Tensor = self.item(item)
        return embedded if self.project is None else embedded + self.project(self.vectors[item])

    def forward(self, item: Tensor, category: Tensor) -> Tensor:
        """Sums both embeddings: [..., width] float32 for indices [...] int64.

        The sum is scaled as in "Attention Is All You Need", so that at the start it is not drowned
        by the other parts of an event.
        """
        summed: Tensor = (self.items(item) + self.category(category)) * self.scale
        return summed

    def bake(self) -> None:
        """Adds the projected vectors to the item table in place and forgets them."""
        if self.project is None:
            return
        with torch.no_grad():
            self.item.weight += self.project(self.vectors)
        self.project = None
        del self.vectors


class CrossBlock(nn.Module):
    """One pre-norm Transformer block in which each row attends over its own user's memory.

    Keys and values are made once a user and gathered a row, so no row sees another row.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.head_width = heads, width // heads
        self.before_attention = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)
        self.before_forward = nn.LayerNorm(width)
        self.forward_block = feed_forward(width, dropout, 2)
        self.dropout = nn.Dropout(dropout)

    def forward(self, rows: Tensor, memory: Tensor, user_index: Tensor) -> Tensor:
        """Maps rows [rows, width] by memory [users, slots, width] and user_index [rows] int64."""
        count, slots = rows.shape[0], memory.shape[1]
        split = (count, slots, self.heads, self.head_width)
        key = self.key(memory).index_select(0, user_index).reshape(split)
        value = self.value(memory).index_select(0, user_index).reshape(split)
        query = self.query(self.before_attention(rows))
        query = query.reshape(count, 1, self.heads, self.head_width)
        weights = torch.softmax((query * key).sum(-1) * self.head_width**-0.5, dim=1)
        attended = (weights.unsqueeze(-1) * value).sum(1)
        joined = self.output(attended.reshape(count, self.heads * self.head_width))
        rows = rows + self.dropout(joined)
        out: Tensor = rows + self.dropout(self.forward_block(self.before_forward(rows)))
        return out
