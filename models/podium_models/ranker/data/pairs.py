"""Tables candidates and their relation to the history for each household and cutoff week."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from podium_models.ranker.config import DataConfig
from podium_models.ranker.data.candidates import choose_candidates, popularity_order
from podium_models.ranker.data.histories import Histories
from podium_models.ranker.data.item_features import ItemFeatures
from podium_models.ranker.data.user_item import relate

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Pairs:
    """One row for each (household, cutoff week); K candidates each.

    ``row`` [H, weeks + 1] int64: the row of a pair, or -1. ``candidates`` [P, K] int32 item
    indices; ``own_count``, ``own_age``, ``category_count`` [P, K] uint16, raw values as
    ``UserItem`` defines them.
    """

    row: Ints
    candidates: npt.NDArray[np.int32]
    own_count: npt.NDArray[np.uint16]
    own_age: npt.NDArray[np.uint16]
    category_count: npt.NDArray[np.uint16]


def build_pairs(
    histories: Histories,
    features: ItemFeatures,
    category_of: Ints,
    cutoffs: Sequence[int],
    config: DataConfig,
) -> Pairs:
    """Builds the table for every household and the given cutoff weeks."""
    households = len(histories.households)
    total = households * len(cutoffs)
    shape = (total, config.candidates)
    row = np.full((households, len(features.price)), -1, dtype=np.int64)
    candidates = np.zeros(shape, dtype=np.int32)
    columns = [np.zeros(shape, dtype=np.uint16) for _ in range(3)]
    place = 0
    with tqdm(total=total, desc="candidates", unit="pair", mininterval=1.0) as progress:
        for cutoff in cutoffs:
            popular = popularity_order(features.popularity[cutoff])
            for household in range(households):
                items, days = histories.recent(household, cutoff, config.history_events)
                chosen = choose_candidates(items, popular, config.own_candidates, config.candidates)
                related = relate(items, days, chosen, category_of, config.never_bought_days)
                row[household, cutoff] = place
                candidates[place] = chosen
                for column, values in zip(columns, related, strict=True):
                    column[place] = values
                place += 1
            progress.update(households)
    return Pairs(row, candidates, *columns)
