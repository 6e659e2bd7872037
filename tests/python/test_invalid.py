"""Requests that break a rule: INVALID_ARGUMENT, with each faulty field named."""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable
from typing import Any

import pytest

import special
from client import Client, refusal
from expected import column

NAN, INFINITY = float("nan"), float("inf")
Fields = dict[str, Any]


def price_request(ids: list[str], prices: list[float], **more: Any) -> Fields:
    """Returns a request to the ranker that needs nothing but a price."""
    candidates = {"ids": ids, "columns": [column("price", prices)]} | more.pop("candidates", {})
    return {"model": {"name": "nan-ranker"}, "candidates": candidates} | more


def columns(*all_columns: Fields, name: str = "nan-ranker", **more: Any) -> Fields:
    """Returns a request for two candidates with these columns."""
    return {"model": {"name": name}, "candidates": {"ids": ["a", "b"], "columns": list(all_columns)}} | more


def typed(kind: str, values: list[Any], name: str = "price", **more: Any) -> Fields:
    """Returns a column of any type."""
    return {"name": name, kind: {"values": values} | more}


PRICE = column("price", [1, 2])
VECTORS = {"name": "features", "vectors": {"dim": 8, "values": [0.5] * 16}}
NOW = {"seconds": 1_700_000_000}

CASES: dict[str, tuple[Fields, str]] = {
    "no candidates": ({"model": {"name": "nan-ranker"}}, "candidates"),
    "empty candidates": (price_request([], []), "candidates.ids"),
    "empty id": (price_request(["a", ""], [1, 2]), "candidates.ids[1]"),
    "duplicate id": (price_request(["a", "b", "a"], [1, 2, 3]), "candidates.ids[2]"),
    "long id": (price_request(["a", "x" * 100_000], [1, 2]), "candidates.ids[1]"),
    "nan": (price_request(["a", "b"], [1, NAN]), "candidates.columns"),
    "infinity": (price_request(["a", "b"], [-INFINITY, 1]), "candidates.columns"),
    "nan prior": (price_request(["a", "b"], [1, 2], candidates={"prior_scores": [1, NAN]}), "candidates.prior_scores"),
    "too few priors": (price_request(["a", "b"], [1, 2], candidates={"prior_scores": [1]}), "candidates.prior_scores"),
    "too few values": (price_request(["a", "b"], [1]), "candidates.columns"),
    "too many values": (price_request(["a", "b"], [1, 2, 3]), "candidates.columns"),
    "column twice": (columns(PRICE, PRICE), "candidates.columns"),
    "column without values": (columns({"name": "price"}), "candidates.columns"),
    "column without a name": (columns(PRICE, column("", [1, 2])), "candidates.columns"),
    "column of a long name": (columns(PRICE, column("n" * 100_000, [1, 2])), "candidates.columns"),
    "unknown column": (columns(PRICE, column("prize", [1, 2])), "candidates.columns"),
    "required column missing": (columns(), "candidates.columns"),
    "strings for floats": (columns(typed("strings", ["1", "2"])), "candidates.columns"),
    "vectors for floats": (columns(typed("vectors", [1, 2], dim=1)), "candidates.columns"),
    "floats for ints": (
        columns(typed("floats", [1, 2], "stock"), typed("strings", ["x", "y"], "brand"), name="types-ranker"),
        "candidates.columns",
    ),
    "floats for strings": (columns(typed("floats", [1, 2], "brand"), name="types-ranker"), "candidates.columns"),
    "int too large for int32": (
        columns(typed("ints", [1, 1 << 40], "size"), typed("strings", ["x", "y"], "brand"), name="types-ranker"),
        "candidates.columns",
    ),
    "float too large for float16": (
        columns(typed("floats", [1, 1e30], "weight"), typed("strings", ["x", "y"], "brand"), name="types-ranker"),
        "candidates.columns",
    ),
    "below what a logarithm takes": (
        columns(typed("floats", [1, -5], "sold"), typed("strings", ["x", "y"], "brand"), name="types-ranker"),
        "candidates.columns",
    ),
    "long string": (columns(typed("strings", ["x" * 1_000_000, "y"], "title"), name="text-ranker"), "candidates"),
    "missing text column": (columns(name="text-ranker", query="milk"), "candidates.columns"),
    "long query": (columns(PRICE, query="q" * 1_000_000), "query"),
    "long request id": (columns(PRICE, request_id="r" * 100_000), "request_id"),
    "long user id": (columns(PRICE, user={"id": "u" * 100_000}), "user.id"),
    "long model name": (columns(PRICE, model={"name": "m" * 100_000}), "model.name"),
    "long label": (columns(PRICE, model={"name": "nan-ranker", "label": "l" * 100_000}), "model.label"),
    "vector of another length": (
        columns({"name": "features", "vectors": {"dim": 7, "values": [0.5] * 14}}, name="vector-ranker"),
        "candidates.columns",
    ),
    "vector of no length": (
        columns({"name": "features", "vectors": {"dim": 0, "values": []}}, name="vector-ranker"),
        "candidates.columns",
    ),
    "vector of an absurd length": (
        columns({"name": "features", "vectors": {"dim": 4_294_967_295, "values": [0.5]}}, name="vector-ranker"),
        "candidates.columns",
    ),
    "vectors of uneven length": (
        columns({"name": "features", "vectors": {"dim": 8, "values": [0.5] * 15}}, name="vector-ranker"),
        "candidates.columns",
    ),
    "nan in a vector": (
        columns({"name": "features", "vectors": {"dim": 8, "values": [0.5] * 15 + [NAN]}}, name="vector-ranker"),
        "candidates.columns",
    ),
    "context with two values": (columns(VECTORS, name="vector-ranker", context=[column("bias", [1, 2])]), "context"),
    "context with no value": (columns(VECTORS, name="vector-ranker", context=[column("bias", [])]), "context"),
    "context of another type": (
        columns(VECTORS, name="vector-ranker", context=[typed("strings", ["x"], "bias")]),
        "context",
    ),
    "nan in the context": (columns(VECTORS, name="vector-ranker", context=[column("bias", [NAN])]), "context"),
    "unknown context": (columns(VECTORS, name="vector-ranker", context=[column("bios", [1])]), "context"),
    "explain": (columns(PRICE, explain=True), "explain"),
    "unknown event kind": (
        columns(PRICE, user={"history": [{"item_id": "a", "kind": 77, "time": NOW}]}),
        "user.history[0].kind",
    ),
    "negative event kind": (
        columns(PRICE, user={"history": [{"item_id": "a", "kind": -1, "time": NOW}]}),
        "user.history[0].kind",
    ),
    "event without a time": (columns(PRICE, user={"history": [{"item_id": "a"}]}), "user.history[0].time"),
    "event without an item": (columns(PRICE, user={"history": [{"time": NOW}]}), "user.history[0].item_id"),
    "event with an absurd time": (
        columns(PRICE, user={"history": [{"item_id": "a", "time": {"seconds": 1 << 62}}]}),
        "user.history[0].time",
    ),
    "events not oldest first": (
        columns(PRICE, user={"history": [{"item_id": "a", "time": NOW}, {"item_id": "b", "time": {"seconds": 1}}]}),
        "user.history[1].time",
    ),
    "an encoder does not rank": (columns(PRICE, name="tiny-encoder"), "model.name"),
}


@pytest.mark.parametrize("case", list(CASES))
def test_a_faulty_field_is_named(client: Client, case: str) -> None:
    fields, wanted = CASES[case]
    failed = refusal(lambda: client.rank(**fields))
    assert failed.code.name == "INVALID_ARGUMENT", failed
    violations = failed.violations()
    assert any(field.startswith(wanted) for field in violations), violations
    assert all(description for description in violations.values())


def test_the_limits_are_named_with_value_and_limit(client: Client) -> None:
    limits = client.info().limits
    over: dict[str, tuple[Fields, int]] = {
        "candidates.ids": (
            price_request([f"c{n}" for n in range(limits.max_candidates + 1)], [1.0] * (limits.max_candidates + 1)),
            limits.max_candidates,
        ),
        "candidates.columns": (
            columns(PRICE, *[column(f"c{n}", [1, 2]) for n in range(limits.max_columns)]),
            limits.max_columns,
        ),
        "context": (
            columns(PRICE, context=[column(f"c{n}", [1]) for n in range(limits.max_columns + 1)]),
            limits.max_columns,
        ),
        "user.history": (
            columns(PRICE, user={"history": [{"item_id": "a", "time": NOW}] * (limits.max_history + 1)}),
            limits.max_history,
        ),
        "query": (columns(PRICE, query="q" * (limits.max_string_bytes + 1)), limits.max_string_bytes),
        "user.id": (columns(PRICE, user={"id": "u" * (limits.max_id_bytes + 1)}), limits.max_id_bytes),
    }
    for wanted, (fields, limit) in over.items():
        failed = refusal(functools.partial(client.rank, **fields))
        assert failed.code.name == "INVALID_ARGUMENT", (wanted, failed)
        texts = [text for field, text in failed.violations().items() if field.startswith(wanted)]
        assert any(str(limit) in text and str(limit + 1) in text for text in texts), (wanted, failed)


def test_the_largest_allowed_request_is_answered(client: Client) -> None:
    count = client.info().limits.max_candidates
    answer = client.rank(**price_request([f"c{n}" for n in range(count)], [float(n % 900) for n in range(count)]))
    assert len(answer.items) == count


def test_all_faulty_fields_are_named_at_once(client: Client) -> None:
    fields = price_request(["a", "a", ""], [1, NAN, 2], query="q" * 1_000_000, user={"id": "u" * 100_000})
    named = refusal(lambda: client.rank(**fields)).violations()
    for wanted in ("candidates.ids[1]", "candidates.ids[2]", "candidates.columns", "query", "user.id"):
        assert any(field.startswith(wanted) for field in named), (wanted, named)


def test_a_refusal_quotes_no_huge_value(client: Client) -> None:
    ids = ["x" * 60_000 + str(n) for n in range(20)]
    failed = refusal(lambda: client.rank(**price_request(ids, [1.0] * 20)))
    assert failed.code.name == "INVALID_ARGUMENT"
    assert len(failed.message) < 8_000


def test_many_faults_fit_into_the_metadata_of_an_answer(client: Client) -> None:
    # grpcio refuses more than 8 KiB of metadata, and text that is not ASCII is sent as three bytes for one.
    long_id = "\u00fc" * (client.info().limits.max_id_bytes // 2)
    failed = refusal(lambda: client.rank(**price_request([long_id] * 100, [1.0] * 100)))
    assert failed.code.name == "INVALID_ARGUMENT", failed
    assert failed.violations()


def tag(number: int, wire_type: int) -> bytes:
    """Returns the tag of a protobuf field below 16."""
    return bytes([number << 3 | wire_type])


def varint(value: int) -> bytes:
    """Returns a protobuf varint."""
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def nested(depth: int) -> bytes:
    """Returns an unknown field of groups within groups."""
    return tag(15, 3) * depth + tag(15, 4) * depth


MALFORMED: dict[str, bytes] = {
    "truncated length": tag(1, 2) + b"\xff",
    "length beyond the end": tag(1, 2) + varint(1_000) + b"abc",
    "huge length": tag(1, 2) + varint((1 << 64) - 1) + b"abc",
    "endless varint": tag(7, 0) + b"\xff" * 20,
    "unknown wire type": b"\x07" * 8,
    "field zero": b"\x00\x00",
    "not utf-8": tag(1, 2) + varint(2) + b"\xff\xfe",
    "wrong wire type": tag(4, 0) + varint(5),
    "deep groups": nested(100_000),
    "unfinished group": tag(15, 3) * 10,
    "half a float": tag(6, 2) + varint(3) + tag(2, 5) + struct.pack("<f", 1.0)[:2],
}


@pytest.mark.parametrize("case", list(MALFORMED))
def test_malformed_bytes_are_refused(client: Client, case: str) -> None:
    failed = refusal(lambda: client.rank_raw(MALFORMED[case]))
    assert failed.code.name == "INVALID_ARGUMENT", failed


def test_an_oversized_message_is_refused(client: Client) -> None:
    body = tag(4, 2) + varint(client.info().limits.max_message_bytes + 1)
    body += b"q" * (client.info().limits.max_message_bytes + 1)
    failed = refusal(lambda: client.rank_raw(body))
    assert failed.code.name == "INVALID_ARGUMENT", failed
    assert str(client.info().limits.max_message_bytes) in failed.message


@pytest.mark.parametrize("build", [lambda body: body, lambda body: body * 3], ids=["once", "thrice"])
def test_unknown_fields_are_passed_over(client: Client, build: Callable[[bytes], bytes]) -> None:
    request = client.message("RankRequest", **price_request(["a", "b"], [1, 2])).SerializeToString()
    assert client.rank_raw(request + build(b"\xfa\x3e\x03abc"))


def test_the_server_is_well_after_all_of_this(client: Client) -> None:
    candidates = {"ids": [special.SHELF[0]], "columns": [column("price", [1.0])]}
    assert len(client.rank(model={"name": "nan-ranker"}, candidates=candidates).items) == 1
