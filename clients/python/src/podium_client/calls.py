"""Calls: what both clients know of how to make one, whatever it asks."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Sequence
from typing import Generic, TypedDict, TypeVar

import grpc
from google.protobuf.message import Message

from podium_client import channel
from podium_client.budget import RetryBudget
from podium_client.metadata import Metadata, call_metadata
from podium_client.retries import Attempts, Patience, RetryPolicy

Request = TypeVar("Request")


class CallArguments(TypedDict, total=False):
    """What can be said of any call."""

    deadline: float | None
    """Seconds for all attempts together; without it, the client's."""
    caller: str | None
    """Who asks (`podium-caller`); without it, the client's."""
    traceparent: str | None
    """The W3C trace context to go on with; without it, OpenTelemetry's current one."""
    metadata: Sequence[tuple[str, str | bytes]]
    """Further metadata."""


class Caller:
    """What a client has been told once for all of its calls."""

    def __init__(
        self,
        address: str,
        *,
        deadline: float = 1.0,
        caller: str = "",
        retries: RetryPolicy | None = None,
        budget: RetryBudget | None = None,
        tls: bool = False,
        credentials: grpc.ChannelCredentials | None = None,
        options: channel.Options = (),
    ) -> None:
        """Takes the server's address, such as `podium:50051`; the connection is made by the first call.

        `deadline` is that of calls that name none, in seconds; `caller` names this service to the server. `retries`
        and `budget` say how often a call is tried again. `tls=True` encrypts with the usual authorities, `credentials`
        with others. `options` are gRPC's channel arguments.
        """
        self.address = address
        self._deadline, self._caller = _seconds(deadline), caller
        self._patience = Patience(retries or RetryPolicy(), budget or RetryBudget())
        self._credentials = channel.credentials_of(tls, credentials)
        self._options = channel.options(options)

    def _begin(
        self,
        deadline: float | None = None,
        caller: str | None = None,
        traceparent: str | None = None,
        metadata: Sequence[tuple[str, str | bytes]] = (),
    ) -> tuple[Attempts, Metadata]:
        """Begins a call: its time runs from now on."""
        seconds = self._deadline if deadline is None else _seconds(deadline)
        headers = call_metadata(self._caller if caller is None else caller, traceparent, metadata)
        return Attempts(seconds, self._patience), headers


class Feed(Generic[Request]):
    """The requests of a stream on their way to messages.

    One that cannot become a message ends the requests; `fault` is raised once those before it are answered. Raised
    where gRPC reads them, it would be logged there, and the caller would not see it.
    """

    def __init__(self, make: Callable[[Request], Message]) -> None:
        """Takes what makes a message of a request."""
        self._make = make
        self.fault: Exception | None = None

    def messages(self, requests: Iterable[Request]) -> Iterator[Message]:
        """Gives the messages."""
        try:
            for request in requests:
                yield self._make(request)
        except Exception as fault:
            self.fault = fault

    async def messages_later(self, requests: Iterable[Request] | AsyncIterable[Request]) -> AsyncIterator[Message]:
        """Gives the messages as their requests come."""
        try:
            if isinstance(requests, AsyncIterable):
                async for request in requests:
                    yield self._make(request)
            else:
                for request in requests:
                    yield self._make(request)
        except Exception as fault:
            self.fault = fault


def _seconds(deadline: float) -> float:
    if not 0 < deadline < float("inf"):
        raise ValueError(f"the deadline is {deadline}; it has to be a number of seconds above 0")
    return float(deadline)
