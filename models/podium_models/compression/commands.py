"""Answers ``compress`` by handing it to the kind of the run."""

from __future__ import annotations

import argparse
import importlib
from importlib.util import find_spec

from podium_models.settings import kind_of

METHODS = ("distil", "vocabulary", "prune", "int8-dynamic", "int8-static", "fp16")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what ``compress`` takes."""
    parser.add_argument("--method", choices=METHODS, required=True)
    parser.add_argument(
        "--max-loss",
        type=float,
        default=0.01,
        help="refuse to lose more of the validation metric (default: 0.01)",
    )
    text = "the trained model, where the run has several (default: the best on validation)"
    parser.add_argument("--trained", metavar="NAME", help=text)
    parser.set_defaults(call=compress)


def compress(arguments: argparse.Namespace) -> None:
    """Calls ``compress`` of the kind: in its module ``compress``, or among its commands."""
    kind = kind_of(arguments.run)
    if arguments.max_loss < 0:
        raise ValueError(f"--max-loss {arguments.max_loss:g} is below 0")
    own = f"podium_models.{kind}.compress"
    name = own if find_spec(own) else f"podium_models.{kind}.commands"
    found = getattr(importlib.import_module(name), "compress", None)
    if found is None:
        raise ValueError(f"a run of the kind {kind!r} has no `compress`")
    found(arguments)
