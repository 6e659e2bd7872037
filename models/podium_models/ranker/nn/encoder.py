"""Defines the user encoder: a causal Transformer over a household's purchase events."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from podium_models.nn.attention import MASKED, EncoderBlock
from podium_models.ranker.config import ModelConfig
from podium_models.ranker.nn.layers import Tables


class UserEncoder(nn.Module):
    """Turns a right-padded history, oldest event first, into a few state vectors.

    A learned start token stands before the first event, so an empty history has a state too. State
    0 is the hidden state of the last event, state 1 the plain mean of all event embeddings with the
    history's size, the others are attention pools that see each event's age (days before the last).
    ``stranger`` [states, width] takes the place of an empty history's, once it has been fitted.
    """

    stranger: Tensor | None

    def __init__(self, tables: Tables, config: ModelConfig) -> None:
        super().__init__()
        width = config.width
        self.config = config
        self.tables = tables
        self.register_buffer("stranger", None)
        self.start = nn.Parameter(torch.randn(width) * 0.05)
        self.position = nn.Embedding(config.max_length + 1, width)
        nn.init.normal_(self.position.weight, std=0.02)
        self.gap = nn.Sequential(nn.Linear(1, width), nn.GELU(), nn.Linear(width, width))
        self.age = nn.Sequential(nn.Linear(1, width), nn.GELU(), nn.Linear(width, width))
        self.blocks = nn.ModuleList(
            EncoderBlock(width, config.heads, config.dropout) for _ in range(config.encoder_layers)
        )
        self.final = nn.LayerNorm(width)
        self.mean = nn.Linear(width + 2, width)
        self.pools = config.states - 2
        self.pool_query = nn.Parameter(torch.randn(self.pools, width) * 0.1)
        self.pool_key = nn.Linear(width, width)
        self.pool_value = nn.Linear(width, width)
        self.state_norm = nn.LayerNorm(width)

    def hidden(self, item: Tensor, category: Tensor, gap: Tensor, mask: Tensor) -> Tensor:
        """Returns [users, length + 1, width] float32: the start token's state, then each event's.

        ``item``, ``category`` [users, length] int64; ``gap`` [users, length] float32, ln(1 + days
        since the event before); ``mask`` [users, length] float32, 1 for an event.
        """
        users, length = item.shape[0], item.shape[1]
        events = self.tables(item, category) + self.gap(gap.unsqueeze(-1))
        events = events * mask.unsqueeze(-1)
        start = self.start.expand(users, 1, self.config.width)
        place = torch.arange(length + 1, device=item.device).clamp(max=self.config.max_length)
        sequence = torch.cat([start, events], dim=1) + self.position(place)
        ahead = place.new_ones((length + 1, length + 1)).triu(1).to(gap.dtype)
        bias = (ahead * MASKED).unsqueeze(0).unsqueeze(0)
        for block in self.blocks:
            sequence = block(sequence, bias)
        normed: Tensor = self.final(sequence)
        return normed

    def average(self, events: Tensor, days: Tensor, mask: Tensor) -> Tensor:
        """Returns [users, 1, width] float32: the mean event, how many there are, over how long."""
        count = mask.sum(1, keepdim=True)
        mean = (events * mask.unsqueeze(-1)).sum(1) / count.clamp(min=1.0)
        span = torch.log1p(days.sum(1, keepdim=True))
        summary = torch.cat([mean, torch.log1p(count), span], dim=1)
        state: Tensor = self.mean(summary).unsqueeze(1)
        return state

    def attend(self, hidden: Tensor, days: Tensor, mask: Tensor) -> Tensor:
        """Returns [users, states - 2, width] float32: learned pools over events and their age."""
        users, heads = hidden.shape[0], self.config.heads
        head_width = self.config.width // heads
        age = torch.log1p((days.sum(1, keepdim=True) - days.cumsum(1)).clamp(min=0.0)) * mask
        one = torch.ones_like(mask[:, :1])
        age, seen = torch.cat([one * 0.0, age], dim=1), torch.cat([one, mask], dim=1)
        aged = hidden + self.age(age.unsqueeze(-1))
        key = self.pool_key(aged).reshape(users, -1, heads, head_width)
        value = self.pool_value(aged).reshape(users, -1, heads, head_width)
        query = self.pool_query.reshape(1, self.pools, heads, head_width)
        logits = query.transpose(1, 2) @ key.permute(0, 2, 3, 1) * head_width**-0.5
        bias = ((1.0 - seen) * MASKED).unsqueeze(1).unsqueeze(1)
        pooled = torch.softmax(logits + bias, dim=-1) @ value.transpose(1, 2)
        joined: Tensor = pooled.transpose(1, 2).reshape(users, self.pools, self.config.width)
        return joined

    def states(
        self, hidden: Tensor, item: Tensor, category: Tensor, gap: Tensor, mask: Tensor
    ) -> Tensor:
        """Returns [users, states, width] float32 from hidden states [users, length + 1, width]."""
        users, width = hidden.shape[0], self.config.width
        days = (torch.exp(gap) - 1.0) * mask  # expm1 has no ONNX operator
        last = mask.sum(1).to(torch.int64).reshape(users, 1, 1).expand(users, 1, width)
        final = hidden.gather(1, last)
        mean = self.average(self.tables(item, category), days, mask)
        stacked = torch.cat([final, mean, self.attend(hidden, days, mask)], dim=1)
        normed: Tensor = self.state_norm(stacked)
        return normed

    def forward(self, item: Tensor, category: Tensor, gap: Tensor, mask: Tensor) -> Tensor:
        """Returns the user embedding [users, states, width] float32."""
        hidden = self.hidden(item, category, gap, mask)
        states = self.states(hidden, item, category, gap, mask)
        if self.stranger is None:
            return states
        known = mask.sum(1).reshape(-1, 1, 1) > 0
        return torch.where(known, states, self.stranger)
