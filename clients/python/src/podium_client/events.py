"""Events: what shoppers did, and when."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from google.protobuf.timestamp_pb2 import Timestamp

from podium_client._pb import rank_pb2, user_pb2
from podium_client.enums import EventKind

Time: TypeAlias = datetime | float
"""A moment: a `datetime` with a time zone, or unix seconds."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that a shopper did, for the history that a request brings along."""

    item_id: str
    time: Time
    kind: EventKind = EventKind.PURCHASE


@dataclass(frozen=True, slots=True)
class UserEvent:
    """One thing that a user did, to be recorded.

    `event_id` names it among those of its user; the same one is recorded once. Without it the event is named after
    user, item, kind and second, as `podium users import` does it: what is both sent and imported counts once, too.
    """

    user_id: str
    item_id: str
    time: Time
    kind: EventKind = EventKind.PURCHASE
    event_id: str = ""


def timestamp(name: str, time: Time) -> Timestamp:
    """Returns a moment as the wire has it."""
    if not isinstance(time, datetime):
        nanos = round(time * 1e9) if isinstance(time, float) else time * 1_000_000_000
        return Timestamp(seconds=nanos // 1_000_000_000, nanos=nanos % 1_000_000_000)
    if time.tzinfo is None:
        raise ValueError(f"{name} has no time zone; say which, such as datetime.now(timezone.utc)")
    moment = Timestamp()
    moment.FromDatetime(time)
    return moment


def event_message(name: str, event: Event) -> rank_pb2.Event:
    """Returns an event of a history as the wire has it."""
    time = timestamp(f"{name}.time", event.time)
    return rank_pb2.Event(item_id=event.item_id, kind=f"EVENT_KIND_{event.kind.name}", time=time)


def user_event_message(name: str, event: UserEvent) -> user_pb2.UserEvent:
    """Returns an event to be recorded as the wire has it."""
    time = timestamp(f"{name}.time", event.time)
    kind = event.kind or EventKind.PURCHASE
    event_id = event.event_id or _event_name(event, kind, time.seconds)
    return user_pb2.UserEvent(
        event_id=event_id, user_id=event.user_id, item_id=event.item_id, kind=f"EVENT_KIND_{kind.name}", time=time
    )


def _event_name(event: UserEvent, kind: EventKind, seconds: int) -> str:
    text = f"{event.user_id}\0{event.item_id}\0{int(kind)}\0{seconds}"
    return hashlib.sha256(text.encode()).hexdigest()
