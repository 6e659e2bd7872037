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
from podium_models.ranker.data.user_item import count_and_age

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Pairs:
    """One row for each (household, cutoff week); K candidates each.

    ``row`` [H, weeks + 1] int64: the row of a pair, or -1. ``candidates`` [P, K] int32 item
    indices; ``own_count``, ``own_age`` [P, K] uint16, raw values as ``CountAndAge`` defines them.
    """

    row: Ints
    candidates: npt.NDArray[np.int32]
    own_count: npt.NDArray[np.uint16]
    own_age: npt.NDArray[np.uint16]


PAIR_BYTES = 8_000_000_000
"""What the table may hold at most, so that `prepare` fails early and not for want of memory."""


def require_memory(pairs: int, config: DataConfig) -> None:
    """Raises ``ValueError`` where the table of that many pairs would be too large."""
    size = pairs * config.candidates * 8
    if size > PAIR_BYTES:
        raise ValueError(
            f"{pairs} pairs of a shopper and a week with {config.candidates} candidates take"
            f" {size} bytes, more than {PAIR_BYTES}: lower data.candidates, or give fewer shoppers"
        )


def build_pairs(
    histories: Histories,
    features: ItemFeatures,
    cutoffs: Sequence[int],
    config: DataConfig,
) -> Pairs:
    """Builds the table for every household and the given cutoff weeks."""
    households, size = len(histories.households), features.price.shape[1]
    total = households * len(cutoffs)
    shape = (total, config.candidates)
    row = np.full((households, len(features.price)), -1, dtype=np.int64)
    require_memory(total, config)
    candidates = np.zeros(shape, dtype=np.int32)
    columns = [np.zeros(shape, dtype=np.uint16) for _ in range(2)]
    place = 0
    with tqdm(total=total, desc="candidates", unit="pair", mininterval=1.0) as progress:
        for cutoff in cutoffs:
            popular = popularity_order(features.popularity[cutoff])
            for household in range(households):
                items, days = histories.recent(household, cutoff, config.history_events)
                chosen = choose_candidates(items, popular, config.own_candidates, config.candidates)
                related = count_and_age(items, days, size, config.never_bought_days)
                row[household, cutoff] = place
                candidates[place] = chosen
                for column, values in zip(columns, related, strict=True):
                    column[place] = values[chosen]
                place += 1
            progress.update(households)
    return Pairs(row, candidates, *columns)
