"""Holds every setting of a run as plain frozen dataclasses, kept beside its results as JSON."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from podium_models.settings import require_between
from podium_models.text.names import NAME

KIND = "text"

ANY = math.inf


@dataclass(frozen=True)
class DataConfig:
    """Says how judgements are split and what a text may hold."""

    folds: int = 5
    seed: int = 11
    max_rating: int = 3
    longest_text: int = 4000

    def __post_init__(self) -> None:
        bounds = {"folds": (2.0, ANY), "seed": (0.0, ANY), "max_rating": (1.0, ANY)}
        require_between("data", self, bounds | {"longest_text": (1.0, ANY)})


@dataclass(frozen=True)
class ModelConfig:
    """The ranker's form and the student's sizes; ``blocks`` names the teacher's that it keeps.

    ``bundle`` is the name that it is served under.
    """

    bundle: str = NAME
    form: str = "bi"
    blocks: str = "0,1,3,5"
    ffn: int = 1024
    vocabulary: int = 13_500
    query_tokens: int = 32
    product_tokens: int = 64

    def __post_init__(self) -> None:
        sizes = ("ffn", "vocabulary", "query_tokens", "product_tokens")
        require_between("model", self, dict.fromkeys(sizes, (1.0, ANY)))


@dataclass(frozen=True)
class TrainConfig:
    """Settings of fine-tuning; ``tuned_blocks`` of the encoder learn, those below stay MiniLM's."""

    seed: int = 20261123
    tuned_blocks: int = 1
    epochs: int = 4
    lists_per_step: int = 6
    rows_per_list: int = 14
    negatives: int = 4
    learning_rate: float = 2e-2
    block_learning_rate: float = 2e-5
    temperature: float = 10.0
    pointwise_weight: float = 0.5
    pairwise_weight: float = 0.2
    pull: float = 8.0
    validation_share: float = 0.2
    patience: int = 2
    threads: int = 1
    mixed: bool = True

    def __post_init__(self) -> None:
        counts = ("epochs", "lists_per_step", "rows_per_list", "threads")
        others = ("seed", "tuned_blocks", "negatives", "learning_rate", "block_learning_rate")
        weights = ("pointwise_weight", "pairwise_weight", "pull", "patience")
        bounds = dict.fromkeys(counts, (1.0, ANY)) | dict.fromkeys((*others, *weights), (0.0, ANY))
        bounds |= {"temperature": (1e-3, ANY), "validation_share": (0.0, 0.9)}
        require_between("train", self, bounds)


@dataclass(frozen=True)
class DistilConfig:
    """Settings of distillation."""

    seed: int = 7
    epochs: int = 4
    learning_rate: float = 5e-4
    batch_tokens: int = 1536

    def __post_init__(self) -> None:
        bounds = {"seed": (0.0, ANY), "epochs": (1.0, ANY), "learning_rate": (0.0, ANY)}
        require_between("distil", self, bounds | {"batch_tokens": (1.0, ANY)})


@dataclass(frozen=True)
class AttributeConfig:
    """Settings of predicting attributes from text."""

    seed: int = 5
    support: int = 60
    labels: int = 120
    columns: str = ""
    epochs: int = 30
    hidden: int = 256
    learning_rate: float = 2e-3

    def __post_init__(self) -> None:
        bounds = dict.fromkeys(("support", "labels", "epochs", "hidden"), (1.0, ANY))
        bounds |= dict.fromkeys(("seed", "learning_rate"), (0.0, ANY))
        require_between("attributes", self, bounds)


@dataclass(frozen=True)
class Config:
    """Everything a run depends on besides the data itself."""

    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    distil: DistilConfig = field(default_factory=DistilConfig)
    attributes: AttributeConfig = field(default_factory=AttributeConfig)
