"""Holds what ``prepare interactions`` was asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

FORMATS = ("auto", "csv", "parquet", "s3rec")
SPLITS = ("leave-one-out", "time", "ratio")


@dataclass(frozen=True)
class LogOptions:
    """Names the log's files, their format and the columns that matter.

    ``time`` is None where the log has none and its order counts. Of the column ``kind`` only rows
    with one of ``kinds`` are kept; all are where ``kinds`` is empty.
    """

    files: tuple[Path, ...]
    format: str = "auto"
    separator: str = ""
    user: str = "user"
    item: str = "item"
    time: str | None = "time"
    kind: str = "event"
    kinds: tuple[str, ...] = ()


@dataclass(frozen=True)
class ItemOptions:
    """Names what is known of items besides the log; ``item`` is the catalogue's id column."""

    catalogue: Path | None = None
    item: str = "item"
    text: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    price: str | None = None
    attribute_file: Path | None = None
    embeddings: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        if self.catalogue is None and (self.text or self.attributes or self.price):
            raise ValueError(
                "--item-text, --item-attributes and --item-price name columns of a catalogue; "
                "name its file with --items"
            )


@dataclass(frozen=True)
class SplitOptions:
    """Says how events are split; the instants (unix seconds) belong to the split by time."""

    kind: str = "leave-one-out"
    validation_from: int | None = None
    test_from: int | None = None

    def __post_init__(self) -> None:
        bounds = (self.validation_from, self.test_from)
        if self.kind != "time":
            if bounds != (None, None):
                raise ValueError("--validation-from and --test-from need --split time")
            return
        if self.validation_from is None or self.test_from is None:
            raise ValueError("--split time needs --validation-from and --test-from")
        if self.validation_from >= self.test_from:
            raise ValueError("--validation-from must lie before --test-from")


@dataclass(frozen=True)
class Options:
    """Everything ``prepare interactions`` takes besides the run directory."""

    log: LogOptions
    items: ItemOptions = ItemOptions()
    split: SplitOptions = SplitOptions()
    k_core: int = 1
    salt_file: Path | None = None

    def __post_init__(self) -> None:
        if self.k_core < 1:
            raise ValueError(f"--k-core {self.k_core} is below 1, which keeps everything")


def parse_instant(text: str) -> int:
    """Reads ISO 8601 (UTC where no offset is given) or unix seconds as unix seconds."""
    try:
        return int(text)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is no instant; write 2024-01-31, 2024-01-31T12:00:00Z or unix seconds"
        ) from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def parse_names(text: str) -> tuple[str, ...]:
    """Splits a comma-separated list of names; an empty or a repeated name raises ``ValueError``."""
    names = tuple(name.strip() for name in text.split(",")) if text else ()
    if not all(names) or len(set(names)) != len(names):
        raise ValueError(f"{text!r} holds an empty or a repeated name")
    return names
