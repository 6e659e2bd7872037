"""Says what a kind of model has to offer so that its settings can be tuned."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, Protocol, cast

from podium_models.settings import parse


class Objective(Protocol):
    """Stands in a kind's ``commands`` module under the name ``objective``.

    It trains with the run's prepared data and ``settings`` (``section.key=value``, as ``--set``
    takes them) into ``trial_dir``, going on with what an interrupted call left there, and returns
    the validation metric, larger being better. ``ValueError`` and ``ArithmeticError`` fail the
    trial alone.
    """

    def __call__(self, run: Path, settings: list[str], trial_dir: Path) -> float:
        """Returns the validation metric of one trial."""
        ...


def objective_of(kind: str) -> Objective:
    """Returns the objective of a kind of model; one without raises ``ValueError``."""
    module = importlib.import_module(f"podium_models.{kind}.commands")
    found = getattr(module, "objective", None)
    if found is None:
        raise ValueError(f"a run of the kind {kind!r} has no `tune`")
    return cast("Objective", found)


def config_of(kind: str) -> Any:
    """Returns the default settings of a kind, which say what can be tuned."""
    return importlib.import_module(f"podium_models.{kind}.config").Config()


def check_setting(config: Any, name: str, values: list[str]) -> None:
    """Raises ``ValueError`` for a setting that there is not, or for a value of another type."""
    section_name, _, key = name.partition(".")
    section = getattr(config, section_name, None)
    if section is None:
        raise ValueError(f"the space names the section [{section_name}], which no setting is in")
    if not hasattr(section, key):
        there = ", ".join(sorted(vars(section)))
        raise ValueError(f"the space names {name}, which is no setting; there are {there}")
    kind = type(getattr(section, key))
    for value in values:
        try:
            parse(value, kind)
        except ValueError as error:
            raise ValueError(f"the space gives {name} the value {value}: {error}") from None
