"""A caller that knows of Podium only what server reflection tells."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc
import pytest
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_status import rpc_status

RANK_SERVICE = "podium.v1.RankService"
INFO_SERVICE = "podium.v1.InfoService"
USER_SERVICE = "podium.v1.UserService"
MODEL_SERVICE = "podium.v1.ModelService"
TIMEOUT = 20.0
Detail = TypeVar("Detail", bound=Message)


def serialize(message: Message) -> bytes:
    """Returns the message's bytes."""
    return message.SerializeToString()


class Client:
    """Calls any method of any service that the server describes."""

    def __init__(self, address: str) -> None:
        """Connects to the server; descriptors are fetched when they are needed."""
        options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
        # Beyond its soft limit of 8 KiB of metadata grpcio drops an answer now and then; here it always does.
        options += [("grpc.max_metadata_size", 8192), ("grpc.absolute_max_metadata_size", 8192)]
        self.channel = grpc.insecure_channel(address, options=options)
        self.pool = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(self.channel))

    def close(self) -> None:
        """Leaves the server."""
        self.channel.close()

    def message(self, name: str, /, **fields: Any) -> Any:
        """Makes a message of the package `podium.v1`."""
        return message_factory.GetMessageClass(self.pool.FindMessageTypeByName(f"podium.v1.{name}"))(**fields)

    def enum_name(self, enum: str, number: int) -> str:
        """Returns the name of an enum's value."""
        name: str = self.pool.FindEnumTypeByName(f"podium.v1.{enum}").values_by_number[number].name
        return name

    def method(self, service: str, name: str) -> Any:
        """Returns the callable of a method, streaming as its descriptor says."""
        method = self.pool.FindServiceByName(service).FindMethodByName(name)
        reply = message_factory.GetMessageClass(method.output_type)
        make = {
            (False, False): self.channel.unary_unary,
            (True, False): self.channel.stream_unary,
            (False, True): self.channel.unary_stream,
            (True, True): self.channel.stream_stream,
        }[(method.client_streaming, method.server_streaming)]
        return make(
            f"/{service}/{name}",
            request_serializer=serialize,
            response_deserializer=reply.FromString,
        )

    def rank(self, timeout: float | None = TIMEOUT, caller: str | None = None, **fields: Any) -> Any:
        """Ranks; the fields are those of `RankRequest`, as plain Python values; `caller` goes into the metadata."""
        return self.rank_later(timeout, caller, **fields).result()

    def rank_later(self, timeout: float | None = TIMEOUT, caller: str | None = None, **fields: Any) -> Any:
        """Ranks without waiting; returns the call."""
        metadata = None if caller is None else [("podium-caller", caller)]
        message = self.message("RankRequest", **fields)
        return self.method(RANK_SERVICE, "Rank").future(message, timeout=timeout, metadata=metadata)

    def rank_raw(self, body: bytes) -> bytes:
        """Sends bytes as a `RankRequest`, whatever they are."""
        call = self.channel.unary_unary(f"/{RANK_SERVICE}/Rank", request_serializer=bytes, response_deserializer=bytes)
        answer: bytes = call(body, timeout=TIMEOUT)
        return answer

    def rank_stream(self, requests: Iterable[dict[str, Any]], timeout: float = TIMEOUT) -> Any:
        """Ranks over one stream; returns the call, which gives the answers."""
        messages = (self.message("RankRequest", **fields) for fields in requests)
        return self.method(RANK_SERVICE, "RankStream")(messages, timeout=timeout)

    def users(self, name: str, request: str, timeout: float | None = TIMEOUT, **fields: Any) -> Any:
        """Calls a method of the user service with one message, whose type and fields are named."""
        return self.method(USER_SERVICE, name)(self.message(request, **fields), timeout=timeout)

    def record(self, events: list[dict[str, Any]], timeout: float | None = TIMEOUT, **more: Any) -> Any:
        """Records events, given as plain Python values."""
        return self.users("RecordEvents", "RecordEventsRequest", timeout, events=events, **more)

    def user(self, user_id: str, model: str = "tiny-ranker") -> Any:
        """Returns what the server knows of a user."""
        return self.users("GetUser", "GetUserRequest", user_id=user_id, model={"name": model})

    def put_embeddings(self, messages: Iterable[dict[str, Any]], timeout: float | None = TIMEOUT) -> Any:
        """Stores embeddings over one stream."""
        requests = (self.message("PutEmbeddingsRequest", **fields) for fields in messages)
        return self.method(USER_SERVICE, "PutEmbeddings")(requests, timeout=timeout)

    def warm(self, timeout: float | None = TIMEOUT, **fields: Any) -> Any:
        """Warms users of the tiny ranker, unless another is named; returns the call, which gives the progress."""
        return self.users("WarmUsers", "WarmUsersRequest", timeout, **({"model": {"name": "tiny-ranker"}} | fields))

    def models(self, method: str, /, timeout: float | None = TIMEOUT, **fields: Any) -> Any:
        """Calls a method of the model service, which only the admin listener has."""
        return self.method(MODEL_SERVICE, method)(self.message(f"{method}Request", **fields), timeout=timeout)

    def run_counters(self, model: str) -> Any:
        """Returns what the server says was run of a model, in its highest version."""
        return [info.run_counters for info in self.info().models if info.name == model][-1]

    def info(self) -> Any:
        """Returns what the server says of itself."""
        return self.method(INFO_SERVICE, "GetServerInfo")(self.message("GetServerInfoRequest"), timeout=TIMEOUT)


@dataclass(frozen=True)
class Refusal:
    """How a call failed."""

    code: grpc.StatusCode
    message: str
    details: list[Any]

    def detail(self, kind: type[Detail]) -> Detail:
        """Returns the one detail of that kind."""
        found = []
        for packed in self.details:
            detail = kind()
            if packed.Unpack(detail):
                found.append(detail)
        assert len(found) == 1, f"{len(found)} of {kind.__name__} in {self}"
        return found[0]

    def violations(self) -> dict[str, str]:
        """Returns the faulty fields of an INVALID_ARGUMENT and what is wrong with them."""
        request = self.detail(error_details_pb2.BadRequest)
        return {violation.field: violation.description for violation in request.field_violations}

    def metadata(self) -> dict[str, str]:
        """Returns the facts that go with the reason."""
        return dict(self.detail(error_details_pb2.ErrorInfo).metadata)

    def resource(self) -> str:
        """Returns the name of what was not found."""
        name: str = self.detail(error_details_pb2.ResourceInfo).resource_name
        return name

    def reason(self) -> str:
        """Returns the machine-readable reason."""
        reason: str = self.detail(error_details_pb2.ErrorInfo).reason
        return reason


def refusal(call: Callable[[], Any]) -> Refusal:
    """Makes a call that has to fail, and returns how it failed."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    error = caught.value
    assert isinstance(error, grpc.Call)
    status = rpc_status.from_call(error)
    return Refusal(error.code(), error.details() or "", list(status.details) if status else [])
