"""Reads the declared space of settings: lists of choices, and ranges."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Value = bool | int | float | str

POINTS = 5
RANGE_KEYS = {"low", "high", "log", "points"}


@dataclass(frozen=True)
class Parameter:
    """One setting: ``choices``, or where there are none the range from ``low`` to ``high``.

    ``points`` says how many values of a range a grid takes.
    """

    name: str
    choices: tuple[Value, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    whole: bool = False
    points: int = POINTS

    def grid(self) -> list[Value]:
        """Lists the values that a grid search takes, in ascending order for a range."""
        if self.choices:
            return list(self.choices)
        space = np.geomspace if self.log else np.linspace
        values = np.asarray(space(self.low, self.high, self.points), dtype=np.float64)
        values[0], values[-1] = self.low, self.high
        if self.whole:
            return [int(value) for value in np.unique(np.rint(values))]
        return [float(f"{value:.6g}") for value in values]


def parse_range(name: str, given: dict[str, Any]) -> Parameter:
    """Reads ``{low = 1, high = 9, log = true, points = 5}``; two whole bounds make whole values."""
    if not {"low", "high"} <= set(given) <= RANGE_KEYS:
        raise ValueError(f"{name}: a range is {{low = 1, high = 9}}, with log and points at will")
    low, high = given["low"], given["high"]
    log, points = given.get("log", False), given.get("points", POINTS)
    if not all(isinstance(one, int | float) and not isinstance(one, bool) for one in (low, high)):
        raise ValueError(f"{name}: low and high are numbers, not {low!r} and {high!r}")
    if not low < high or (log and low <= 0):
        raise ValueError(f"{name}: low lies below high, and above 0 for a log range")
    if not isinstance(log, bool) or not isinstance(points, int) or points < 2:
        raise ValueError(f"{name}: log is true or false, points a whole number from 2 on")
    whole = isinstance(low, int) and isinstance(high, int)
    return Parameter(name, (), float(low), float(high), log, whole, points)


def parse_parameter(name: str, given: object) -> Parameter:
    """Reads one entry of the space: a list of choices or a range."""
    if isinstance(given, dict):
        return parse_range(name, given)
    if not isinstance(given, list) or not given:
        raise ValueError(f"{name} is neither a list of choices nor a range: {given!r}")
    if not all(isinstance(one, bool | int | float | str) for one in given):
        raise ValueError(f"{name}: choices are texts, numbers, true and false: {given!r}")
    if len({to_text(one) for one in given}) != len(given):
        raise ValueError(f"{name}: a choice stands twice: {given!r}")
    return Parameter(name, tuple(given))


def read_space(path: Path) -> list[Parameter]:
    """Reads a TOML file of sections and keys, as the settings have them."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not a file; it would declare the space to search")
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not TOML: {error}") from None
    found = []
    for section, entries in content.items():
        if not isinstance(entries, dict):
            raise ValueError(f"{path}: {section} stands outside a section such as [train]")
        found += [parse_parameter(f"{section}.{key}", given) for key, given in entries.items()]
    if not found:
        raise ValueError(f"{path} declares nothing to search; see models/docs/tuning.md")
    return found


def to_text(value: Value) -> str:
    """Renders a value as ``--set`` reads it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def to_settings(values: dict[str, Value]) -> list[str]:
    """Renders values by name as settings."""
    return [f"{name}={to_text(value)}" for name, value in values.items()]
