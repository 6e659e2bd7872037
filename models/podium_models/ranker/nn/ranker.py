"""Defines the ranker: candidates attend over the user's states and the week."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from podium_models.bundle.vocabulary import OUT_OF_VOCABULARY
from podium_models.ranker.config import ModelConfig
from podium_models.ranker.data.signatures import LABEL_FEATURES, LABELS, PURCHASE_FEATURES
from podium_models.ranker.data.transforms import CANDIDATE_TRANSFORMS
from podium_models.ranker.nn.interest import InterestHead
from podium_models.ranker.nn.layers import CrossBlock, Tables

FEATURES = tuple(CANDIDATE_TRANSFORMS)
PURCHASE_PLACES = [FEATURES.index(name) for name in PURCHASE_FEATURES]
OWN_PLACES = {
    label: [FEATURES.index(name) for name in names] for label, names in LABEL_FEATURES.items()
}
"""Where the features of each sort of label stand among all features."""

HARMONICS = 2
WEEKS_A_YEAR = 52.0


class Maps(NamedTuple):
    """Constant index maps, int64: item to department, category to department."""

    item_department: Tensor
    category_department: Tensor


class WeekToken(nn.Module):
    """Turns a week of the year into a context vector; week 0 gives the learned base alone."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.base = nn.Parameter(torch.randn(width) * 0.05)
        self.season = nn.Linear(2 * HARMONICS, width, bias=False)

    def forward(self, week: Tensor) -> Tensor:
        """Maps week [users] float32 to [users, width] float32."""
        angle = (week.unsqueeze(-1) - 1.0) * (2.0 * math.pi / WEEKS_A_YEAR)
        waves = [f(angle * k) for k in range(1, HARMONICS + 1) for f in (torch.sin, torch.cos)]
        known = (week > 0.5).to(week.dtype).unsqueeze(-1)
        token: Tensor = self.base + self.season(torch.cat(waves, dim=-1)) * known
        return token


class Ranker(nn.Module):
    """Scores candidates as rows; no row influences another row.

    ``mean`` and ``scale`` normalise the transformed features (in the order of the transform table)
    inside the graph, so the server only applies the transforms that the manifest states.
    """

    mean: Tensor
    scale: Tensor
    item_department: Tensor
    category_department: Tensor

    def __init__(
        self, tables: Tables, config: ModelConfig, labels: dict[str, int], maps: Maps
    ) -> None:
        super().__init__()
        width, features, seen = config.width, len(FEATURES), len(PURCHASE_FEATURES)
        self.tables = tables
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))
        self.register_buffer("item_department", maps.item_department)
        self.register_buffer("category_department", maps.category_department)
        self.item = nn.Linear(width, width)
        self.features = nn.Sequential(
            nn.Linear(seen, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        self.week = WeekToken(width)
        self.memory_norm = nn.LayerNorm(width)
        self.blocks = nn.ModuleList(
            CrossBlock(width, config.heads, config.dropout) for _ in range(config.ranker_layers)
        )
        self.final = nn.LayerNorm(width)
        self.affinity = nn.Linear(width, width, bias=False)
        self.last = nn.Linear(width, 1)
        self.head = nn.Sequential(nn.Linear(width + config.states, width), nn.GELU(), self.last)
        self.interest = nn.ModuleDict(
            {
                name: InterestHead(count, config.states + 1, width, config.dropout)
                for name, count in labels.items()
            }
        )

    def interest_head(self, label: str) -> InterestHead:
        """Returns the head of one sort of label."""
        head = self.interest[label]
        assert isinstance(head, InterestHead)
        return head

    def memory(self, user_embedding: Tensor, week: Tensor) -> Tensor:
        """Returns the user's vectors and the week's, [users, states + 1, width] float32."""
        return torch.cat([user_embedding, self.week(week).unsqueeze(1)], dim=1)

    def interest_logits(self, label: str, memory: Tensor, own: Tensor) -> Tensor:
        """Returns [users, labels] float32: any purchase with that label that week.

        ``own`` [users, labels, 2]: the label's transformed count and age, not yet normalised.
        """
        places = OWN_PLACES[label]
        normal = (own - self.mean[places]) * self.scale[places]
        return self.interest_head(label).dense(memory, normal)

    def department(self, item: Tensor, category: Tensor, known: Tensor) -> Tensor:
        """Returns a row's department: the item's, or that of its category; all [rows] int64."""
        return self.item_department[item] * known + self.category_department[category] * (1 - known)

    def forward(
        self,
        user_embedding: Tensor,
        week: Tensor,
        user_index: Tensor,
        item: Tensor,
        category: Tensor,
        *features: Tensor,
    ) -> tuple[Tensor, ...]:
        """Returns the logits ``purchase`` and one interest for each sort of label, each [rows].

        ``user_embedding`` [users, states, width], ``week`` [users], ``features`` [rows] each:
        float32; ``user_index``, ``item``, ``category`` [rows]: int64.
        """
        normal = (torch.stack(features, dim=-1) - self.mean) * self.scale
        embedded = self.tables(item, category)
        rows = self.item(embedded) + self.features(normal[:, PURCHASE_PLACES])
        plain = self.memory(user_embedding, week)
        memory = self.memory_norm(plain)
        for block in self.blocks:
            rows = block(rows, memory, user_index)
        states = self.affinity(user_embedding).index_select(0, user_index)
        affinity = (states * embedded.unsqueeze(1)).sum(-1) * self.affinity.in_features**-0.5
        purchase = self.head(torch.cat([self.final(rows), affinity], dim=-1)).squeeze(-1)
        known = (item > OUT_OF_VOCABULARY).to(torch.int64)
        labels = {"department": self.department(item, category, known), "category": category}
        interests = (
            self.interest_head(name)(
                plain, user_index, labels[name], normal[:, OWN_PLACES[name]], known.to(normal.dtype)
            )
            for name in LABELS
        )
        return purchase, *interests
