"""Keeps a moving average of the weights, which ranks steadier than the last step's weights."""

from __future__ import annotations

import copy
from typing import NamedTuple

import torch

from podium_models.devices import Place
from podium_models.ranker.nn.build import RankerModel

DECAY = 0.995


class WeightAverage:
    """Holds a second model whose weights follow those of the trained one.

    Source: Polyak and Juditsky, "Acceleration of stochastic approximation by averaging", 1992.
    """

    def __init__(self, model: RankerModel) -> None:
        self.model = copy.deepcopy(model)
        self.steps = 0

    def update(self, model: RankerModel) -> None:
        """Moves the average towards the model; the first steps count more."""
        self.steps += 1
        share = max(1.0 - DECAY, 1.0 / self.steps)
        with torch.no_grad():
            pairs = zip(self.model.parameters(), model.parameters(), strict=True)
            for average, current in pairs:
                average.lerp_(current, share)


class Learner(NamedTuple):
    """What changes while training (weights, their average, the optimizer's state), and where."""

    model: RankerModel
    average: WeightAverage
    optimizer: torch.optim.Optimizer
    place: Place
