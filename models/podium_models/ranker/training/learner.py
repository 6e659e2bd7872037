"""Holds together what changes while training."""

from __future__ import annotations

from typing import NamedTuple

import torch

from podium_models.devices import Place
from podium_models.nn.average import WeightAverage
from podium_models.ranker.nn.build import RankerModel

DECAY = 0.995
"""How much of the average weights each step keeps."""


class Learner(NamedTuple):
    """What changes while training (weights, their average, the optimizer's state), and where."""

    model: RankerModel
    average: WeightAverage[RankerModel]
    optimizer: torch.optim.Optimizer
    place: Place
