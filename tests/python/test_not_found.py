"""Models, versions and labels that do not exist: NOT_FOUND, with the resource named."""

from __future__ import annotations

from typing import Any

import pytest
from google.rpc import error_details_pb2

from client import RANK_SERVICE, Client, refusal
from expected import column

CANDIDATES = {"ids": ["a"], "columns": [column("price", [1])]}


@pytest.mark.parametrize(
    ("selector", "named"),
    [
        ({"name": "no-such-model"}, "no-such-model"),
        ({"name": "../tiny-ranker"}, "../tiny-ranker"),
        ({"name": "tiny-ranker", "version": 3}, "tiny-ranker/3"),
        ({"name": "tiny-ranker", "version": 0}, "tiny-ranker/0"),
        ({"name": "tiny-ranker", "version": 18_446_744_073_709_551_615}, "18446744073709551615"),
        ({"name": "tiny-ranker", "label": "canary"}, "canary"),
    ],
)
def test_what_is_not_there_is_named(client: Client, selector: dict[str, Any], named: str) -> None:
    failed = refusal(lambda: client.rank(model=selector, candidates=CANDIDATES))
    assert failed.code.name == "NOT_FOUND", failed
    resource = failed.detail(error_details_pb2.ResourceInfo)
    assert named in resource.resource_name
    assert resource.resource_type


def test_an_unknown_method_is_unimplemented(client: Client) -> None:
    call = client.channel.unary_unary(f"/{RANK_SERVICE}/Sort", request_serializer=bytes, response_deserializer=bytes)
    assert refusal(lambda: call(b"", timeout=5)).code.name == "UNIMPLEMENTED"
