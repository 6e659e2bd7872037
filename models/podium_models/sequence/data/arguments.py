"""Declares the arguments of ``prepare interactions`` and turns them into options."""

from __future__ import annotations

import argparse
from pathlib import Path

from podium_models.sequence.data.options import (
    FORMATS,
    SPLITS,
    ItemOptions,
    LogOptions,
    Options,
    SplitOptions,
    parse_instant,
    parse_names,
)


def add_log(parser: argparse.ArgumentParser) -> None:
    """Adds what describes the log."""
    log = parser.add_argument_group("log")
    log.add_argument("files", nargs="+", type=Path, metavar="FILE", help="the log")
    log.add_argument("--format", choices=FORMATS, default="auto", help="of the log; auto looks")
    log.add_argument("--separator", default="", help="of CSV fields; by default the header tells")
    log.add_argument("--user", default="user", help="column of user ids (default: user)")
    log.add_argument("--item", default="item", help="column of item ids (default: item)")
    log.add_argument(
        "--time", default="time", help="column of times (default: time); none: row order counts"
    )
    log.add_argument("--events", default="", metavar="A,B", help="keep only events of these kinds")
    log.add_argument("--event-column", default="event", help="column of kinds (default: event)")
    log.add_argument(
        "--k-core", type=int, default=1, help="drop users and items with fewer events (default: 1)"
    )
    log.add_argument("--salt-file", type=Path, help="key of the pseudonyms, 32 to 128 hex digits")


def add_items(parser: argparse.ArgumentParser) -> None:
    """Adds what describes items."""
    items = parser.add_argument_group("items")
    items.add_argument("--items", type=Path, metavar="FILE", help="a catalogue, CSV or Parquet")
    items.add_argument("--item-id", help="its column of item ids (default: as --item)")
    items.add_argument("--item-text", default="", metavar="A,B", help="its columns of text")
    items.add_argument(
        "--item-attributes", default="", metavar="A,B", help="its columns of values split by |"
    )
    items.add_argument("--item-price", help="its column of prices")
    items.add_argument(
        "--attributes", type=Path, metavar="FILE", help="JSON: item id to list of attribute ids"
    )
    items.add_argument(
        "--embeddings",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="vectors of items, .npz or Parquet; may be given several times",
    )


def add_split(parser: argparse.ArgumentParser) -> None:
    """Adds what describes the split."""
    split = parser.add_argument_group("split")
    split.add_argument("--split", choices=SPLITS, default="leave-one-out")
    for name in ("validation", "test"):
        split.add_argument(
            f"--{name}-from", metavar="TIME", help="ISO 8601 or unix seconds, for --split time"
        )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds all arguments."""
    add_log(parser)
    add_items(parser)
    add_split(parser)


def options_of(arguments: argparse.Namespace) -> Options:
    """Reads parsed arguments; what cannot be meant raises ``ValueError``."""
    log = LogOptions(
        files=tuple(arguments.files),
        format=arguments.format,
        separator=arguments.separator.replace("\\t", "\t"),
        user=arguments.user,
        item=arguments.item,
        time=None if arguments.time == "none" else arguments.time,
        kind=arguments.event_column,
        kinds=parse_names(arguments.events),
    )
    items = ItemOptions(
        catalogue=arguments.items,
        item=arguments.item_id or arguments.item,
        text=parse_names(arguments.item_text),
        attributes=parse_names(arguments.item_attributes),
        price=arguments.item_price,
        attribute_file=arguments.attributes,
        embeddings=tuple(arguments.embeddings),
    )
    bounds = (arguments.validation_from, arguments.test_from)
    split = SplitOptions(
        arguments.split, *(None if bound is None else parse_instant(bound) for bound in bounds)
    )
    return Options(log, items, split, arguments.k_core, arguments.salt_file)
