"""Predicts from which departments, or categories, a household buys in a week."""

from __future__ import annotations

import torch
from torch import Tensor, nn

LABEL_WIDTH, OWN_WIDTH = 8, 32

UNKNOWN_RATE = 0.1
"""Share of training examples that see no own counts, as a candidate outside the catalogue."""


class InterestHead(nn.Module):
    """A multi-label head: what the user's vectors say, plus what the own count and age say.

    The second part is a small network over (count, age, label); it is left out for a candidate
    that the catalogue does not know, whose counts say nothing.
    """

    def __init__(self, labels: int, slots: int, width: int, dropout: float) -> None:
        super().__init__()
        self.labels = labels
        self.last = nn.Linear(width, labels)
        self.user = nn.Sequential(
            nn.Linear(slots * width, width), nn.GELU(), nn.Dropout(dropout), self.last
        )
        self.label = nn.Embedding(labels, LABEL_WIDTH)
        self.own = nn.Sequential(
            nn.Linear(LABEL_WIDTH + 2, OWN_WIDTH), nn.GELU(), nn.Linear(OWN_WIDTH, 1)
        )

    def dense(self, memory: Tensor, own: Tensor) -> Tensor:
        """Returns every label's logit, [users, labels] float32, while training.

        ``memory`` [users, slots, width]; ``own`` [users, labels, 2], normalised count and age.
        """
        users = own.shape[0]
        label = self.label.weight.unsqueeze(0).expand(users, -1, -1)
        part = self.own(torch.cat([own, label], dim=-1)).squeeze(-1)
        if self.training:
            part = part * (torch.rand(users, 1, device=part.device) >= UNKNOWN_RATE)
        logits: Tensor = self.user(memory.flatten(1)) + part
        return logits

    def forward(
        self, memory: Tensor, user_index: Tensor, label: Tensor, own: Tensor, known: Tensor
    ) -> Tensor:
        """Returns each row's logit for its own label, [rows] float32.

        ``user_index``, ``label`` [rows] int64; ``own`` [rows, 2]; ``known`` [rows] float32, 1 for
        an item of the vocabulary.
        """
        users = self.user(memory.flatten(1)).reshape(-1)
        part = self.own(torch.cat([own, self.label(label)], dim=-1)).squeeze(-1)
        logits: Tensor = users.index_select(0, user_index * self.labels + label) + part * known
        return logits
