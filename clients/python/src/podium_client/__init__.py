"""Calls Podium, the ranking server for online shops."""

from podium_client.aio import AsyncClient
from podium_client.budget import RetryBudget
from podium_client.calls import CallArguments
from podium_client.client import Client
from podium_client.enums import (
    Closed,
    DegradedReason,
    EmbeddingState,
    EventKind,
    FeatureScope,
    ModelRole,
    ModelState,
    UserState,
)
from podium_client.errors import (
    DeadlineExceeded,
    FailedPrecondition,
    FieldViolation,
    Internal,
    InvalidArgument,
    NotFound,
    Overloaded,
    PodiumError,
    Unavailable,
    Unimplemented,
    call_error,
)
from podium_client.events import Event, UserEvent
from podium_client.requests import Embedding, RankArguments, UserEmbedding
from podium_client.results import (
    Batch,
    Erased,
    RankedItem,
    Ranking,
    Recorded,
    StoredEmbedding,
    Timings,
    UserInfo,
    WarmProgress,
)
from podium_client.retries import RetryPolicy
from podium_client.server_info import Feature, Limits, Model, ServerInfo

__all__ = [
    "AsyncClient",
    "Batch",
    "CallArguments",
    "Client",
    "Closed",
    "DeadlineExceeded",
    "DegradedReason",
    "Embedding",
    "EmbeddingState",
    "Erased",
    "Event",
    "EventKind",
    "FailedPrecondition",
    "Feature",
    "FeatureScope",
    "FieldViolation",
    "Internal",
    "InvalidArgument",
    "Limits",
    "Model",
    "ModelRole",
    "ModelState",
    "NotFound",
    "Overloaded",
    "PodiumError",
    "RankArguments",
    "RankedItem",
    "Ranking",
    "Recorded",
    "RetryBudget",
    "RetryPolicy",
    "ServerInfo",
    "StoredEmbedding",
    "Timings",
    "Unavailable",
    "Unimplemented",
    "UserEmbedding",
    "UserEvent",
    "UserInfo",
    "UserState",
    "WarmProgress",
    "call_error",
]
