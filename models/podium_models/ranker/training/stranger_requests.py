"""Makes requests of shoppers of whom nothing is known, with what everybody bought as the answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from podium_models.ranker.config import FIRST_CUTOFF
from podium_models.ranker.data.assemble import Arrays
from podium_models.ranker.data.candidates import popularity_order
from podium_models.ranker.data.transforms import CANDIDATE_TRANSFORMS
from podium_models.ranker.training.examples import ExampleSource

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class StrangerRequest:
    """One week's request of a stranger: the most popular candidates, and no history.

    ``rows``: the ranker's row inputs by name but ``user_index``, each [candidates]; ``week`` is
    that of the year. ``bought`` [candidates] float32: the share of the week's shoppers who buy the
    candidate; ``interests``: the share who buy anything of a label, [labels] by sort of label.
    """

    rows: Arrays
    week: np.float32
    bought: Floats
    interests: dict[str, Floats]


def stranger_request(source: ExampleSource, week: int, cutoff: int) -> StrangerRequest:
    """Makes the request of a training week as of the end of week ``cutoff``."""
    prepared, features = source.prepared, source.prepared.features
    items = popularity_order(features.popularity[cutoff])[: prepared.data.candidates]
    known = {
        "price": features.price[cutoff, items],
        "discount": features.discount[cutoff, items],
        "popularity": features.popularity[cutoff, items],
        "display": features.display[week, items],
        "mailer": features.mailer[week, items],
    }
    rows: Arrays = {"item": items, "category": prepared.category_of[items]}
    for name, transform in CANDIDATE_TRANSFORMS.items():
        missing = np.full(len(items), transform.default, dtype=np.float32)
        rows[name] = transform.apply(known.get(name, missing))
    shoppers = source.household[source.week == week]
    weeks = np.full(len(shoppers), week)
    bought = source.purchases.contains(shoppers[:, None], weeks[:, None], items)
    interests = {
        label: table.table(shoppers, weeks).mean(0).astype(np.float32)
        for label, table in source.labels.items()
    }
    return StrangerRequest(
        rows, np.float32(prepared.calendar[week]), bought.mean(0).astype(np.float32), interests
    )


class StrangerSource:
    """Draws requests of strangers in the training weeks, as late as they may be served."""

    def __init__(self, source: ExampleSource) -> None:
        self.source = source
        self.weeks = np.unique(source.week)
        self.made: dict[tuple[int, int], StrangerRequest] = {}

    def draw(self, count: int, random: np.random.Generator) -> list[StrangerRequest]:
        """Draws at most ``count`` different weeks, each with a random lag as in training."""
        drawn = []
        for week in random.permutation(self.weeks)[:count]:
            longest = min(self.source.split.max_lag_weeks, int(week) - FIRST_CUTOFF)
            key = (int(week), int(week) - int(random.integers(1, longest + 1)))
            if key not in self.made:
                self.made[key] = stranger_request(self.source, *key)
            drawn.append(self.made[key])
        return drawn
