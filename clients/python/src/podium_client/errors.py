"""Errors: what a server or the way to it says, as exceptions with everything that was said."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from podium_client._pb import rank_pb2

DETAILS = "grpc-status-details-bin"


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One faulty field of a request."""

    field: str
    """Its path, such as `candidates.ids[3]`."""
    description: str
    """What is wrong, and what to do."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a failure beside its code and its message."""

    reason: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    violations: tuple[FieldViolation, ...] = ()
    resource: str = ""
    retry_after: float | None = None
    request_id: str = ""


class PodiumError(Exception):
    """A call that failed."""

    code: grpc.StatusCode
    """The gRPC code."""
    message: str
    """What is wrong, in words for people."""
    reason: str
    """What is wrong, for programs, such as `QUEUE_FULL`; empty where the failure is not the server's."""
    metadata: Mapping[str, str]
    """Facts that go with the reason."""
    violations: tuple[FieldViolation, ...]
    """The faulty fields."""
    resource: str
    """What was not found."""
    retry_after: float | None
    """Seconds after which it is worth to try again; `None` where the server did not say."""
    request_id: str
    """The request's id."""
    attempts: int
    """How often it was tried."""

    def __init__(
        self,
        message: str = "",
        code: grpc.StatusCode = grpc.StatusCode.UNKNOWN,
        facts: Facts | None = None,
        attempts: int = 1,
    ) -> None:
        """Takes what is known."""
        super().__init__(message, code, facts, attempts)
        facts = facts or Facts()
        self.message, self.code, self.attempts = message, code, attempts
        self.reason, self.metadata, self.violations = facts.reason, facts.metadata, facts.violations
        self.resource, self.retry_after, self.request_id = facts.resource, facts.retry_after, facts.request_id

    def __str__(self) -> str:
        """Returns code, reason, message, and what else helps whoever reads a log."""
        notes = [f"{self.attempts} attempts"] if self.attempts > 1 else []
        notes += [f"request {self.request_id}"] if self.request_id else []
        reason = f" {self.reason}" if self.reason else ""
        return f"{self.code.name}{reason}: {self.message}" + (f" ({', '.join(notes)})" if notes else "")


class InvalidArgument(PodiumError):
    """The request breaks a rule: `violations` names every faulty field."""


class NotFound(PodiumError):
    """There is no such model, version or label, or nothing is known of the user: `resource` names it."""


class FailedPrecondition(PodiumError):
    """The change conflicts with the state."""


class Overloaded(PodiumError):
    """A limit is reached (RESOURCE_EXHAUSTED): `retry_after` says when to come back."""


class DeadlineExceeded(PodiumError):
    """The answer could not be had in time: `reason` names the stage where the server knows it."""


class Unavailable(PodiumError):
    """Nobody answers, or the server is starting, draining, or lacks what it depends on."""


class Internal(PodiumError):
    """The server failed; its log has the cause under `request_id`."""


class Unimplemented(PodiumError):
    """The server does not have this method: it is older, or another listener has it."""


KINDS: dict[grpc.StatusCode, type[PodiumError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidArgument,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.FAILED_PRECONDITION: FailedPrecondition,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Overloaded,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.INTERNAL: Internal,
    grpc.StatusCode.UNIMPLEMENTED: Unimplemented,
}
CODES: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}


def error(code: grpc.StatusCode, message: str, facts: Facts, attempts: int = 1) -> PodiumError:
    """Returns the exception for a code."""
    return KINDS.get(code, PodiumError)(message, code, facts, attempts)


def call_error(failed: Any, request_id: str = "", attempts: int = 1) -> PodiumError:
    """Returns the exception for a `grpc.RpcError`; for calls of the raw stubs, too."""
    facts = facts_of(failed.trailing_metadata() or (), request_id)
    return error(failed.code(), failed.details() or "", facts, attempts)


def stream_error(failed: rank_pb2.RankError, request_id: str) -> PodiumError:
    """Returns the exception for one request of a stream."""
    facts = Facts(
        reason=failed.reason,
        violations=tuple(FieldViolation(one.field, one.description) for one in failed.field_violations),
        retry_after=failed.retry_after_ms / 1000 if failed.retry_after_ms else None,
        request_id=request_id,
    )
    return error(CODES.get(failed.code, grpc.StatusCode.UNKNOWN), failed.message, facts)


def facts_of(metadata: Iterable[tuple[str, str | bytes]], request_id: str = "") -> Facts:
    """Returns what the details in a status's metadata say; details that cannot be read say nothing."""
    packed = next((value for key, value in metadata if key == DETAILS), b"")
    try:
        status = status_pb2.Status.FromString(packed)
    except DecodeError:
        status = status_pb2.Status()
    info, request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    resource, retry = error_details_pb2.ResourceInfo(), error_details_pb2.RetryInfo()
    found = {kind.DESCRIPTOR.full_name for kind in (info, request, resource, retry) if _unpack(status, kind)}
    delay = retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9
    return Facts(
        reason=info.reason,
        metadata=dict(info.metadata),
        violations=tuple(FieldViolation(one.field, one.description) for one in request.field_violations),
        resource=resource.resource_name,
        retry_after=delay if retry.DESCRIPTOR.full_name in found else None,
        request_id=request_id,
    )


def _unpack(status: Any, into: Any) -> bool:
    try:
        return any(detail.Unpack(into) for detail in status.details)
    except DecodeError:
        return False
