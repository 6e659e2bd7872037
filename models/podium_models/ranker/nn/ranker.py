"""Defines grocery-ranker: candidates attend over the user's states and the week."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from podium_models.bundle.vocabulary import OUT_OF_VOCABULARY
from podium_models.ranker.config import ModelConfig
from podium_models.ranker.nn.layers import CrossBlock, Tables

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

    ``mean`` and ``scale`` normalise the transformed features (in ``features`` order) inside the
    graph, so the server only applies the transforms that the manifest states.
    """

    mean: Tensor
    scale: Tensor
    item_department: Tensor
    category_department: Tensor

    def __init__(
        self, tables: Tables, config: ModelConfig, features: int, departments: int, maps: Maps
    ) -> None:
        super().__init__()
        width = config.width
        self.tables = tables
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))
        self.register_buffer("item_department", maps.item_department)
        self.register_buffer("category_department", maps.category_department)
        self.item = nn.Linear(width, width)
        self.features = nn.Sequential(
            nn.Linear(features, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        self.week = WeekToken(width)
        self.memory_norm = nn.LayerNorm(width)
        self.blocks = nn.ModuleList(
            CrossBlock(width, config.heads, config.dropout) for _ in range(config.ranker_layers)
        )
        self.final = nn.LayerNorm(width)
        self.affinity = nn.Linear(width, width, bias=False)
        self.head = nn.Sequential(
            nn.Linear(width + config.states, width), nn.GELU(), nn.Linear(width, 1)
        )
        self.departments = nn.Sequential(
            nn.Linear((config.states + 1) * width, width),
            nn.GELU(),
            nn.Dropout(config.dropout),
            nn.Linear(width, departments),
        )

    @property
    def departments_bias(self) -> Tensor:
        """The last layer's bias of the department head, [departments] float32."""
        return self._last_bias(self.departments)

    @property
    def purchase_bias(self) -> Tensor:
        """The last layer's bias of the purchase head, [1] float32."""
        return self._last_bias(self.head)

    @staticmethod
    def _last_bias(layers: nn.Sequential) -> Tensor:
        last = layers[-1]
        assert isinstance(last, nn.Linear)
        return last.bias

    def department_logits(self, user_embedding: Tensor, week: Tensor) -> Tensor:
        """Returns [users, departments] float32: any purchase from the department that week."""
        slots = torch.cat([user_embedding, self.week(week).unsqueeze(1)], dim=1)
        logits: Tensor = self.departments(slots.flatten(1))
        return logits

    def forward(
        self,
        user_embedding: Tensor,
        week: Tensor,
        user_index: Tensor,
        item: Tensor,
        category: Tensor,
        *features: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Returns the logits ``purchase`` and ``department_interest``, each [rows] float32.

        ``user_embedding`` [users, states, width], ``week`` [users], ``features`` [rows] each:
        float32; ``user_index``, ``item``, ``category`` [rows]: int64.
        """
        normal = (torch.stack(features, dim=-1) - self.mean) * self.scale
        embedded = self.tables(item, category)
        rows = self.item(embedded) + self.features(normal)
        memory = torch.cat([user_embedding, self.week(week).unsqueeze(1)], dim=1)
        memory = self.memory_norm(memory)
        for block in self.blocks:
            rows = block(rows, memory, user_index)
        states = self.affinity(user_embedding).index_select(0, user_index)
        affinity = (states * embedded.unsqueeze(1)).sum(-1) * self.affinity.in_features**-0.5
        purchase = self.head(torch.cat([self.final(rows), affinity], dim=-1)).squeeze(-1)
        known = (item > OUT_OF_VOCABULARY).to(torch.int64)
        department = self.item_department[item] * known
        department = department + self.category_department[category] * (1 - known)
        interest = self.department_logits(user_embedding, week).index_select(0, user_index)
        return purchase, interest.gather(1, department.unsqueeze(-1)).squeeze(-1)
