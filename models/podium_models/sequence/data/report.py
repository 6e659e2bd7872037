"""Counts what happened to a log, checks that the counts add up, and renders them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from podium_models.bundle.vocabulary import FIRST
from podium_models.sequence.data.core import Core
from podium_models.sequence.data.interactions import Interactions
from podium_models.sequence.data.options import Options
from podium_models.sequence.data.order import Ordered
from podium_models.sequence.data.read_log import LogRows

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

QUANTILES = {"least": 0, "quarter": 25, "median": 50, "three_quarters": 75, "p99": 99, "most": 100}


def quantiles(values: Ints) -> dict[str, float]:
    """Summarises counts by their quantiles and mean."""
    found = np.percentile(values, list(QUANTILES.values()), method="lower")
    summary = {name: float(value) for name, value in zip(QUANTILES, found, strict=True)}
    return {**summary, "mean": round(float(values.mean()), 3)}


def training_mask(data: Interactions) -> Bools:
    """Says of every event whether it trains: [E] bool."""
    train = data.train_ends - data.offsets[:-1]
    held_out = data.offsets[1:] - data.train_ends
    lengths = np.stack([train, held_out], axis=1).ravel()
    return np.repeat(np.tile([True, False], len(train)), lengths)


def split_counts(data: Interactions) -> dict[str, int]:
    """Counts events and users of each part of the split, and items that training never sees."""
    starts, ends = data.offsets[:-1], data.offsets[1:]
    train = data.train_ends - starts
    validation = data.validation_ends - data.train_ends
    test = ends - data.validation_ends
    in_training = training_mask(data)
    seen = np.zeros(data.items.size, dtype=np.bool_)
    seen[data.event_items[in_training]] = True
    held_out = data.event_items[~in_training]
    return {
        "train_events": int(train.sum()),
        "validation_events": int(validation.sum()),
        "test_events": int(test.sum()),
        "users_with_train_events": int((train > 0).sum()),
        "users_with_validation_events": int((validation > 0).sum()),
        "users_with_test_events": int((test > 0).sum()),
        "users_held_out_without_history": int(((train == 0) & (validation + test > 0)).sum()),
        "items_never_in_training": len(data.items.names) - int(seen[FIRST:].sum()),
        "held_out_events_of_items_never_in_training": int((~seen[held_out]).sum()),
    }


def unseen_attributes(data: Interactions) -> int:
    """Counts attributes that only items without an event in training have."""
    seen = np.zeros(data.items.size, dtype=np.bool_)
    seen[data.event_items[training_mask(data)]] = True
    owner = np.repeat(np.arange(data.items.size), np.diff(data.attribute_offsets))
    used = np.unique(data.attribute_values[seen[owner]])
    return len(data.attributes.names) - len(used)


def build_report(
    data: Interactions,
    options: Options,
    log: LogRows,
    ordered: Ordered,
    core: Core,
) -> dict[str, Any]:
    """Collects all counts; events that are neither kept nor counted raise ``AssertionError``."""
    lengths = np.diff(data.offsets)
    cleaned = sum(log.dropped.values()) + ordered.duplicates
    dropped = {
        **log.dropped,
        "duplicate": ordered.duplicates,
        "k_core": log.read - cleaned - core.events,
    }
    kept = len(data.event_items)
    splits = split_counts(data)
    parts = splits["train_events"] + splits["validation_events"] + splits["test_events"]
    if log.read != kept + sum(dropped.values()) or kept != parts:
        raise AssertionError(f"{log.read} events read, {kept} kept, {dropped}, {splits}")
    source: dict[str, Any] = {
        "files": [path.name for path in options.log.files],
        "format": log.format,
        "bytes": log.size,
    }
    if log.lines is not None:
        source["lines"] = log.lines
    popularity = np.bincount(data.event_items, minlength=data.items.size)[FIRST:]
    return {
        "source": source,
        "events": {"read": log.read, "dropped": dropped, "kept": kept},
        "treated": {
            "events_sorted_because_a_later_one_came_first": ordered.unsorted,
            "times": "seconds" if log.timed else "positions",
        },
        "users": {
            "read": len(core.users),
            "dropped_k_core": int((~core.users).sum()),
            "kept": len(data.users),
            "with_one_event": int((lengths == 1).sum()),
            "with_two_events": int((lengths == 2).sum()),
        },
        "items": {
            "read": len(core.items),
            "dropped_k_core": int((~core.items).sum()),
            "kept": len(data.items.names),
        },
        "k_core": {"k": options.k_core, "rounds": core.rounds},
        "split": {"kind": options.split.kind, **splits},
        "events_by_user": quantiles(lengths),
        "events_by_item": quantiles(popularity),
    }
