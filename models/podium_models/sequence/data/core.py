"""Keeps the k-core of a log: users and items that have k events with each other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Core:
    """Which users and items are kept, how many events that leaves, after how many rounds."""

    users: Bools
    items: Bools
    events: int
    rounds: int


def count_events(parts: tuple[Path, ...], users: Bools, items: Bools) -> tuple[Ints, Ints]:
    """Counts the events between kept users and kept items, by user and by item."""
    by_user = np.zeros(len(users), dtype=np.int64)
    by_item = np.zeros(len(items), dtype=np.int64)
    for part in parts:
        frame = pl.read_parquet(part, columns=["user", "item"])
        user, item = frame["user"].to_numpy(), frame["item"].to_numpy()
        alive = users[user] & items[item]
        by_user += np.bincount(user[alive], minlength=len(users))
        by_item += np.bincount(item[alive], minlength=len(items))
    return by_user, by_item


def find_core(parts: tuple[Path, ...], users: int, items: int, k: int) -> Core:
    """Drops users and items with fewer than ``k`` events, again and again until none is left."""
    user_kept, item_kept = np.ones(users, dtype=np.bool_), np.ones(items, dtype=np.bool_)
    rounds = 0
    while True:
        by_user, by_item = count_events(parts, user_kept, item_kept)
        few_users, few_items = user_kept & (by_user < k), item_kept & (by_item < k)
        if not few_users.any() and not few_items.any():
            return Core(user_kept, item_kept, int(by_user.sum()), rounds)
        user_kept &= ~few_users
        item_kept &= ~few_items
        rounds += 1
