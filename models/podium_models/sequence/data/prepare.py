"""Runs ``prepare interactions``: a log in, histories, splits, item features and a report out."""

from __future__ import annotations

import dataclasses
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import polars as pl

from podium_models.bundle.vocabulary import Vocabulary
from podium_models.data_sum import require_same_data, sum_of, write_sum
from podium_models.sequence.data.assemble import assemble
from podium_models.sequence.data.core import Core, find_core
from podium_models.sequence.data.interactions import (
    REPORT,
    Interactions,
    save_interactions,
)
from podium_models.sequence.data.item_features import build_item_features
from podium_models.sequence.data.number import Numbered, number_log, pseudonyms
from podium_models.sequence.data.options import Options
from podium_models.sequence.data.order import Ordered, order_parts
from podium_models.sequence.data.read_log import LogRows, read_log
from podium_models.sequence.data.render import to_markdown
from podium_models.sequence.data.report import build_report, unseen_attributes
from podium_models.sequence.data.split import split_events

SALT, WORK, PREPARED, MARKDOWN = "salt", "prepare.tmp", "prepared", "report.md"
SALT_BYTES = 32


def read_salt(run: Path, given: Path | None) -> bytes:
    """Returns the key of the pseudonyms: from a file, or the run's own, made when missing.

    It stays in the run directory, readable by its owner alone, and enters no bundle.
    """
    path = run / SALT if given is None else given
    if given is None and not path.is_file():
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(SALT_BYTES) + "\n", encoding="ascii")
    try:
        salt = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except (UnicodeDecodeError, ValueError):
        raise ValueError(f"{path} is no salt; write 32 to 128 hex digits") from None
    if not 16 <= len(salt) <= 64:
        raise ValueError(f"{path} holds {len(salt)} bytes; write 32 to 128 hex digits")
    return salt


@contextmanager
def work_directory(run: Path) -> Iterator[Path]:
    """Makes an empty directory for what is only needed meanwhile, and removes it in the end."""
    path = run / WORK
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def core_of(numbered: Numbered, ordered: Ordered, log: LogRows, k: int) -> Core:
    """Finds the k-core; an empty one raises ``ValueError``."""
    users, items = len(numbered.users), len(numbered.items)
    if k == 1:
        events = log.read - sum(log.dropped.values()) - ordered.duplicates
        every = np.ones(users, dtype=np.bool_), np.ones(items, dtype=np.bool_)
        return Core(*every, events, 0)
    core = find_core(ordered.parts, users, items, k)
    if core.events == 0:
        raise ValueError(f"--k-core {k} leaves no event; take a smaller one")
    return core


def build_interactions(options: Options, work: Path, salt: bytes) -> Interactions:
    """Reads, cleans, orders, filters and splits a log, with ``work`` for its parts."""
    log = read_log(options.log, work)
    numbered = number_log(log, work)
    ordered = order_parts(numbered, log.timed, work)
    core = core_of(numbered, ordered, log, options.k_core)
    events = assemble(ordered, core, log.timed)
    if options.split.kind == "time" and not log.timed:
        raise ValueError("--split time needs a log with times; take leave-one-out or ratio")
    train_ends, validation_ends = split_events(events.offsets, events.times, options.split)
    items = Vocabulary(tuple(numbered.items.filter(pl.Series(core.items)).to_list()))
    features = build_item_features(items, options.items)
    data = Interactions(
        users=tuple(pseudonyms(numbered.users.filter(pl.Series(core.users)), salt)),
        items=items,
        attributes=features.attributes.vocabulary,
        offsets=events.offsets,
        train_ends=train_ends,
        validation_ends=validation_ends,
        event_items=events.items,
        event_times=events.times,
        attribute_offsets=features.attributes.offsets,
        attribute_values=features.attributes.values,
        dense=features.dense,
        items_table=features.table,
        report={},
    )
    data.report.update(build_report(data, options, log, ordered, core))
    data.report.update(features.report)
    if "attributes" in data.report:
        data.report["attributes"]["unseen_in_training"] = unseen_attributes(data)
    return data


def write_report(data: Interactions, directory: Path) -> None:
    """Draws the plots, where matplotlib is installed, and writes ``report.md``."""
    plots: list[str] = []
    if find_spec("matplotlib") is None:
        print("no plots are drawn: matplotlib is not installed", file=sys.stderr)
    else:
        from podium_models.sequence.data.plots import draw_report

        plots = draw_report(data, directory)
    (directory / MARKDOWN).write_text(to_markdown(data.report, plots), encoding="utf-8")


def learnt_from(data: Interactions) -> str:
    """Returns the sum of what models learn from: neither pseudonyms nor texts."""
    return sum_of(dataclasses.replace(data, users=(), items_table=pl.DataFrame(), report={}))


def prepare(run: Path, options: Options) -> Interactions:
    """Prepares a run directory; what an interrupted run leaves is not taken for a finished one.

    Raises ``ValueError`` where the run holds models that were trained on other data.
    """
    run.mkdir(parents=True, exist_ok=True)
    salt = read_salt(run, options.salt_file)
    with work_directory(run) as work:
        data = build_interactions(options, work, salt)
    directory, found = run / PREPARED, learnt_from(data)
    require_same_data(directory, found, (run / "trained").glob("*/latest.pt"))
    directory.mkdir(exist_ok=True)
    (directory / REPORT).unlink(missing_ok=True)
    write_report(data, directory)
    write_sum(directory, found)
    save_interactions(data, directory)
    return data
