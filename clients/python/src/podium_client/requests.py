"""Requests: what callers say in Python, as the wire has it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Required, TypedDict

from podium_client._pb import rank_pb2, user_pb2
from podium_client.columns import Array, Numbers, Value, Values, column, flat, single, texts
from podium_client.events import Event, Time, UserEvent, event_message, timestamp, user_event_message


@dataclass(frozen=True, slots=True)
class Embedding:
    """The output of a user encoder for one user, which a request brings along."""

    values: Numbers | Sequence[Numbers]
    encoder_version: int = 0
    """The version of the encoder that made it; 0: the caller vouches that it fits."""


@dataclass(frozen=True, slots=True)
class UserEmbedding:
    """The output of a user encoder for one user, to be stored."""

    user_id: str
    values: Numbers | Sequence[Numbers]
    created_time: Time | None = None
    """When the history was read that it was computed from; `None`: now."""


class RankArguments(TypedDict, total=False):
    """What can be asked of `rank`; all but the candidates may be left out."""

    candidates: Required[Sequence[str] | Array]
    """The ids of the items to order, each once."""
    columns: Mapping[str, Values]
    """Features by name: one value for each candidate, or an array whose first dimension is theirs."""
    prior_scores: Numbers
    """A score of an earlier stage for each candidate."""
    context: Mapping[str, Value]
    """Features of the moment by name: one value each."""
    query: str
    """The search text."""
    user: str
    """The shopper's id in the user store."""
    history: Sequence[Event]
    """What the shopper did, oldest first; used instead of what is stored."""
    embedding: Embedding | Numbers | Sequence[Numbers]
    """The output of the model's user encoder; the encoder then does not run."""
    model: str
    """The model; without it, the server's default."""
    version: int
    """Its version; without it, the live one."""
    label: str
    """A label instead of a version."""
    top_k: int
    """How many of the best items to return; 0: all."""
    priority: int
    """How urgent it is, from 1, the highest, to 8; 0: the model's default."""
    allow_partial: bool
    """Whether an order that is partly scored is welcome where time is short."""
    require_user_state: bool
    """Whether an order for an unknown shopper is of no use."""
    request_id: str
    """Names the request in the answer, in errors and in the server's log; without it, one is made up."""


def selector(model: str = "", version: int | None = None, label: str | None = None) -> rank_pb2.ModelSelector | None:
    """Returns the choice of a model; `None` where nothing is chosen."""
    if version is not None and label is not None:
        raise ValueError("version and label exclude each other; give one of them")
    if not model and version is None and label is None:
        return None
    return rank_pb2.ModelSelector(name=model, version=version, label=label)


def rank_request(
    *,
    candidates: Sequence[str] | Array,
    columns: Mapping[str, Values] | None = None,
    prior_scores: Numbers = (),
    context: Mapping[str, Value] | None = None,
    query: str = "",
    user: str = "",
    history: Sequence[Event] = (),
    embedding: Embedding | Numbers | Sequence[Numbers] | None = None,
    model: str = "",
    version: int | None = None,
    label: str | None = None,
    top_k: int = 0,
    priority: int = 0,
    allow_partial: bool = False,
    require_user_state: bool = False,
    request_id: str = "",
) -> rank_pb2.RankRequest:
    """Returns the request; its arguments are those of `RankArguments`."""
    return rank_pb2.RankRequest(
        request_id=request_id or uuid.uuid4().hex,
        model=selector(model, version, label),
        user=_user(user, history, embedding),
        query=query,
        context=[single(name, value) for name, value in (context or {}).items()],
        candidates=rank_pb2.Candidates(
            ids=texts("candidates", candidates),
            prior_scores=flat("prior_scores", prior_scores)[0],
            columns=[column(name, values) for name, values in (columns or {}).items()],
        ),
        top_k=top_k,
        priority=priority,
        allow_partial=allow_partial,
        require_user_state=require_user_state,
    )


def record_request(events: Sequence[UserEvent], request_id: str) -> user_pb2.RecordEventsRequest:
    """Returns the request that records events."""
    messages = [user_event_message(f"events[{at}]", event) for at, event in enumerate(events)]
    return user_pb2.RecordEventsRequest(request_id=request_id or uuid.uuid4().hex, events=messages)


def embedding_requests(
    embeddings: Sequence[UserEmbedding], encoder: str, version: int, size: int = 256
) -> list[user_pb2.PutEmbeddingsRequest]:
    """Returns the messages that store embeddings, so many in each."""
    messages = [_stored(f"embeddings[{at}]", one) for at, one in enumerate(embeddings)]
    return [
        user_pb2.PutEmbeddingsRequest(
            encoder_name=encoder, encoder_version=version, embeddings=messages[start : start + size]
        )
        for start in range(0, len(messages), size)
    ]


def _stored(name: str, one: UserEmbedding) -> user_pb2.UserEmbedding:
    values, _ = flat(f"{name}.values", one.values)
    created = None if one.created_time is None else timestamp(f"{name}.created_time", one.created_time)
    return user_pb2.UserEmbedding(user_id=one.user_id, values=values, created_time=created)


def _user(user: str, history: Sequence[Event], embedding: Any) -> rank_pb2.User | None:
    if not user and not history and embedding is None:
        return None
    events = [event_message(f"history[{at}]", event) for at, event in enumerate(history)]
    return rank_pb2.User(id=user, history=events, embedding=_embedding(embedding))


def _embedding(embedding: Any) -> rank_pb2.Embedding | None:
    if embedding is None:
        return None
    given = embedding if isinstance(embedding, Embedding) else Embedding(embedding)
    values, shape = flat("embedding", given.values)
    return rank_pb2.Embedding(
        values=values, shape=shape if len(shape) > 1 else [], encoder_version=given.encoder_version
    )
