"""Server reflection, in the version that new clients ask for and the one that old clients ask for."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import descriptor_pb2
from grpc_reflection.v1alpha import reflection_pb2

from client import INFO_SERVICE, RANK_SERVICE, TIMEOUT, Client, refusal, serialize


def ask(client: Client, version: str, **question: Any) -> Any:
    """Asks the reflection service one question; both versions have the same messages."""
    call = client.channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        request_serializer=serialize,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    return next(iter(call(iter([reflection_pb2.ServerReflectionRequest(**question)]), timeout=TIMEOUT)))


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_services_are_listed(client: Client, version: str) -> None:
    listed = {service.name for service in ask(client, version, list_services="").list_services_response.service}
    assert {RANK_SERVICE, INFO_SERVICE, "grpc.health.v1.Health"} <= listed


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_a_symbol_leads_to_its_file(client: Client, version: str) -> None:
    answer = ask(client, version, file_containing_symbol=f"{RANK_SERVICE}.Rank")
    files = [
        descriptor_pb2.FileDescriptorProto.FromString(raw)
        for raw in answer.file_descriptor_response.file_descriptor_proto
    ]
    described = {file.name: file for file in files}["podium/v1/rank.proto"]
    methods = {method.name: method for method in described.service[0].method}
    assert not methods["Rank"].client_streaming
    assert methods["RankStream"].client_streaming
    assert methods["RankStream"].server_streaming


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_an_unknown_symbol_is_not_found(client: Client, version: str) -> None:
    failed = refusal(lambda: ask(client, version, file_containing_symbol="podium.v1.NoSuchThing"))
    assert failed.code.name == "NOT_FOUND"


def test_the_fixed_names_are_there(client: Client) -> None:
    fields = {
        "RankRequest": "request_id model user query context candidates top_k explain",
        "ModelSelector": "name version label",
        "User": "id history embedding",
        "Candidates": "ids prior_scores columns",
        "Column": "name floats ints strings vectors",
        "VectorColumn": "dim values",
        "RankResponse": "request_id items model_name model_version encoder_version user_state degraded "
        "missing_items timings",
        "RankedItem": "id index rank score outputs",
    }
    for message, names in fields.items():
        described = client.pool.FindMessageTypeByName(f"podium.v1.{message}")
        assert set(names.split()) <= set(described.fields_by_name), message
