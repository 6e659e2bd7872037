"""Holds every setting of a run as plain frozen dataclasses, kept beside its results as JSON."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from podium_models.settings import require_between

KIND = "ranker"

ANY = math.inf

FIRST_CUTOFF = 4
"""The first week at whose end histories are cut: earlier ones say little."""


@dataclass(frozen=True)
class SplitConfig:
    """Names the weeks each part of the data covers; all bounds are inclusive.

    The defaults are those of the Complete Journey: 2017 has the weeks 1 to 53.
    """

    first_train_week: int = 8
    last_train_week: int = 40
    last_validation_week: int = 43
    last_week: int = 53
    max_lag_weeks: int = 10

    @property
    def validation_weeks(self) -> range:
        """Weeks scored with histories that end with the last training week."""
        return range(self.last_train_week + 1, self.last_validation_week + 1)

    @property
    def test_weeks(self) -> range:
        """Weeks scored with histories that end with the last validation week."""
        return range(self.last_validation_week + 1, self.last_week + 1)


@dataclass(frozen=True)
class DataConfig:
    """Says how items, histories and candidates are made."""

    min_purchases: int = 20
    history_events: int = 256
    own_candidates: int = 100
    candidates: int = 200
    popularity_weeks: int = 8
    never_bought_days: float = 365.0

    def __post_init__(self) -> None:
        counts = ("min_purchases", "history_events", "candidates", "popularity_weeks")
        rest = {"own_candidates": (0.0, ANY), "never_bought_days": (0.0, ANY)}
        require_between("data", self, dict.fromkeys(counts, (1.0, ANY)) | rest)


@dataclass(frozen=True)
class ModelConfig:
    """Sizes of both networks."""

    width: int = 64
    heads: int = 4
    encoder_layers: int = 2
    ranker_layers: int = 2
    states: int = 4
    max_length: int = 128
    dropout: float = 0.2

    def __post_init__(self) -> None:
        sizes = ("width", "heads", "encoder_layers", "ranker_layers", "states", "max_length")
        require_between("model", self, dict.fromkeys(sizes, (1.0, ANY)) | {"dropout": (0, 1)})
        if self.width % self.heads:
            raise ValueError(f"model.width {self.width} is no multiple of heads {self.heads}")


@dataclass(frozen=True)
class TrainConfig:
    """Settings of one training run."""

    seed: int = 20171030
    epochs: int = 4
    examples_per_epoch: int = 22_000
    batch_size: int = 64
    rows_per_example: int = 80
    learning_rate: float = 8e-4
    table_speed: float = 3.0
    interest_speed: float = 4.0
    weight_decay: float = 0.01
    listwise_weight: float = 0.5
    department_weight: float = 3.0
    category_weight: float = 1.0
    next_item_weight: float = 0.1
    next_item_negatives: int = 512
    oov_rate: float = 0.03
    item_dropout: float = 0.3
    week_dropout: float = 0.5
    threads: int = 1
    stranger_steps: int = 200
    stranger_rate: float = 0.03

    def __post_init__(self) -> None:
        counts = ("epochs", "examples_per_epoch", "batch_size", "rows_per_example")
        bounds = dict.fromkeys((*counts, "next_item_negatives", "threads"), (1.0, ANY))
        shares = ("oov_rate", "item_dropout", "week_dropout")
        weights = ("listwise_weight", "department_weight", "category_weight", "next_item_weight")
        rates = ("learning_rate", "table_speed", "interest_speed", "weight_decay", "seed")
        after = ("stranger_steps", "stranger_rate")
        bounds |= dict.fromkeys(shares, (0.0, 1.0))
        require_between(
            "train", self, bounds | dict.fromkeys((*weights, *rates, *after), (0.0, ANY))
        )


@dataclass(frozen=True)
class BundleConfig:
    """Names what is exported, and what it orders and for whom in the words of its shop."""

    name: str = "grocery"
    things: str = "groceries"
    shopper: str = "household"

    @property
    def journey(self) -> bool:
        """Says whether these are the shipped models of the Complete Journey data."""
        return self == BundleConfig()

    @property
    def encoder(self) -> str:
        """The encoder's bundle."""
        return f"{self.name}-encoder"

    @property
    def ranker(self) -> str:
        """The ranker's bundle."""
        return f"{self.name}-ranker"


@dataclass(frozen=True)
class Config:
    """Everything a run depends on besides the data itself."""

    split: SplitConfig = field(default_factory=SplitConfig)
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    bundle: BundleConfig = field(default_factory=BundleConfig)
