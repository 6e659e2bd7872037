"""Requests: what the arguments become on the wire."""

from __future__ import annotations

import enum
import inspect
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper

import podium_client
from podium_client import Embedding, Event, EventKind, UserEmbedding, UserEvent
from podium_client.events import timestamp
from podium_client.raw import info_pb2, rank_pb2, user_pb2
from podium_client.requests import RankArguments, embedding_requests, rank_request, record_request, selector

MOMENT = 1_700_000_000
AT = datetime.fromtimestamp(MOMENT, UTC)
STAMP = {"seconds": MOMENT}
PRICE = {"ids": ["a"], "columns": [{"name": "price", "floats": {"values": [1.5]}}]}


def done(kind: int) -> dict[str, Any]:
    """Returns a user who did one thing."""
    return {"history": [{"item_id": "i", "kind": kind, "time": STAMP}]}


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ({"columns": {"price": [1.5]}}, {"candidates": PRICE}),
        ({"prior_scores": np.array([0.5])}, {"candidates": {"ids": ["a"], "prior_scores": [0.5]}}),
        ({"context": {"week": 45}}, {"context": [{"name": "week", "ints": {"values": [45]}}]}),
        ({"query": "milk"}, {"query": "milk"}),
        ({"user": "u"}, {"user": {"id": "u"}}),
        ({"history": [Event("i", AT)]}, {"user": done(3)}),
        ({"history": [Event("i", MOMENT, EventKind.VIEW)]}, {"user": done(1)}),
        ({"embedding": [1, 2]}, {"user": {"embedding": {"values": [1, 2]}}}),
        ({"embedding": np.ones((2, 2))}, {"user": {"embedding": {"values": [1] * 4, "shape": [2, 2]}}}),
        ({"embedding": Embedding([1, 2], 7)}, {"user": {"embedding": {"values": [1, 2], "encoder_version": 7}}}),
        ({"model": "m"}, {"model": {"name": "m"}}),
        ({"model": "m", "version": 3}, {"model": {"name": "m", "version": 3}}),
        ({"label": "canary"}, {"model": {"label": "canary"}}),
        ({"top_k": 5, "priority": 1}, {"top_k": 5, "priority": 1}),
        ({"allow_partial": True, "require_user_state": True}, {"allow_partial": True, "require_user_state": True}),
        ({"candidates": np.array(["a", "b"])}, {"candidates": {"ids": ["a", "b"]}}),
        ({"candidates": []}, {"candidates": {}}),
    ],
)  # fmt: skip
def test_arguments_and_their_fields(arguments: dict[str, Any], wanted: dict[str, Any]) -> None:
    fields = {"request_id": "r", "candidates": {"ids": ["a"]}} | wanted
    assert rank_request(**{"candidates": ["a"], "request_id": "r"} | arguments) == rank_pb2.RankRequest(**fields)


def test_a_request_without_an_id_gets_one_of_its_own() -> None:
    first, second = (rank_request(candidates=["a"]).request_id for _ in range(2))
    assert len(first) == 32
    assert first != second


def test_the_arguments_that_are_told_are_those_that_are_taken() -> None:
    assert set(RankArguments.__annotations__) == set(inspect.signature(rank_request).parameters)


@pytest.mark.parametrize("wrong", [{"prize": 1}, {"candidates": "abc"}, {"candidates": [7]}, {"top_k": "many"}])
def test_what_is_no_argument_is_refused_at_once(wrong: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        rank_request(**{"candidates": ["a"]} | wrong)


def test_a_version_and_a_label_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="exclude each other"):
        selector("m", 1, "latest")


@pytest.mark.parametrize(
    ("time", "seconds", "nanos"),
    [
        (MOMENT, MOMENT, 0),
        (MOMENT + 0.5, MOMENT, 500_000_000),
        (-0.25, -1, 750_000_000),
        (AT, MOMENT, 0),
        (AT + timedelta(microseconds=7), MOMENT, 7_000),
        (AT.astimezone(timezone(timedelta(hours=9))), MOMENT, 0),
        (datetime(1969, 12, 31, 23, 59, 59, 500_000, UTC), -1, 500_000_000),
    ],
)
def test_moments(time: datetime | float, seconds: int, nanos: int) -> None:
    moment = timestamp("time", time)
    assert (moment.seconds, moment.nanos) == (seconds, nanos)


def test_a_moment_without_a_time_zone_is_refused_by_its_field() -> None:
    with pytest.raises(ValueError, match=r"history\[1\].time has no time zone"):
        rank_request(candidates=["a"], history=[Event("i", AT), Event("i", datetime(2026, 1, 1))])


def test_an_event_without_a_name_has_the_same_one_each_time() -> None:
    first = record_request([UserEvent("u", "i", AT)], "r")
    again = record_request([UserEvent("u", "i", MOMENT + 0.5, EventKind.UNSPECIFIED)], "r")
    names = {first.events[0].event_id, again.events[0].event_id}
    assert len(names) == 1
    others = [UserEvent("v", "i", AT), UserEvent("u", "j", AT), UserEvent("u", "i", AT, EventKind.VIEW)]
    others += [UserEvent("u", "i", MOMENT + 1), UserEvent("u", "i", AT, event_id="mine")]
    names |= {event.event_id for event in record_request(others, "r").events}
    assert len(names) == 6
    assert "mine" in names


def test_embeddings_go_in_messages_of_a_bounded_size() -> None:
    embeddings = [UserEmbedding(f"u{number}", [1.0, 2.0], MOMENT) for number in range(5)]
    messages = embedding_requests(embeddings, "encoder", 3, size=2)
    assert [len(message.embeddings) for message in messages] == [2, 2, 1]
    assert messages[2].embeddings[0] == user_pb2.UserEmbedding(user_id="u4", values=[1, 2], created_time=STAMP)
    assert {(message.encoder_name, message.encoder_version) for message in messages} == {("encoder", 3)}


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (podium_client.EventKind, rank_pb2.EventKind),
        (podium_client.UserState, rank_pb2.UserState),
        (podium_client.DegradedReason, rank_pb2.DegradedReason),
        (podium_client.Closed, rank_pb2.Closed),
        (podium_client.ModelState, info_pb2.ModelState),
        (podium_client.ModelRole, info_pb2.ModelRole),
        (podium_client.FeatureScope, info_pb2.FeatureScope),
        (podium_client.EmbeddingState, user_pb2.EmbeddingState),
    ],
)
def test_enums_are_those_of_the_contract(ours: type[enum.IntEnum], theirs: EnumTypeWrapper) -> None:
    prefix = theirs.Name(0).removesuffix("UNSPECIFIED")
    assert {prefix + member.name: member.value for member in ours} == dict(theirs.items())
    assert ours(12345).name == "UNSPECIFIED"
