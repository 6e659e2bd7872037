"""Self-attention and the pre-norm block around it, written out so that they export plainly."""

from __future__ import annotations

import torch
from torch import Tensor, nn

MASKED = -1e9
"""Added to attention logits that must not count; finite, so that no row of them becomes NaN."""


def feed_forward(width: int, dropout: float, factor: int) -> nn.Sequential:
    """Builds the two-layer block that follows attention, ``factor`` times as wide inside."""
    return nn.Sequential(
        nn.Linear(width, factor * width),
        nn.GELU(),
        nn.Dropout(dropout),
        nn.Linear(factor * width, width),
    )


class SelfAttention(nn.Module):
    """Multi-head self-attention with an additive mask."""

    def __init__(self, width: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads, self.head_width = heads, width // heads
        self.dropout = nn.Dropout(dropout)
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
        joined = (self.dropout(weights) @ value).transpose(1, 2)
        attended: Tensor = self.output(joined.reshape(users, length, self.heads * self.head_width))
        return attended


class EncoderBlock(nn.Module):
    """One pre-norm Transformer block over a sequence."""

    def __init__(
        self,
        width: int,
        heads: int,
        dropout: float,
        factor: int = 2,
        attention_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.before_attention = nn.LayerNorm(width)
        self.attention = SelfAttention(width, heads, attention_dropout)
        self.before_forward = nn.LayerNorm(width)
        self.forward_block = feed_forward(width, dropout, factor)
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor, bias: Tensor) -> Tensor:
        """Maps [users, length, width] to the same shape."""
        hidden = hidden + self.dropout(self.attention(self.before_attention(hidden), bias))
        out: Tensor = hidden + self.dropout(self.forward_block(self.before_forward(hidden)))
        return out
