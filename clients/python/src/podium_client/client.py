"""The client for threads."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import grpc
from google.protobuf.message import Message

from podium_client import operations
from podium_client.calls import CallArguments, Caller, Feed
from podium_client.columns import Array
from podium_client.errors import PodiumError, call_error
from podium_client.events import UserEvent
from podium_client.operations import Method, Operation, serialize
from podium_client.requests import RankArguments, UserEmbedding, rank_request
from podium_client.results import Erased, Ranking, Recorded, UserInfo, WarmProgress
from podium_client.server_info import ServerInfo

Answer = TypeVar("Answer", bound=Message)
Result = TypeVar("Result")
Request = TypeVar("Request")


class Client(Caller):
    """Calls a Podium server. One is enough for a process: threads share it, and its retry budget."""

    @cached_property
    def channel(self) -> grpc.Channel:
        """The gRPC channel, for the raw stubs."""
        if self._credentials is None:
            return grpc.insecure_channel(self.address, options=self._options)
        return grpc.secure_channel(self.address, self._credentials, options=self._options)

    def rank(
        self,
        *,
        deadline: float | None = None,
        caller: str | None = None,
        traceparent: str | None = None,
        **arguments: Unpack[RankArguments],
    ) -> Ranking:
        """Orders candidates for a shopper; `RankArguments` tells the arguments."""
        call: CallArguments = {"deadline": deadline, "caller": caller, "traceparent": traceparent}
        return self._run(operations.rank(**arguments), **call)

    def rank_stream(
        self, requests: Iterable[RankArguments], **call: Unpack[CallArguments]
    ) -> Iterator[Ranking | PodiumError]:
        """Ranks many requests over one stream, within one deadline.

        Answers come in any order and name their request by `request_id`. A request that fails is answered by its
        error, which is not raised and not tried again.
        """
        return self._stream(operations.RANK_STREAM, Feed(lambda one: rank_request(**one)), requests, **call)

    def record_events(
        self, events: Sequence[UserEvent], *, request_id: str = "", **call: Unpack[CallArguments]
    ) -> Recorded:
        """Appends events to the histories of their users; each counts once, however often it is sent."""
        return self._run(operations.record_events(events, request_id), **call)

    def get_user(self, user_id: str, *, model: str = "", **call: Unpack[CallArguments]) -> UserInfo:
        """Says what is known of a user, for the default model or another."""
        return self._run(operations.get_user(user_id, model), **call)

    def delete_user(self, user_id: str, **call: Unpack[CallArguments]) -> Erased:
        """Erases everything that is known of a user."""
        return self._run(operations.delete_user(user_id), **call)

    def put_embeddings(
        self, embeddings: Sequence[UserEmbedding], *, encoder: str, version: int = 0, **call: Unpack[CallArguments]
    ) -> int:
        """Stores embeddings that were computed elsewhere, by an encoder's live version or another; returns how many."""
        return self._run(operations.put_embeddings(embeddings, encoder, version), **call)

    def warm_users(
        self, *, users: Sequence[str] = (), top_active: int = 0, model: str = "", **call: Unpack[CallArguments]
    ) -> Iterator[WarmProgress]:
        """Has embeddings computed before they are needed, of these users or of so many active last.

        Gives the progress, at last the total.
        """
        request = operations.warm_request(model, users, top_active)
        return self._stream(operations.WARM_USERS, Feed(_itself), [request], **call)

    def server_info(self, **call: Unpack[CallArguments]) -> ServerInfo:
        """Returns the server's limits and models."""
        return self._run(operations.get_server_info(), **call)

    def items(
        self, ids: Sequence[str] | Array, *, model: str = "", **call: Unpack[CallArguments]
    ) -> Mapping[str, Sequence[str]]:
        """Returns the texts that a model's catalogue has of items: by column, one for each id."""
        return self._run(operations.items(ids, model), **call)

    def close(self) -> None:
        """Leaves the server."""
        self.channel.close()

    def __enter__(self) -> Self:
        """Returns the client."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leaves the server."""
        self.close()

    def _run(self, operation: Operation[Answer, Result], **call: Unpack[CallArguments]) -> Result:
        attempts, metadata = self._begin(**call)
        while True:
            try:
                answer = self._attempt(operation, timeout=attempts.begin(), metadata=metadata)
                return operation.method.read(answer)
            except grpc.RpcError as failed:
                pause = attempts.pause_after(call_error(failed, operation.request_id, attempts.made))
            time.sleep(pause)

    def _attempt(self, operation: Operation[Answer, Result], **call: Any) -> Answer:
        path, parse = operation.method.path, operation.method.parse
        if operation.upload:
            upload = self.channel.stream_unary(path, request_serializer=serialize, response_deserializer=parse)
            return upload(iter(operation.messages), **call)
        ask = self.channel.unary_unary(path, request_serializer=serialize, response_deserializer=parse)
        return ask(operation.messages[0], **call)

    def _stream(
        self,
        method: Method[Answer, Result],
        feed: Feed[Request],
        requests: Iterable[Request],
        **call: Unpack[CallArguments],
    ) -> Iterator[Result]:
        attempts, metadata = self._begin(**call)
        ask = self.channel.stream_stream(method.path, request_serializer=serialize, response_deserializer=method.parse)
        answers = ask(feed.messages(requests), timeout=attempts.begin(), metadata=metadata)
        try:
            for answer in answers:
                yield method.read(answer)
        except grpc.RpcError as failed:
            raise call_error(failed) from failed
        finally:
            answers.cancel()
        if feed.fault is not None:
            raise feed.fault


def _itself(message: Message) -> Message:
    return message
