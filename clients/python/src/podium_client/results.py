"""Results: answers of the server, as values that do not change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from podium_client._pb import rank_pb2, user_pb2
from podium_client.enums import Closed, DegradedReason, EmbeddingState, UserState
from podium_client.errors import PodiumError, stream_error


@dataclass(frozen=True, slots=True)
class RankedItem:
    """One item in its place."""

    id: str
    index: int
    """Its position among the candidates, from 0."""
    rank: int
    """Its place in the order, from 1."""
    score: float | None
    """The ranking head's score; `None`: not scored, and therefore last."""
    outputs: Mapping[str, float]
    """The values of the model's further heads."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch that the model ran."""

    rows: int
    requests: int
    fill: float
    padding_share: float
    closed: Closed


@dataclass(frozen=True, slots=True)
class Timings:
    """Time spent in the server, stage by stage, in microseconds."""

    total_us: int
    validate_us: int
    user_us: int
    features_us: int
    queue_us: int
    assemble_us: int
    run_us: int
    scatter_us: int
    select_us: int
    batches: int
    """In how many batches the candidates were."""
    batch: Batch | None
    """The last of them; `None`: nothing was run."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """An order of candidates, and what it lacks."""

    request_id: str
    items: tuple[RankedItem, ...]
    """The best first."""
    model_name: str
    model_version: int
    encoder_version: int
    """The version of the user encoder; 0 where the model uses none."""
    user_state: UserState
    user_state_age: float
    """Seconds since the user's embedding was computed."""
    degraded: tuple[DegradedReason, ...]
    """Why the order is less than it could be; empty where nothing is missing."""
    missing_items: tuple[str, ...]
    """Candidates that the catalogue does not know."""
    timings: Timings

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of the items, the best first."""
        return tuple(item.id for item in self.items)


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of events."""

    request_id: str
    recorded: int
    """Events that are new."""
    duplicates: int
    """Events that their user already had."""


@dataclass(frozen=True, slots=True)
class StoredEmbedding:
    """A user's embedding, as the store has it."""

    encoder_name: str
    encoder_version: int
    state: EmbeddingState
    created_time: datetime | None
    age: float
    """Seconds since it was computed."""


@dataclass(frozen=True, slots=True)
class UserInfo:
    """What is known of a user."""

    user_id: str
    history_length: int
    recorded_events: int
    last_event_time: datetime | None
    embeddings: tuple[StoredEmbedding, ...]
    state: UserState
    """What a Rank without a history of its own would say now."""


@dataclass(frozen=True, slots=True)
class Erased:
    """What was erased of a user."""

    events: int
    embeddings: int
    shipped_history_hidden: bool


@dataclass(frozen=True, slots=True)
class WarmProgress:
    """How far a warming is."""

    total: int
    done: int
    computed: int
    fresh: int
    unknown: int
    failed: int


def ranking(answer: rank_pb2.RankResponse) -> Ranking:
    """Reads an order."""
    return Ranking(
        request_id=answer.request_id,
        items=tuple(_item(item) for item in answer.items),
        model_name=answer.model_name,
        model_version=answer.model_version,
        encoder_version=answer.encoder_version,
        user_state=UserState(answer.user_state),
        user_state_age=answer.user_state_age_ms / 1000,
        degraded=tuple(DegradedReason(reason) for reason in answer.degraded),
        missing_items=tuple(answer.missing_items),
        timings=_timings(answer.timings),
    )


def stream_answer(answer: rank_pb2.RankResponse) -> Ranking | PodiumError:
    """Reads what became of one request of a stream."""
    return stream_error(answer.error, answer.request_id) if answer.HasField("error") else ranking(answer)


def recorded(answer: user_pb2.RecordEventsResponse) -> Recorded:
    """Reads what became of events."""
    return Recorded(answer.request_id, answer.recorded, answer.duplicates)


def user_info(answer: user_pb2.GetUserResponse) -> UserInfo:
    """Reads what is known of a user."""
    return UserInfo(
        user_id=answer.user_id,
        history_length=answer.history_length,
        recorded_events=answer.recorded_events,
        last_event_time=_moment(answer, "last_event_time"),
        embeddings=tuple(_stored(one) for one in answer.embeddings),
        state=UserState(answer.state),
    )


def erased(answer: user_pb2.DeleteUserResponse) -> Erased:
    """Reads what was erased."""
    return Erased(answer.events, answer.embeddings, answer.shipped_history_hidden)


def warm_progress(answer: user_pb2.WarmUsersResponse) -> WarmProgress:
    """Reads how far a warming is."""
    return WarmProgress(answer.total, answer.done, answer.computed, answer.fresh, answer.unknown, answer.failed)


def _item(item: rank_pb2.RankedItem) -> RankedItem:
    score = item.score if item.HasField("score") else None
    return RankedItem(item.id, item.index, item.rank, score, {one.name: one.value for one in item.outputs})


def _timings(timings: rank_pb2.Timings) -> Timings:
    batch = timings.batch
    return Timings(
        total_us=timings.total_us,
        validate_us=timings.validate_us,
        user_us=timings.user_us,
        features_us=timings.features_us,
        queue_us=timings.queue_us,
        assemble_us=timings.assemble_us,
        run_us=timings.run_us,
        scatter_us=timings.scatter_us,
        select_us=timings.select_us,
        batches=timings.batches,
        batch=Batch(batch.rows, batch.requests, batch.fill, batch.padding_share, Closed(batch.closed))
        if timings.HasField("batch")
        else None,
    )


def _stored(one: user_pb2.StoredEmbedding) -> StoredEmbedding:
    return StoredEmbedding(
        encoder_name=one.encoder_name,
        encoder_version=one.encoder_version,
        state=EmbeddingState(one.state),
        created_time=_moment(one, "created_time"),
        age=one.age_ms / 1000,
    )


def _moment(message: Any, field: str) -> datetime | None:
    if not message.HasField(field):
        return None
    moment: datetime = getattr(message, field).ToDatetime(tzinfo=UTC)
    return moment
