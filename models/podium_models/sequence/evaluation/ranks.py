"""Ranks held-out items among all items, those of the history left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from podium_models.bundle.vocabulary import FIRST
from podium_models.sequence.data.interactions import Interactions
from podium_models.sequence.data.padding import pad
from podium_models.sequence.evaluation.histories import HeldOut, history

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

USERS_AT_ONCE = 256

Score = Callable[[Ints, Floats], Floats]
"""From item [users, length] int64 and mask float32 to scores [users, items] float32."""


class Ranks(NamedTuple):
    """Where held-out items stand.

    ``ranks`` [targets] int64, 0 is best; ``owner`` [targets] int64 is the place of the user among
    the measured ones; ``top`` [users, 10] int64 are the items shown; ``rankable`` [users] int64
    counts the items that were ranked; ``chance`` [users] float32 is the share of the exponentials
    that the first item has.
    """

    ranks: Ints
    owner: Ints
    top: Ints
    rankable: Ints
    chance: Floats


def target_ranks(scores: Floats, targets: Ints) -> Ints:
    """Counts the items that stand before each target: a higher score, or the same and before it."""
    own = scores[targets]
    higher = (scores[None, :] > own[:, None]).sum(1)
    same = (scores[None, :] == own[:, None]) & (np.arange(len(scores))[None, :] < targets[:, None])
    ranks: Ints = higher + same.sum(1)
    return ranks


def masked(scores: Floats, seen: Ints, targets: Ints) -> Floats:
    """Lowers what was seen, padding and the unknown item to -inf; a target is always rankable."""
    own = scores[targets].copy()
    scores[seen] = -np.inf
    scores[:FIRST] = -np.inf
    scores[targets] = own
    return scores


def score_batches(
    data: Interactions, parts: HeldOut, max_length: int, score: Score
) -> Iterator[tuple[Ints, Floats]]:
    """Scores users, similar history lengths together; yields places and scores [users, items]."""
    lengths = np.minimum(parts.starts - data.offsets[parts.users], max_length)
    order = np.argsort(lengths, kind="stable")
    for at in range(0, len(order), USERS_AT_ONCE):
        places = order[at : at + USERS_AT_ONCE]
        item = pad(
            [
                history(data, int(parts.users[one]), int(parts.starts[one]), max_length)
                for one in places
            ]
        )
        yield places, score(item, (item > 0).astype(np.float32))


def rank_held_out(data: Interactions, parts: HeldOut, max_length: int, score: Score) -> Ranks:
    """Ranks every distinct held-out item of every user among all items but those of the history."""
    ranks: list[Ints] = [np.empty(0, np.int64)] * len(parts.users)
    top = np.zeros((len(parts.users), 10), dtype=np.int64)
    rankable = np.zeros(len(parts.users), dtype=np.int64)
    chance = np.zeros(len(parts.users), dtype=np.float32)
    for places, scores in score_batches(data, parts, max_length, score):
        for place, raw in zip(places, scores, strict=True):
            user, start = int(parts.users[place]), int(parts.starts[place])
            targets = np.unique(data.event_items[start : parts.stops[place]])
            targets = targets[targets >= FIRST]
            row = masked(raw, history(data, user, start), targets)
            ranks[place] = target_ranks(row, targets)
            best = np.argpartition(-row, min(9, len(row) - 1))[:10]
            best = best[np.argsort(-row[best], kind="stable")]
            top[place, : len(best)] = best
            rankable[place] = int(np.isfinite(row).sum())
            spread = np.exp(row[np.isfinite(row)].astype(np.float64) - float(row[best[0]]))
            chance[place] = 1.0 / spread.sum()
    owner = np.repeat(np.arange(len(ranks)), [len(one) for one in ranks])
    return Ranks(np.concatenate(ranks), owner, top, rankable, chance)
