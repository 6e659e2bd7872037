"""Turns OTLP's messages into spans.

Source: the field numbers of opentelemetry/proto/trace/v1/trace.proto and common/v1/common.proto, which are stable.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from trace_view.wire import double, fields, signed

Attribute = str | bool | int | float
Attributes = dict[str, Attribute]
ERROR = 2


@dataclass
class Event:
    """Something that happened at one moment of a span."""

    name: str = ""
    at: int = 0
    attributes: Attributes = field(default_factory=dict)


@dataclass
class Link:
    """A span of another trace, or elsewhere in this one."""

    trace_id: str = ""
    span_id: str = ""
    attributes: Attributes = field(default_factory=dict)


@dataclass
class Span:
    """One span; times are nanoseconds since 1970."""

    trace_id: str = ""
    span_id: str = ""
    parent_id: str = ""
    name: str = ""
    begun: int = 0
    ended: int = 0
    attributes: Attributes = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    is_error: bool = False
    message: str = ""

    @property
    def ms(self) -> float:
        """How long it went on, in milliseconds."""
        return (self.ended - self.begun) / 1e6

    def text(self, key: str) -> str:
        """Returns an attribute as text; empty where there is none."""
        value = self.attributes.get(key, "")
        return str(value).lower() if isinstance(value, bool) else str(value)


def spans_of(message: bytes) -> list[Span]:
    """Reads an ExportTraceServiceRequest; raises ValueError where it is none."""
    return [
        span(body)
        for resource in inner(message, 1)
        for scope in inner(resource, 2)
        for body in inner(scope, 2)
    ]  # fmt: skip


def inner(message: bytes, number: int) -> Iterator[bytes]:
    """Yields the messages that stand in one field."""
    for found, value in fields(message):
        if found == number and isinstance(value, bytes):
            yield value


def span(body: bytes) -> Span:
    """Reads a Span."""
    read = Span()
    for number, value in fields(body):
        match number, value:
            case 1, bytes():
                read.trace_id = value.hex()
            case 2, bytes():
                read.span_id = value.hex()
            case 4, bytes():
                read.parent_id = value.hex().strip("0") and value.hex()
            case 5, bytes():
                read.name = value.decode()
            case 7, int():
                read.begun = value
            case 8, int():
                read.ended = value
            case 9, bytes():
                add(read.attributes, value)
            case 11, bytes():
                read.events.append(event(value))
            case 13, bytes():
                read.links.append(link(value))
            case 15, bytes():
                status(read, value)
    return read


def event(body: bytes) -> Event:
    """Reads an Event."""
    read = Event()
    for number, value in fields(body):
        match number, value:
            case 1, int():
                read.at = value
            case 2, bytes():
                read.name = value.decode()
            case 3, bytes():
                add(read.attributes, value)
    return read


def link(body: bytes) -> Link:
    """Reads a Link."""
    read = Link()
    for number, value in fields(body):
        match number, value:
            case 1, bytes():
                read.trace_id = value.hex()
            case 2, bytes():
                read.span_id = value.hex()
            case 4, bytes():
                add(read.attributes, value)
    return read


def status(read: Span, body: bytes) -> None:
    """Reads a Status into its span."""
    for number, value in fields(body):
        match number, value:
            case 2, bytes():
                read.message = value.decode()
            case 3, int():
                read.is_error = value == ERROR


def add(attributes: Attributes, body: bytes) -> None:
    """Reads a KeyValue; lists and maps, which Podium does not send, are left out."""
    pair = dict(fields(body))
    key, value = pair.get(1, b""), pair.get(2, b"")
    if not isinstance(key, bytes) or not isinstance(value, bytes):
        return
    for number, one in fields(value):
        match number, one:
            case 1, bytes():
                attributes[key.decode()] = one.decode()
            case 2, int():
                attributes[key.decode()] = bool(one)
            case 3, int():
                attributes[key.decode()] = signed(one)
            case 4, int():
                attributes[key.decode()] = double(one)
