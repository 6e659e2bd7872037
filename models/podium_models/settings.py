"""Reads and changes the settings of a run: frozen dataclasses in sections, kept as JSON."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

Settings = TypeVar("Settings")

CONFIG = "config.json"


def to_json(kind: str, config: Any) -> str:
    """Renders settings with their kind and sorted keys, so that equal settings are equal bytes."""
    content = {"kind": kind, **dataclasses.asdict(config)}
    return json.dumps(content, indent=2, sort_keys=True) + "\n"


def from_json(text: str, empty: Settings) -> Settings:
    """Parses what ``to_json`` wrote into the shape of ``empty``; a new key raises ``TypeError``."""
    raw: dict[str, Any] = json.loads(text)
    sections: dict[str, Any] = {
        one.name: type(getattr(empty, one.name))(**raw[one.name])
        for one in dataclasses.fields(empty)  # type: ignore[arg-type]
    }
    return dataclasses.replace(empty, **sections)  # type: ignore[type-var]


def parse(text: str, kind: type) -> Any:
    """Reads a setting's text as the type of its default."""
    if kind is bool:
        if text not in ("true", "false"):
            raise ValueError(f"{text!r} is neither true nor false")
        return text == "true"
    return kind(text)


def override(config: Settings, settings: list[str]) -> Settings:
    """Returns the config with ``section.key=value`` settings applied.

    The value takes the type of the default; an unknown section or key, or a value of another
    type, raises ``ValueError``. A section's settings are checked together.
    """
    changes: dict[str, dict[str, Any]] = {}
    for setting in settings:
        path, separator, value = setting.partition("=")
        section_name, dot, key = path.partition(".")
        section = getattr(config, section_name, None)
        if not separator or not dot or section is None or not hasattr(section, key):
            raise ValueError(f"unknown setting {setting!r}; write section.key=value")
        try:
            parsed = parse(value, type(getattr(section, key)))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        changes.setdefault(section_name, {})[key] = parsed
    sections = {
        name: dataclasses.replace(getattr(config, name), **values)
        for name, values in changes.items()
    }
    return dataclasses.replace(config, **sections)  # type: ignore[type-var]


def require_between(name: str, section: Any, bounds: Mapping[str, tuple[float, float]]) -> None:
    """Raises ``ValueError`` naming the first of a section's settings outside its bounds.

    Both bounds are inclusive; infinity is not inside, nor is what is no number.
    """
    for key, (low, high) in bounds.items():
        value = getattr(section, key)
        if not (low <= value <= high and math.isfinite(value)):
            upper = "" if math.isinf(high) else f" and at most {high:g}"
            raise ValueError(f"{name}.{key} {value:g} is not at least {low:g}{upper}")


def write_config(run: Path, kind: str, config: Any) -> None:
    """Writes ``config.json`` of a run directory, which it creates; no reader sees half of it."""
    run.mkdir(parents=True, exist_ok=True)
    partial = run / f"{CONFIG}.{os.getpid()}"
    partial.write_text(to_json(kind, config), encoding="utf-8")
    partial.replace(run / CONFIG)


def read_config(run: Path, empty: Settings) -> Settings:
    """Reads ``config.json`` of a run directory into the shape of ``empty``."""
    return from_json((run / CONFIG).read_text(encoding="utf-8"), empty)


def require_kind(run: Path, kind: str) -> None:
    """Raises ``ValueError`` where a run of another kind stands in the way of `prepare`."""
    if (run / CONFIG).is_file() and kind_of(run) != kind:
        raise ValueError(f"{run} is a run of the kind {kind_of(run)!r}; name another with --run")


def kind_of(run: Path) -> str:
    """Returns the kind of a run; one that was never prepared raises ``FileNotFoundError``."""
    path = run / CONFIG
    if not path.is_file():
        raise FileNotFoundError(f"{run} is not a run; `prepare` starts one, --run names one")
    return str(json.loads(path.read_text(encoding="utf-8"))["kind"])
