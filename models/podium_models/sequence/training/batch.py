"""Cuts training sequences and puts those of similar length into one batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from podium_models.sequence.config import TrainConfig
from podium_models.sequence.data.interactions import Interactions
from podium_models.sequence.data.padding import pad

Ints = npt.NDArray[np.int64]

BUCKET_BATCHES = 16


class Batch(NamedTuple):
    """Right-padded inputs and what follows each of them, [users, length].

    ``first`` [users] int64 is the item each history begins with, which nothing precedes.
    """

    item: Tensor
    mask: Tensor
    target: Tensor
    first: Tensor


class TrainingSequences:
    """Every user's training events, cut to what the encoder reads plus one target."""

    def __init__(self, data: Interactions, max_length: int) -> None:
        self.items = data.event_items
        self.stop = data.train_ends
        self.start = np.maximum(data.offsets[:-1], data.train_ends - (max_length + 1))
        self.users: Ints = np.nonzero(self.stop - self.start >= 2)[0]
        if len(self.users) == 0:
            raise ValueError("no user has two events to train on; see report.md of the run")

    def lengths(self, users: Ints) -> Ints:
        """Counts the events of users, [users] int64."""
        lengths: Ints = self.stop[users] - self.start[users]
        return lengths

    def batch(self, users: Ints, device: torch.device) -> Batch:
        """Builds one batch on a device."""
        rows = [self.items[self.start[user] : self.stop[user]] for user in users]
        item = torch.from_numpy(pad([row[:-1] for row in rows])).to(device)
        target = torch.from_numpy(pad([row[1:] for row in rows])).to(device)
        first = torch.from_numpy(np.array([row[0] for row in rows])).to(device)
        return Batch(item, (item > 0).to(torch.float32), target, first)


def epoch_batches(
    source: TrainingSequences, config: TrainConfig, epoch: int, rank: int = 0, world: int = 1
) -> list[Ints]:
    """Lists an epoch's batches of users, similar lengths together, the same for the same seed.

    Of ``world`` processes each takes every ``world``-th batch, all the same number.
    """
    random = np.random.default_rng([config.seed, epoch])
    users = random.permutation(source.users)
    batches = list(buckets(users, source.lengths(users), config.batch_size))
    order = random.permutation(len(batches))
    kept = len(order) - len(order) % world
    return [batches[place] for place in order[:kept][rank::world]]


def buckets(users: Ints, lengths: Ints, size: int) -> Iterator[Ints]:
    """Yields batches of ``size`` users out of runs of sixteen batches sorted by length."""
    run = size * BUCKET_BATCHES
    for start in range(0, len(users), run):
        part = users[start : start + run]
        part = part[np.argsort(lengths[start : start + run], kind="stable")]
        for at in range(0, len(part), size):
            yield part[at : at + size]
