"""Builds both networks for a prepared data set."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from podium_models.ranker.config import ModelConfig
from podium_models.ranker.data.labels import label_count
from podium_models.ranker.data.prepared import Prepared
from podium_models.ranker.data.signatures import LABELS
from podium_models.ranker.nn.encoder import UserEncoder
from podium_models.ranker.nn.layers import Tables
from podium_models.ranker.nn.ranker import Maps, Ranker


class RankerModel(nn.Module):
    """Encoder and ranker over shared embedding tables, trained end to end."""

    def __init__(self, encoder: UserEncoder, ranker: Ranker) -> None:
        super().__init__()
        self.encoder = encoder
        self.ranker = ranker

    def bake(self) -> None:
        """Turns the item tables into what is served; training ends with it."""
        self.encoder.tables.bake()

    def next_item_logits(self, hidden: Tensor, items: Tensor) -> Tensor:
        """Scores items [n] int64 as what follows each hidden state [m, width]: [m, n] float32."""
        logits: Tensor = hidden @ self.encoder.tables.items(items).T
        return logits


def build_model(prepared: Prepared, config: ModelConfig) -> RankerModel:
    """Builds untrained networks with the vocabulary sizes and maps of the data."""
    vectors = None if prepared.vectors is None else torch.from_numpy(prepared.vectors)
    tables = Tables(prepared.items.size, prepared.categories.size, config.width, vectors)
    maps = Maps(
        torch.from_numpy(prepared.department_of), torch.from_numpy(prepared.department_of_category)
    )
    labels = {label: label_count(prepared, label) for label in LABELS}
    ranker = Ranker(tables, config, labels, maps)
    return RankerModel(UserEncoder(tables, config), ranker)
