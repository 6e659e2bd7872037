"""Chooses the candidates of a household: its own frequent items, then the popular ones."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from podium_models.bundle.vocabulary import FIRST

Ints = npt.NDArray[np.int64]


def popularity_order(popularity: npt.NDArray[np.float32]) -> Ints:
    """Orders item indices by falling popularity, ties by index; padding and unknown are left out.

    ``popularity`` [items] float32; the result is [items - 2] int64.
    """
    order = np.argsort(-popularity[FIRST:], kind="stable")
    return order + FIRST


def choose_candidates(history: Ints, popular: Ints, own_limit: int, total: int) -> Ints:
    """Returns ``total`` distinct item indices, [total] int64, looking at no purchase to come.

    First come at most ``own_limit`` items of the household's bounded history [events] int64, the
    most frequent first, ties by their place in ``popular`` [items - 2] int64; then the head of
    ``popular`` without those.
    """
    own, counts = np.unique(history[history >= FIRST], return_counts=True)
    place = np.empty(len(popular) + FIRST, dtype=np.int64)
    place[popular] = np.arange(len(popular))
    own = own[np.lexsort((place[own], -counts))][:own_limit]
    head = popular[: total + len(own)]
    fill = head[~np.isin(head, own)]
    return np.concatenate([own, fill])[:total]
