"""A BERT encoder, as small as ranking needs it: no dropout at inference, no pooler, no head."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class BertShape:
    """Sizes of an encoder; ``ffn`` has one width for each layer."""

    vocabulary: int
    positions: int
    width: int
    heads: int
    ffn: tuple[int, ...]

    @property
    def layers(self) -> int:
        """Number of Transformer blocks."""
        return len(self.ffn)


class Block(nn.Module):
    """Attention and a feed-forward net, each added to its input and normalised after."""

    def __init__(self, shape: BertShape, ffn: int, dropout: float) -> None:
        super().__init__()
        width = shape.width
        self.heads = shape.heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)
        self.attention_norm = nn.LayerNorm(width, eps=1e-12)
        self.up = nn.Linear(width, ffn)
        self.down = nn.Linear(ffn, width)
        self.ffn_norm = nn.LayerNorm(width, eps=1e-12)
        self.dropout = nn.Dropout(dropout)

    def split(self, states: Tensor) -> Tensor:
        """Splits [texts, tokens, width] into [texts, heads, tokens, width / heads]."""
        texts, tokens, width = states.shape
        return states.reshape(texts, tokens, self.heads, width // self.heads).transpose(1, 2)

    def forward(self, states: Tensor, bias: Tensor) -> Tensor:
        """Maps [texts, tokens, width] to the same; ``bias`` [texts, 1, 1, tokens] hides padding."""
        query, key = self.split(self.query(states)), self.split(self.key(states))
        value = self.split(self.value(states))
        scores = query @ key.transpose(-1, -2) * (query.shape[-1] ** -0.5) + bias
        mixed = (torch.softmax(scores, dim=-1) @ value).transpose(1, 2)
        mixed = mixed.reshape(states.shape)
        states = self.attention_norm(states + self.dropout(self.out(mixed)))
        inner = nn.functional.gelu(self.up(states))
        return self.ffn_norm(states + self.dropout(self.down(inner)))  # type: ignore[no-any-return]


class Bert(nn.Module):
    """Token, position and segment embeddings, then the blocks."""

    def __init__(self, shape: BertShape, dropout: float = 0.0) -> None:
        super().__init__()
        self.shape = shape
        self.tokens = nn.Embedding(shape.vocabulary, shape.width)
        self.positions = nn.Embedding(shape.positions, shape.width)
        self.segments = nn.Embedding(2, shape.width)
        self.norm = nn.LayerNorm(shape.width, eps=1e-12)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(Block(shape, ffn, dropout) for ffn in shape.ffn)

    def embed(self, ids: Tensor, types: Tensor | None = None) -> Tensor:
        """Maps ids [texts, tokens] to what the first block reads, [texts, tokens, width].

        ``types`` (0 first segment, 1 second) may be left out where texts have one segment.
        """
        places = torch.arange(ids.shape[1], device=ids.device)
        segments = self.segments.weight[0] if types is None else self.segments(types)
        states = self.tokens(ids) + self.positions(places) + segments
        return self.dropout(self.norm(states))  # type: ignore[no-any-return]

    def forward(
        self, ids: Tensor, mask: Tensor, types: Tensor | None = None, blocks: int | None = None
    ) -> Tensor:
        """Maps ids and mask [texts, tokens] to states [texts, tokens, width].

        ``blocks`` stops after that many.
        """
        states = self.embed(ids, types)
        bias = (1.0 - mask.to(states.dtype))[:, None, None, :] * -10_000.0
        for block in self.blocks[:blocks]:
            states = block(states, bias)
        return states


def mean_pool(states: Tensor, mask: Tensor) -> Tensor:
    """Averages [texts, tokens, width] over real tokens and scales to length 1: [texts, width]."""
    weights = mask.to(states.dtype)[:, :, None]
    mean = (states * weights).sum(1) / weights.sum(1).clamp(min=1.0)
    return mean / mean.square().sum(-1, keepdim=True).sqrt().clamp(min=1e-6)
