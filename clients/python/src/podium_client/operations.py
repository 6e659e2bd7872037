"""Operations: each call of the contract as a value, made of what the caller said, for both clients to carry out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar, Unpack

from google.protobuf.message import Message

from podium_client import results
from podium_client._pb import info_pb2, rank_pb2, user_pb2
from podium_client.columns import Array, texts
from podium_client.errors import PodiumError
from podium_client.events import UserEvent
from podium_client.requests import (
    RankArguments,
    UserEmbedding,
    embedding_requests,
    rank_request,
    record_request,
    selector,
)
from podium_client.results import Erased, Ranking, Recorded, UserInfo, WarmProgress
from podium_client.server_info import ServerInfo, server_info

Answer = TypeVar("Answer", bound=Message)
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Method(Generic[Answer, Result]):
    """A method of the contract, and how its answers are read."""

    path: str
    parse: Callable[[bytes], Answer]
    read: Callable[[Answer], Result]


@dataclass(frozen=True, slots=True)
class Operation(Generic[Answer, Result]):
    """A call that has one answer, and may be repeated whole."""

    method: Method[Answer, Result]
    messages: Sequence[Message]
    """What is sent: one message, or those of an upload."""
    upload: bool = False
    request_id: str = ""


def serialize(message: Message) -> bytes:
    """Returns the message's bytes."""
    return message.SerializeToString()


def _items(answer: info_pb2.GetItemsResponse) -> dict[str, tuple[str, ...]]:
    return {column.name: tuple(column.strings.values) for column in answer.columns}


def _stored(answer: user_pb2.PutEmbeddingsResponse) -> int:
    return answer.stored


RANK = Method("/podium.v1.RankService/Rank", rank_pb2.RankResponse.FromString, results.ranking)
RANK_STREAM: Method[rank_pb2.RankResponse, Ranking | PodiumError] = Method(
    "/podium.v1.RankService/RankStream", rank_pb2.RankResponse.FromString, results.stream_answer
)
SERVER_INFO = Method("/podium.v1.InfoService/GetServerInfo", info_pb2.GetServerInfoResponse.FromString, server_info)
ITEMS = Method("/podium.v1.InfoService/GetItems", info_pb2.GetItemsResponse.FromString, _items)
RECORD = Method("/podium.v1.UserService/RecordEvents", user_pb2.RecordEventsResponse.FromString, results.recorded)
GET_USER = Method("/podium.v1.UserService/GetUser", user_pb2.GetUserResponse.FromString, results.user_info)
DELETE_USER = Method("/podium.v1.UserService/DeleteUser", user_pb2.DeleteUserResponse.FromString, results.erased)
PUT_EMBEDDINGS = Method("/podium.v1.UserService/PutEmbeddings", user_pb2.PutEmbeddingsResponse.FromString, _stored)
WARM_USERS: Method[user_pb2.WarmUsersResponse, WarmProgress] = Method(
    "/podium.v1.UserService/WarmUsers", user_pb2.WarmUsersResponse.FromString, results.warm_progress
)


def rank(**arguments: Unpack[RankArguments]) -> Operation[rank_pb2.RankResponse, Ranking]:
    """Orders candidates."""
    message = rank_request(**arguments)
    return Operation(RANK, [message], request_id=message.request_id)


def get_server_info() -> Operation[info_pb2.GetServerInfoResponse, ServerInfo]:
    """Asks for limits and models."""
    return Operation(SERVER_INFO, [info_pb2.GetServerInfoRequest()])


def items(ids: Sequence[str] | Array, model: str) -> Operation[info_pb2.GetItemsResponse, dict[str, tuple[str, ...]]]:
    """Asks what the catalogue says of items."""
    return Operation(ITEMS, [info_pb2.GetItemsRequest(model=selector(model), ids=texts("ids", ids))])


def record_events(events: Sequence[UserEvent], request_id: str) -> Operation[user_pb2.RecordEventsResponse, Recorded]:
    """Appends events to histories."""
    message = record_request(events, request_id)
    return Operation(RECORD, [message], request_id=message.request_id)


def get_user(user_id: str, model: str) -> Operation[user_pb2.GetUserResponse, UserInfo]:
    """Asks what is known of a user."""
    return Operation(GET_USER, [user_pb2.GetUserRequest(user_id=user_id, model=selector(model))])


def delete_user(user_id: str) -> Operation[user_pb2.DeleteUserResponse, Erased]:
    """Erases a user."""
    return Operation(DELETE_USER, [user_pb2.DeleteUserRequest(user_id=user_id)])


def put_embeddings(
    embeddings: Sequence[UserEmbedding], encoder: str, version: int
) -> Operation[user_pb2.PutEmbeddingsResponse, int]:
    """Stores embeddings."""
    return Operation(PUT_EMBEDDINGS, embedding_requests(embeddings, encoder, version), upload=True)


def warm_request(model: str, users: Sequence[str], top_active: int) -> user_pb2.WarmUsersRequest:
    """Returns the request that has embeddings computed."""
    return user_pb2.WarmUsersRequest(model=selector(model), user_ids=texts("users", users), top_active=top_active)
