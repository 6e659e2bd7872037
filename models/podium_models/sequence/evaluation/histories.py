"""Cuts histories and their held-out items out of prepared interactions."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from podium_models.sequence.data.interactions import Interactions

Ints = npt.NDArray[np.int64]
PARTS = ("validation", "test")


class HeldOut(NamedTuple):
    """Users with something to find, [n] int64 each.

    User ``users[i]`` is known up to event ``starts[i]`` (exclusive); the events from there to
    ``stops[i]`` are to be found.
    """

    users: Ints
    starts: Ints
    stops: Ints


def held_out(data: Interactions, part: str) -> HeldOut:
    """Lists the users who have events in a part, with a history before it."""
    starts = data.train_ends if part == "validation" else data.validation_ends
    stops = data.validation_ends if part == "validation" else data.offsets[1:]
    users = np.nonzero((stops > starts) & (starts > data.offsets[:-1]))[0]
    return HeldOut(users, starts[users], stops[users])


def test_events(data: Interactions) -> HeldOut:
    """Lists the users who have test events; where nobody has, raises ``ValueError``."""
    parts = held_out(data, "test")
    if len(parts.users) == 0:
        raise ValueError("no user has a test item after a history; choose another --split")
    return parts


def sample(parts: HeldOut, count: int, seed: int) -> HeldOut:
    """Takes ``count`` random users, or all where there are fewer."""
    if count >= len(parts.users):
        return parts
    places = np.sort(np.random.default_rng(seed).permutation(len(parts.users))[:count])
    return HeldOut(*(one[places] for one in parts))


def history(data: Interactions, user: int, stop: int, limit: int | None = None) -> Ints:
    """Returns a user's items before event ``stop``, the latest ``limit`` of them, [n] int64."""
    start = int(data.offsets[user])
    if limit is not None:
        start = max(start, stop - limit)
    return data.event_items[start:stop]
