"""Answers the commands for runs of the ``sequence`` kind."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from podium_models.settings import override, require_kind, write_config

if TYPE_CHECKING:
    from podium_models.sequence.data.interactions import Interactions

PREPARED = "prepared"


def add_prepare(sorts: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds ``prepare interactions``."""
    from podium_models.sequence.data.arguments import add_arguments

    text = "a log of users and items: CSV, Parquet, or S3-Rec's text format"
    parser = sorts.add_parser("interactions", help=text, description=text)
    add_arguments(parser)
    parser.set_defaults(call=prepare_interactions)


def prepare_interactions(arguments: argparse.Namespace) -> None:
    """Reads a log and writes the run's prepared data and its report."""
    from podium_models.sequence.config import KIND, Config
    from podium_models.sequence.data.arguments import options_of
    from podium_models.sequence.data.prepare import MARKDOWN, PREPARED, prepare
    from podium_models.sequence.data.render import to_lines

    run = arguments.run
    require_kind(run, KIND)
    config = override(Config(), arguments.set)
    data = prepare(run, options_of(arguments))
    print(*to_lines(data.report), f"the data report is {run / PREPARED / MARKDOWN}", sep="\n")
    write_config(run, KIND, config)


def add_options(command: str, parser: argparse.ArgumentParser) -> None:
    """Adds what a command takes for runs of this kind alone."""
    if command == "train":
        text = "sequence: settings under one name, sasrec or best (default: best)"
        parser.add_argument("--recipe", metavar="NAME", help=text)
        text = "sequence: what to call the trained models (default: the recipe's name)"
        parser.add_argument("--name", metavar="NAME", help=text)
        text = "sequence: train one model for each, as in 1,2,3 (default: 1)"
        parser.add_argument("--seeds", metavar="N,N", help=text)
    if command == "evaluate":
        text = "sequence: measure this trained model or recipe alone"
        parser.add_argument("--only", metavar="NAME", help=text)
        text = "sequence: rank against random unseen items too, as older papers do"
        parser.add_argument("--sampled", action="store_true", help=text)
    if command == "export":
        text = "sequence: the trained model (default: the best on validation)"
        parser.add_argument("--trained", metavar="NAME", help=text)
        text = "sequence: ship histories with the test items (default: end before them)"
        parser.add_argument("--whole-histories", action="store_true", help=text)
    if command in ("evaluate", "export"):
        text = "sequence: the ranker bundle's name; the encoder's is NAME-encoder"
        parser.add_argument("--bundle", metavar="NAME", help=text)
        text = "sequence: the version of both bundles (default: 1)"
        parser.add_argument("--bundle-version", type=int, metavar="N", help=text)


def data_of(run: Path) -> Interactions:
    """Loads what ``prepare`` wrote for a run."""
    from podium_models.sequence.data.interactions import load_interactions

    return load_interactions(run / PREPARED)


def seeds_of(text: str) -> list[int]:
    """Parses ``--seeds``."""
    if not re.fullmatch(r"\d+(,\d+)*", text):
        raise ValueError(f"--seeds {text!r}: write whole numbers, as in 1,2,3")
    return [int(one) for one in text.split(",")]


def train(arguments: argparse.Namespace) -> None:
    """Trains, or resumes, a model for each seed and writes graphs and curves."""
    from podium_models.sequence.config import Config, with_recipe
    from podium_models.sequence.training.run import train_run
    from podium_models.settings import read_config

    recipe = arguments.recipe or "best"
    config = with_recipe(read_config(arguments.run, Config()), recipe)
    config = override(config, arguments.set)
    name, seeds = arguments.name or recipe, seeds_of(arguments.seeds or str(config.train.seed))
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise ValueError(f"--name {name!r}: write letters, digits, - _ . and no - _ . first")
    train_run(arguments.run, data_of(arguments.run), config, name, seeds)


def objective(run: Path, settings: list[str], trial_dir: Path) -> float:
    """Trains with settings on a run's data into ``trial_dir``; returns validation NDCG@10."""
    from podium_models.sequence.config import Config, with_recipe
    from podium_models.sequence.training.run import train_one
    from podium_models.settings import read_config

    config = override(with_recipe(read_config(run, Config()), "best"), settings)
    return train_one(trial_dir, data_of(run), config)


def evaluate(arguments: argparse.Namespace) -> None:
    """Measures the test items offline, or through a running server where a target is given."""
    from podium_models.sequence.config import Config

    data = data_of(arguments.run)
    if arguments.target is None:
        from podium_models.sequence.evaluation.report import evaluate_run

        evaluate_run(arguments.run, data, arguments.only, arguments.sampled)
        return
    from podium_models.sequence.evaluation.served import evaluate_served
    from podium_models.sequence.export.published import published_of

    bundles = published_of(arguments)
    evaluate_served(bundles, data, Config(), arguments.target, arguments.requests)


def export(arguments: argparse.Namespace) -> None:
    """Writes the encoder's and the ranker's bundle of one trained model."""
    from podium_models.sequence.export import bundle
    from podium_models.sequence.export.published import published_of
    from podium_models.sequence.training.run import best_trained

    trained = best_trained(arguments.run, arguments.trained)
    bundles, data = published_of(arguments), data_of(arguments.run)
    whole, method = arguments.whole_histories, arguments.compressed
    bundle.export(bundles, trained, data, whole=whole, method=method)
