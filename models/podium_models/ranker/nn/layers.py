"""Holds the parts both networks share; attention is written out so that it exports plainly."""

from __future__ import annotations

import torch
from torch import Tensor, nn

MASKED = -1e9
"""Added to attention logits that must not count; finite, so that no row of them becomes NaN."""


class Tables(nn.Module):
    """Item and category embeddings, shared by encoder and ranker while training."""

    def __init__(self, items: int, categories: int, width: int) -> None:
        super().__init__()
        self.item = nn.Embedding(items, width, padding_idx=0)
        self.category = nn.Embedding(categories, width, padding_idx=0)
        self.scale = width**0.5
        for table in (self.item, self.category):
            nn.init.normal_(table.weight, std=0.05)
            with torch.no_grad():
                table.weight[0].zero_()

    def forward(self, item: Tensor, category: Tensor) -> Tensor:
        """Sums both embeddings: [..., width] float32 for indices [...] int64.

        The sum is scaled as in "Attention Is All You Need", so that at the start it is not drowned
        by the other parts of an event.
        """
        summed: Tensor = (self.item(item) + self.category(category)) * self.scale
        return summed


def feed_forward(width: int, dropout: float) -> nn.Sequential:
    """Builds the two-layer block that follows attention."""
    return nn.Sequential(
        nn.Linear(width, 2 * width), nn.GELU(), nn.Dropout(dropout), nn.Linear(2 * width, width)
    )


class SelfAttention(nn.Module):
    """Multi-head self-attention with an additive mask."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.head_width = heads, width // heads
        self.input = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)

    def forward(self, hidden: Tensor, bias: Tensor) -> Tensor:
        """Maps [users, length, width] to the same shape; ``bias`` [users|1, 1, length, length]."""
        users, length = hidden.shape[0], hidden.shape[1]
        mixed = self.input(hidden).reshape(users, length, 3, self.heads, self.head_width)
        query, key, value = mixed.permute(2, 0, 3, 1, 4).unbind(0)
        weights = torch.softmax(
            query @ key.transpose(-1, -2) * self.head_width**-0.5 + bias, dim=-1
        )
        joined = (weights @ value).transpose(1, 2)
        attended: Tensor = self.output(joined.reshape(users, length, self.heads * self.head_width))
        return attended


class EncoderBlock(nn.Module):
    """One pre-norm Transformer block over a sequence."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.before_attention = nn.LayerNorm(width)
        self.attention = SelfAttention(width, heads)
        self.before_forward = nn.LayerNorm(width)
        self.forward_block = feed_forward(width, dropout)
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor, bias: Tensor) -> Tensor:
        """Maps [users, length, width] to the same shape."""
        hidden = hidden + self.dropout(self.attention(self.before_attention(hidden), bias))
        out: Tensor = hidden + self.dropout(self.forward_block(self.before_forward(hidden)))
        return out


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
        self.forward_block = feed_forward(width, dropout)
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
