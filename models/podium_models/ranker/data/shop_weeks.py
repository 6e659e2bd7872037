"""Cuts a shop's time into weeks, and the weeks into training, validation and test."""

from __future__ import annotations

import dataclasses
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt

from podium_models.ranker.config import FIRST_CUTOFF, Config, SplitConfig

Ints = npt.NDArray[np.int64]

TEST_WEEKS, VALIDATION_WEEKS = 10, 3
LONGEST = 520
"""Weeks; a longer span is a wrong time somewhere rather than ten years of purchases."""

EPOCH = date(1970, 1, 1)


def day_name(day: int) -> str:
    """Renders days since 1970 as a date."""
    return (EPOCH + timedelta(days=day)).isoformat()


def week_span(first: int, last: int) -> int:
    """Counts the weeks from the first to the last day, the last one full."""
    weeks = (last - first) // 7 + 1
    if weeks > LONGEST:
        raise ValueError(
            f"the purchases lie between {day_name(first)} and {day_name(last)}, {weeks} weeks;"
            f" at most {LONGEST} are taken: is a time wrong?"
        )
    return weeks


def calendar(weeks: int, last: int) -> Ints:
    """Returns each week's place in the year, [weeks + 1] int64, 1 to 53; week 0 is 0."""
    places = np.zeros(weeks + 1, dtype=np.int64)
    for week in range(1, weeks + 1):
        first = EPOCH + timedelta(days=last - 7 * (weeks - week) - 6)
        places[week] = (first.timetuple().tm_yday - 1) // 7 + 1
    return places


def derive_split(weeks: int, config: Config) -> Config:
    """Returns the config with the last ten weeks for testing and three before for validation."""
    last_train = weeks - TEST_WEEKS - VALIDATION_WEEKS
    split = SplitConfig(
        first_train_week=max(FIRST_CUTOFF + 1, min(SplitConfig().first_train_week, last_train)),
        last_train_week=last_train,
        last_validation_week=weeks - TEST_WEEKS,
        last_week=weeks,
    )
    return dataclasses.replace(config, split=split)


def check_split(split: SplitConfig, weeks: int) -> None:
    """Raises ``ValueError`` where a part of the split is empty or outside the data's weeks."""
    bounds = (
        split.first_train_week,
        split.last_train_week,
        split.last_validation_week,
        split.last_week,
    )
    first, train, validation, last = bounds
    if not (FIRST_CUTOFF < first <= train < validation < last <= weeks and split.max_lag_weeks > 0):
        names = ("first_train_week", "last_train_week", "last_validation_week", "last_week")
        told = ", ".join(f"split.{name}={one}" for name, one in zip(names, bounds, strict=True))
        raise ValueError(
            f"the purchases span {weeks} weeks, which does not fit {told}:"
            f" {FIRST_CUTOFF} < first <= last_train < last_validation < last_week <= {weeks}"
            " must hold; give more weeks, or --set split.…"
        )
