"""Columns: what Python values and arrays become on the wire."""

from __future__ import annotations

import array
from typing import Any

import numpy as np
import pytest

from podium_client.columns import column, flat, single, texts
from podium_client.raw import rank_pb2

FLOATS, INTS = rank_pb2.FloatColumn, rank_pb2.IntColumn
STRINGS, VECTORS = rank_pb2.StringColumn, rank_pb2.VectorColumn
SQUARE = VECTORS(dim=2, values=[1, 2, 3, 4])


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([], {"floats": FLOATS()}),
        ([1.5, 2], {"floats": FLOATS(values=[1.5, 2])}),
        ((1, 2), {"ints": INTS(values=[1, 2])}),
        ([True, False], {"ints": INTS(values=[1, 0])}),
        ([2**62], {"ints": INTS(values=[2**62])}),
        (["a", ""], {"strings": STRINGS(values=["a", ""])}),
        ([[1, 2], (3.0, 4)], {"vectors": SQUARE}),
        (array.array("d", [1.5]), {"floats": FLOATS(values=[1.5])}),
        (range(2), {"ints": INTS(values=[0, 1])}),
        (np.array([1.5, 2], np.float32), {"floats": FLOATS(values=[1.5, 2])}),
        (np.array([1.5, 2], np.float16), {"floats": FLOATS(values=[1.5, 2])}),
        (np.array([1, 2], np.uint8), {"ints": INTS(values=[1, 2])}),
        (np.array([True]), {"ints": INTS(values=[1])}),
        (np.array(["a", "b"]), {"strings": STRINGS(values=["a", "b"])}),
        (np.array([[1, 2], [3, 4]]), {"vectors": SQUARE}),
        ([np.array([1, 2]), [3, 4]], {"vectors": SQUARE}),
        ([np.float32(1.5), np.int64(2)], {"floats": FLOATS(values=[1.5, 2])}),
        ([np.int64(1), 2], {"ints": INTS(values=[1, 2])}),
        ([np.str_("a")], {"strings": STRINGS(values=["a"])}),
    ],
)
def test_a_column_has_the_type_of_its_values(values: Any, wanted: dict[str, Any]) -> None:
    assert column("c", values) == rank_pb2.Column(name="c", **wanted)


@pytest.mark.parametrize(
    ("values", "error", "says"),
    [
        ("abc", TypeError, "c is of type str; give a list or an array"),
        ({"a": 1}, TypeError, "c is of type dict"),
        (7, TypeError, "c is of type int"),
        (np.array(7), TypeError, "c is of type int"),
        (["a", "b", 3], TypeError, r"c\[0\] is of type str and c\[2\] is of type int"),
        ([1, [2]], TypeError, r"c\[1\] is of type list"),
        ([[1, 2], [3]], ValueError, r"c\[0\] has the shape \[2\] and c\[1\] \[1\]"),
        ([[[1]]], ValueError, "3 dimensions"),
        ([["a"]], TypeError, r"c\[0\]\[0\] is of type str"),
        ([None, None], TypeError, r"c\[0\] is of type NoneType"),
        ([2**63], ValueError, "range"),
    ],
)
def test_what_is_no_column_is_named(values: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        column("c", values)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (45, {"ints": INTS(values=[45])}),
        (0.5, {"floats": FLOATS(values=[0.5])}),
        ("x", {"strings": STRINGS(values=["x"])}),
        ([1, 2], {"vectors": VECTORS(dim=2, values=[1, 2])}),
        (np.float32(0.5), {"floats": FLOATS(values=[0.5])}),
        (np.array([1, 2]), {"vectors": VECTORS(dim=2, values=[1, 2])}),
    ],
)
def test_a_single_value_is_a_column_of_one(value: Any, wanted: dict[str, Any]) -> None:
    assert single("c", value) == rank_pb2.Column(name="c", **wanted)


@pytest.mark.parametrize(
    ("values", "numbers", "shape"),
    [
        ([], [], [0]),
        ([1, 2.5], [1, 2.5], [2]),
        ([[1, 2], [3, 4], [5, 6]], [1, 2, 3, 4, 5, 6], [3, 2]),
        (np.zeros((2, 3, 1)), [0] * 6, [2, 3, 1]),
    ],
)
def test_arrays_are_flat_in_row_major_order(values: Any, numbers: list[float], shape: list[int]) -> None:
    assert flat("e", values) == (numbers, shape)


def test_ids_are_text() -> None:
    assert texts("ids", np.array(["a", "b"])) == ["a", "b"]
    with pytest.raises(TypeError, match=r"ids\[1\] is of type int; it has to be text"):
        texts("ids", ["a", 7])
    with pytest.raises(TypeError, match="ids is of type str"):
        texts("ids", "abc")
