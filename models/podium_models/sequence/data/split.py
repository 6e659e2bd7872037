"""Splits every user's events into training, validation and test, always in this order of time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from podium_models.sequence.data.options import SplitOptions

Ints = npt.NDArray[np.int64]


def leave_one_out(lengths: Ints) -> tuple[Ints, Ints]:
    """Tests the last item and validates the one before; under three events, all train."""
    enough = lengths >= 3
    return lengths - 2 * enough, lengths - enough


def by_ratio(lengths: Ints) -> tuple[Ints, Ints]:
    """Splits 7:1:2 in time order; both bounds are rounded up, so that short histories train."""
    return (7 * lengths + 9) // 10, (8 * lengths + 9) // 10


def by_time(offsets: Ints, times: Ints, validation_from: int, test_from: int) -> tuple[Ints, Ints]:
    """Counts each user's events before either instant."""
    bounds = []
    for instant in (validation_from, test_from):
        before = np.concatenate([[0], np.cumsum(times < instant)])
        bounds.append(np.diff(before[offsets]).astype(np.int64))
    return bounds[0], bounds[1]


def split_events(offsets: Ints, times: Ints, options: SplitOptions) -> tuple[Ints, Ints]:
    """Returns ``train_ends`` and ``validation_ends`` as positions among all events."""
    lengths = np.diff(offsets)
    if options.kind == "time":
        assert options.validation_from is not None
        assert options.test_from is not None
        train, both = by_time(offsets, times, options.validation_from, options.test_from)
    elif options.kind == "ratio":
        train, both = by_ratio(lengths)
    else:
        train, both = leave_one_out(lengths)
    return offsets[:-1] + train, offsets[:-1] + both
