"""Draws sampled negatives for each user; the seed is part of the result that is reported."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def sample_negatives(
    taken: Sequence[Ints], items: Ints, count: int, seed: int, weights: Floats | None = None
) -> Ints:
    """Draws ``count`` distinct items for each user out of those that the user never took.

    ``taken`` lists each user's items (history, target), ``items`` [n] int64 all items, ``weights``
    [n] their chances (default: equal). The result is [users, count] int64, the same for the same
    seed. A user with fewer than ``count`` other items raises ``ValueError``.

    Metrics on sampled negatives are not those of full ranking: Krichene and Rendle, "On Sampled
    Metrics for Item Recommendation", KDD 2020.
    """
    random = np.random.default_rng(seed)
    result = np.empty((len(taken), count), dtype=np.int64)
    logarithms = None if weights is None else np.log(np.maximum(weights, 1e-300))
    for user, own in enumerate(taken):
        keys = random.gumbel(size=len(items)) + (0.0 if logarithms is None else logarithms)
        keys[np.isin(items, own)] = -np.inf
        if int(np.isfinite(keys).sum()) < count:
            raise ValueError(f"user {user} has fewer than {count} items left to draw from")
        result[user] = items[np.argpartition(-keys, count - 1)[:count]] if count else 0
    return result
