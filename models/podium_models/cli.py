"""Trains, tunes, compresses, evaluates and exports the models that Podium serves."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

from podium_models.settings import kind_of

HOME = Path(__file__).resolve().parent.parent
KINDS = ("ranker", "sequence", "text")

Call = Callable[[argparse.Namespace], None]


def commands_of(kind: str) -> ModuleType:
    """Imports a kind's commands; what they need beyond that they import when called."""
    return importlib.import_module(f"podium_models.{kind}.commands")


def by_kind(name: str, owners: dict[str, str], parser: argparse.ArgumentParser) -> Call:
    """Returns the call of a command that the kind of the run answers.

    ``owners`` names the kind of each option that one kind alone has.
    """

    def call(arguments: argparse.Namespace) -> None:
        kind = kind_of(arguments.run)
        found: Call | None = getattr(commands_of(kind), name, None)
        if found is None:
            raise ValueError(f"a run of the kind {kind!r} has no `{name}`")
        for option, owner in owners.items():
            given = getattr(arguments, option) != parser.get_default(option)
            if given and owner != kind:
                flag = "--" + option.replace("_", "-")
                raise ValueError(f"{flag} is for runs of the kind {owner!r}, not {kind!r}")
        found(arguments)

    return call


def add_run(parser: argparse.ArgumentParser) -> None:
    """Adds the run directory, which every command takes."""
    parser.add_argument("--run", type=Path, default=HOME / "runs" / "grocery", help="run directory")


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Adds ``--set``."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SECTION.KEY=VALUE",
        help="change a setting; config.json of the run lists them",
    )


def add_prepare(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds ``prepare`` with one subcommand for each sort of input, which fixes the run's kind."""
    text = "read data of one sort, clean and split it, and start a run"
    parser = commands.add_parser("prepare", help=text, description=text)
    sorts = parser.add_subparsers(required=True, metavar="what")
    for kind in KINDS:
        commands_of(kind).add_prepare(sorts)
    for one in set(sorts.choices.values()):
        add_run(one)
        add_settings(one)


def add_command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str
) -> argparse.ArgumentParser:
    """Adds a command that the kind of the run answers."""
    parser = commands.add_parser(name, help=text, description=text)
    add_run(parser)
    owners: dict[str, str] = {}
    for kind in KINDS:
        add_options = getattr(commands_of(kind), "add_options", None)
        if add_options is not None:
            known = {action.dest for action in parser._actions}
            add_options(name, parser)
            owners |= {one.dest: kind for one in parser._actions if one.dest not in known}
    parser.set_defaults(call=by_kind(name, owners, parser))
    return parser


def add_tune(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds ``tune``, which is one for all kinds."""
    from podium_models.tuning.commands import add_arguments

    text = "search a declared space of settings, or go on searching"
    parser = commands.add_parser("tune", help=text, description=text)
    add_run(parser)
    add_arguments(parser)


def add_compress(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds ``compress``, whose arguments are one for all kinds."""
    from podium_models.compression.commands import add_arguments

    text = "make a trained model smaller or quicker, and measure what that costs"
    parser = commands.add_parser("compress", help=text, description=text)
    add_run(parser)
    add_settings(parser)
    add_arguments(parser)


def build_parser() -> argparse.ArgumentParser:
    """Builds the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="podium_models", description=sys.modules[__name__].__doc__
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    add_prepare(commands)
    train = add_command(commands, "train", "train, or go on training, and write the graphs")
    add_settings(train)
    add_tune(commands)
    evaluate = add_command(
        commands, "evaluate", "measure held-out data, offline or through a running server"
    )
    evaluate.add_argument("--target", metavar="HOST:PORT", help="measure through this server")
    evaluate.add_argument(
        "--requests", type=int, help="with --target: send only this many requests"
    )
    add_compress(commands)
    export = add_command(commands, "export", "write the bundles that Podium serves")
    text = "ship the graphs that `compress` made by this method (text: always int8-dynamic)"
    export.add_argument("--compressed", metavar="METHOD", help=text)
    for command in (evaluate, export):
        command.add_argument(
            "--models", type=Path, default=HOME, help="the model repository the bundles are in"
        )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; expected failures become one line on stderr and the exit status 1."""
    parsed = build_parser().parse_args(arguments)
    try:
        parsed.call(parsed)
    except KeyboardInterrupt:
        print("stopped; run the same command again to go on", file=sys.stderr)
        return 130
    except (FileNotFoundError, ValueError, ArithmeticError, AssertionError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0
