"""A server that answers as it is told and remembers what it was asked, and clocks that tests turn."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, NoReturn

import grpc
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from podium_client.raw import rank_pb2


@dataclass
class Clock:
    """A clock that stands still until it is turned."""

    now: float = 100.0

    def __call__(self) -> float:
        """Returns the time."""
        return self.now


@dataclass(frozen=True)
class Asked:
    """What came with one attempt."""

    request: rank_pb2.RankRequest
    metadata: dict[str, str | bytes]
    deadline: float


Answer = Callable[[int, grpc.ServicerContext], None]


@dataclass
class Fake:
    """A RankService whose `answer` is told the number of the attempt, from 1, and may end it with an error."""

    answer: Answer = lambda _number, _context: None
    asked: list[Asked] = field(default_factory=list)

    def __enter__(self) -> Fake:
        """Starts to serve."""
        rank = grpc.unary_unary_rpc_method_handler(
            self._rank,
            request_deserializer=rank_pb2.RankRequest.FromString,
            response_serializer=rank_pb2.RankResponse.SerializeToString,
        )
        self.server = grpc.server(ThreadPoolExecutor(8))
        self.server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("podium.v1.RankService", {"Rank": rank}),)
        )
        self.address = f"127.0.0.1:{self.server.add_insecure_port('127.0.0.1:0')}"
        self.server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops."""
        self.server.stop(None).wait()

    def _rank(self, request: rank_pb2.RankRequest, context: grpc.ServicerContext) -> rank_pb2.RankResponse:
        metadata = dict(context.invocation_metadata())
        self.asked.append(Asked(request, metadata, context.time_remaining() or 0.0))
        self.answer(len(self.asked), context)
        return rank_pb2.RankResponse(request_id=request.request_id)


def status(code: grpc.StatusCode, message: str = "no", *details: Message) -> Any:
    """Returns a status with typed details."""
    packed = []
    for detail in details:
        into = Packed()
        into.Pack(detail)
        packed.append(into)
    return rpc_status.to_status(status_pb2.Status(code=code.value[0], message=message, details=packed))


def retry_info(seconds: float) -> Message:
    """Returns the detail that says when to come back."""
    delay = Duration()
    delay.FromNanoseconds(round(seconds * 1e9))
    info: Message = error_details_pb2.RetryInfo(retry_delay=delay)
    return info


def refuse(context: grpc.ServicerContext, code: grpc.StatusCode, *details: Message) -> NoReturn:
    """Ends an attempt with an error."""
    context.abort_with_status(status(code, "no", *details))
    raise AssertionError("abort_with_status raises")
