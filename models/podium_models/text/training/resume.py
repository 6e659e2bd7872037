"""Refuses to go on with what other settings or other data have begun."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from podium_models.text.config import Config
from podium_models.text.data.prepared import Prepared, digest

SETTINGS = "settings.json"
FREE = ("threads", "mixed", "bundle")
"""Settings that do not change what is learnt, beyond rounding."""


def settings_of(prepared: Prepared, config: Config, *sections: str) -> dict[str, object]:
    """Returns the settings that training depends on, and the data's sum."""
    found: dict[str, object] = {"data": digest(prepared)}
    for section in sections:
        for name, value in asdict(getattr(config, section)).items():
            if name not in FREE:
                found[f"{section}.{name}"] = value
    return found


def hold(where: Path, settings: Mapping[str, object]) -> None:
    """Writes the settings of a directory that is begun, or compares with those it was begun with.

    Raises ``ValueError`` that names what differs.
    """
    path = where / SETTINGS
    where.mkdir(parents=True, exist_ok=True)
    if path.is_file():
        begun = json.loads(path.read_text(encoding="utf-8"))
        other = [one for one in settings if begun.get(one) != settings[one]]
        if other:
            raise ValueError(
                f"{where} was begun with other {', '.join(other)}; remove it to begin anew"
            )
    partial = path.with_suffix(f".{os.getpid()}")
    partial.write_text(json.dumps(dict(settings), indent=2) + "\n", encoding="utf-8")
    partial.replace(path)
