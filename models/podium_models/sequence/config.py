"""Holds every setting of a ``sequence`` run, and the recipes that set several at once."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from podium_models.settings import override, require_between

KIND = "sequence"

ANY = math.inf


@dataclass(frozen=True)
class ModelConfig:
    """The encoder; the inner layer of its blocks is ``expansion`` times as wide.

    ``similarity`` is ``dot`` or ``cosine`` (divided by ``temperature``). ``attributes`` and
    ``dense`` say whether the item features of the data join the item's own embedding.
    """

    width: int = 64
    heads: int = 2
    layers: int = 2
    expansion: int = 4
    max_length: int = 50
    dropout: float = 0.5
    similarity: str = "dot"
    temperature: float = 0.07
    attributes: bool = True
    dense: bool = True

    def __post_init__(self) -> None:
        sizes = ("width", "heads", "layers", "expansion", "max_length")
        bounds = dict.fromkeys(sizes, (1.0, ANY))
        require_between("model", self, bounds | {"dropout": (0, 1), "temperature": (1e-3, ANY)})
        if self.width % self.heads:
            raise ValueError(f"model.width {self.width} is no multiple of heads {self.heads}")
        if self.similarity not in ("dot", "cosine"):
            raise ValueError(f"model.similarity {self.similarity!r} is neither dot nor cosine")


@dataclass(frozen=True)
class TrainConfig:
    """One training run.

    ``loss`` is ``bce`` (one sampled negative a target), ``sampled`` (softmax over ``negatives``
    items drawn a batch) or ``full`` (softmax over all items). Every ``validate_every`` epochs a
    sample of ``validation_users`` is ranked; ``patience`` such rounds without a better NDCG@10 end
    the run. ``item_dropout`` of the inputs are shown as the unknown item. ``average`` is the decay
    of the moving average of the weights that is validated and exported; 0 takes the weights as they
    are. ``masked_epochs`` of masked-item prediction come first where above 0. ``teacher`` names a
    trained model's directory whose scores are followed with ``teacher_weight``.
    """

    seed: int = 1
    loss: str = "sampled"
    negatives: int = 1024
    epochs: int = 100
    batch_size: int = 256
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    validate_every: int = 2
    validation_users: int = 6000
    patience: int = 5
    item_dropout: float = 0.0
    average: float = 0.0
    masked_epochs: int = 0
    mask_rate: float = 0.2
    teacher: str = ""
    teacher_weight: float = 0.5
    threads: int = 1

    def __post_init__(self) -> None:
        counts = ("negatives", "epochs", "batch_size", "validate_every", "validation_users")
        shares = ("item_dropout", "average", "mask_rate", "teacher_weight")
        others = ("seed", "learning_rate", "weight_decay", "patience", "masked_epochs")
        bounds = dict.fromkeys((*counts, "threads"), (1.0, ANY))
        bounds |= dict.fromkeys(shares, (0.0, 1.0)) | dict.fromkeys(others, (0.0, ANY))
        require_between("train", self, bounds)
        if self.masked_epochs >= self.epochs:
            raise ValueError("train.epochs holds train.masked_epochs and has to be larger")
        if self.loss not in ("bce", "sampled", "full"):
            raise ValueError(f"train.loss {self.loss!r} is none of bce, sampled, full")


@dataclass(frozen=True)
class MeasureConfig:
    """How held-out items are measured; ``negatives`` is for the sampled protocol alone."""

    negatives: int = 100
    seed: int = 7


@dataclass(frozen=True)
class Config:
    """Everything a trained model depends on besides the prepared data."""

    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    measure: MeasureConfig = field(default_factory=MeasureConfig)


RECIPES: dict[str, tuple[str, ...]] = {
    "sasrec": (
        "model.attributes=false",
        "model.dense=false",
        "model.expansion=4",
        "train.loss=bce",
        "train.batch_size=128",
        "train.average=0.998",
        "train.validate_every=5",
        "train.patience=8",
        "train.epochs=200",
    ),
    "best": (
        "model.width=128",
        "model.expansion=2",
        "model.similarity=cosine",
        "train.loss=sampled",
        "train.learning_rate=0.002",
        "train.item_dropout=0.2",
        "train.average=0.995",
        "train.epochs=60",
    ),
}
"""``sasrec`` has the settings of the S3-Rec paper's SASRec: width 64, 2 layers, 2 heads, length 50,
dropout 0.5, binary cross-entropy with one negative. ``best`` is what did best here."""


def with_recipe(config: Config, recipe: str | None) -> Config:
    """Applies a recipe's settings; an unknown one raises ``ValueError``."""
    if recipe is None:
        return config
    if recipe not in RECIPES:
        raise ValueError(f"unknown recipe {recipe!r}; there are {', '.join(RECIPES)}")
    return override(config, list(RECIPES[recipe]))
