"""Keeps a moving average of weights, which ranks steadier than the last step's weights."""

from __future__ import annotations

import copy
from typing import Generic, TypeVar

import torch
from torch import nn

Network = TypeVar("Network", bound=nn.Module)


class WeightAverage(Generic[Network]):
    """Holds a second model whose weights follow those of the trained one.

    Source: Polyak and Juditsky, "Acceleration of stochastic approximation by averaging", 1992.
    """

    def __init__(self, model: Network, decay: float) -> None:
        self.model = copy.deepcopy(model)
        self.decay = decay
        self.steps = 0

    def update(self, model: Network) -> None:
        """Moves the average towards the model; the first steps count more."""
        self.steps += 1
        share = max(1.0 - self.decay, 1.0 / self.steps)
        with torch.no_grad():
            pairs = zip(self.model.parameters(), model.parameters(), strict=True)
            for average, current in pairs:
                average.lerp_(current, share)
