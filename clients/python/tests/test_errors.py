"""What servers say of failures, read as exceptions."""

from __future__ import annotations

import pickle
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2 as details

import podium_client
from fake import retry_info, status
from podium_client import FieldViolation, PodiumError
from podium_client.errors import DETAILS, Facts, error, facts_of, stream_error
from podium_client.raw import rank_pb2

INFO = details.ErrorInfo(reason="QUEUE_FULL", domain="podium", metadata={"stored": "7"})
BAD = details.BadRequest(field_violations=[{"field": "top_k", "description": "is odd"}, {"field": "query"}])
RESOURCE = details.ResourceInfo(resource_type="podium.v1.Model", resource_name="tiny/9")
VIOLATIONS = (FieldViolation("top_k", "is odd"), FieldViolation("query", ""))


def metadata(*packed: Any) -> Any:
    """Returns the metadata of a status with these details."""
    return status(grpc.StatusCode.UNKNOWN, "no", *packed).trailing_metadata


@pytest.mark.parametrize(
    ("trailing", "facts"),
    [
        ((), Facts()),
        (None, Facts()),
        ([("other", "x")], Facts()),
        (metadata(), Facts()),
        (metadata(INFO), Facts(reason="QUEUE_FULL", metadata={"stored": "7"})),
        (metadata(BAD), Facts(violations=VIOLATIONS)),
        (metadata(RESOURCE), Facts(resource="tiny/9")),
        (metadata(retry_info(0.25)), Facts(retry_after=0.25)),
        (metadata(retry_info(0.0)), Facts(retry_after=0.0)),
        (metadata(retry_info(3.5), details.Help()), Facts(retry_after=3.5)),
        (
            metadata(INFO, BAD, RESOURCE, retry_info(1.0)),
            Facts("QUEUE_FULL", {"stored": "7"}, VIOLATIONS, "tiny/9", 1.0),
        ),
        ([(DETAILS, b"\xff\xff no message")], Facts()),
        ([(DETAILS, b"\x1a\x3f\x0a\x28type.googleapis.com/google.rpc.ErrorInfo\x12\x02\xff\xff")], Facts()),
    ],
)
def test_details_are_read_and_what_cannot_be_read_says_nothing(trailing: Any, facts: Facts) -> None:
    assert facts_of(trailing or ()) == facts


@pytest.mark.parametrize("code", list(grpc.StatusCode))
def test_each_code_has_its_exception(code: grpc.StatusCode) -> None:
    names = {
        "INVALID_ARGUMENT": "InvalidArgument", "NOT_FOUND": "NotFound", "RESOURCE_EXHAUSTED": "Overloaded",
        "DEADLINE_EXCEEDED": "DeadlineExceeded", "UNAVAILABLE": "Unavailable", "INTERNAL": "Internal",
        "FAILED_PRECONDITION": "FailedPrecondition", "UNIMPLEMENTED": "Unimplemented",
    }  # fmt: skip
    made = error(code, "no", Facts())
    assert type(made).__name__ == names.get(code.name, "PodiumError")
    assert isinstance(made, PodiumError)
    assert made.code is code


def test_an_error_of_a_stream_is_the_same() -> None:
    wrong = rank_pb2.RankError(
        code=8, message="full", reason="QUEUE_FULL", retry_after_ms=250,
        field_violations=[{"field": "top_k", "description": "is odd"}, {"field": "query"}],
    )  # fmt: skip
    made = stream_error(wrong, "r1")
    assert isinstance(made, podium_client.Overloaded)
    assert (made.reason, made.retry_after, made.request_id, made.violations) == ("QUEUE_FULL", 0.25, "r1", VIOLATIONS)
    assert stream_error(rank_pb2.RankError(code=3), "r1").retry_after is None
    assert stream_error(rank_pb2.RankError(code=99), "r1").code is grpc.StatusCode.UNKNOWN


def test_an_error_says_all_that_helps() -> None:
    made = error(grpc.StatusCode.UNAVAILABLE, "draining", Facts(reason="SERVER_STOPPING", request_id="r1"), 3)
    assert str(made) == "UNAVAILABLE SERVER_STOPPING: draining (3 attempts, request r1)"
    assert str(error(grpc.StatusCode.UNAVAILABLE, "gone", Facts())) == "UNAVAILABLE: gone"


def test_an_error_crosses_processes() -> None:
    made = error(grpc.StatusCode.INVALID_ARGUMENT, "odd", Facts("X", {"a": "b"}, VIOLATIONS, "r", 1.0, "id"), 2)
    again = pickle.loads(pickle.dumps(made))
    assert type(again) is type(made)
    assert vars(again) == vars(made)
