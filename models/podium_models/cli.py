"""Parses the command line and calls one command; torch is imported by ``train`` alone."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from podium_models.config import Config, override, read_config
from podium_models.data.prepared import Prepared, load_prepared

HOME = Path(__file__).resolve().parent.parent


def prepared_of(run: Path) -> tuple[Prepared, Config]:
    """Loads what ``prepare`` wrote for a run."""
    return load_prepared(run / "prepared"), read_config(run)


def run_prepare(arguments: argparse.Namespace) -> None:
    """Reads the purchases and writes the run's prepared data."""
    from podium_models.prepare import prepare

    prepared = prepare(arguments.run, override(Config(), arguments.set))
    for name, count in prepared.report.items():
        print(f"{name}: {count}")


def run_train(arguments: argparse.Namespace) -> None:
    """Trains, or resumes, and writes the graphs and the training curves."""
    from podium_models.training.run import train_run

    prepared, config = prepared_of(arguments.run)
    config = override(config, arguments.set)
    (arguments.run / "config.json").write_text(config.to_json(), encoding="utf-8")
    train_run(arguments.run, prepared, config)


def run_evaluate(arguments: argparse.Namespace) -> None:
    """Measures the test weeks offline, or through a running server where a target is given."""
    prepared, config = prepared_of(arguments.run)
    if arguments.target is None:
        from podium_models.evaluation.offline import evaluate

        evaluate(arguments.run, prepared, config)
        return
    from podium_models.evaluation.served import evaluate_served

    evaluate_served(arguments.models, prepared, config, arguments.target, arguments.requests)


def run_export(arguments: argparse.Namespace) -> None:
    """Writes both bundles."""
    from podium_models.export.bundle import export

    prepared, config = prepared_of(arguments.run)
    export(arguments.run, prepared, config, arguments.models)


def add_command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    call: Callable[[argparse.Namespace], None],
) -> argparse.ArgumentParser:
    """Adds a subcommand with the run directory every one of them takes."""
    parser = commands.add_parser(name, help=call.__doc__, description=call.__doc__)
    parser.add_argument("--run", type=Path, default=HOME / "runs" / "grocery", help="run directory")
    parser.set_defaults(call=call)
    return parser


def build_parser() -> argparse.ArgumentParser:
    """Builds the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="podium_models", description=sys.modules[__name__].__doc__
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    for name, call in (("prepare", run_prepare), ("train", run_train)):
        command = add_command(commands, name, call)
        command.add_argument(
            "--set",
            action="append",
            default=[],
            metavar="SECTION.KEY=VALUE",
            help="change a setting",
        )
    evaluate = add_command(commands, "evaluate", run_evaluate)
    evaluate.add_argument("--target", metavar="HOST:PORT", help="measure through this server")
    evaluate.add_argument(
        "--requests", type=int, help="with --target: compare the scores of this many requests only"
    )
    for command in (evaluate, add_command(commands, "export", run_export)):
        command.add_argument("--models", type=Path, default=HOME, help="where the bundles are")
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
