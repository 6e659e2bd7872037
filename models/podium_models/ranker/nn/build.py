"""Builds both networks for a prepared data set."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from podium_models.ranker.config import ModelConfig
from podium_models.ranker.data.prepared import Prepared
from podium_models.ranker.data.transforms import CANDIDATE_TRANSFORMS
from podium_models.ranker.nn.encoder import UserEncoder
from podium_models.ranker.nn.layers import Tables
from podium_models.ranker.nn.ranker import Maps, Ranker


class GroceryModel(nn.Module):
    """Encoder and ranker over shared embedding tables, trained end to end."""

    def __init__(self, encoder: UserEncoder, ranker: Ranker) -> None:
        super().__init__()
        self.encoder = encoder
        self.ranker = ranker

    def next_item_logits(self, hidden: Tensor, items: Tensor) -> Tensor:
        """Scores items [n] int64 as what follows each hidden state [m, width]: [m, n] float32."""
        logits: Tensor = hidden @ self.encoder.tables.item(items).T
        return logits


def build_model(prepared: Prepared, config: ModelConfig) -> GroceryModel:
    """Builds untrained networks with the vocabulary sizes and maps of the data."""
    tables = Tables(prepared.items.size, prepared.categories.size, config.width)
    maps = Maps(
        torch.from_numpy(prepared.department_of), torch.from_numpy(prepared.department_of_category)
    )
    ranker = Ranker(tables, config, len(CANDIDATE_TRANSFORMS), prepared.departments.size, maps)
    return GroceryModel(UserEncoder(tables, config), ranker)
