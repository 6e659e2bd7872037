"""Answers the commands for runs of the ``sequence`` kind."""

from __future__ import annotations

import argparse

from podium_models.settings import CONFIG, kind_of, override, write_config


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
    from podium_models.sequence.data.prepare import prepare

    run = arguments.run
    if (run / CONFIG).is_file() and kind_of(run) != KIND:
        raise ValueError(f"{run} is a run of the kind {kind_of(run)!r}; name another with --run")
    config = override(Config(), arguments.set)
    prepare(run, options_of(arguments))
    write_config(run, KIND, config)
