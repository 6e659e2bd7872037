"""Columns: Python values and arrays, as the wire has them."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, Protocol, TypeAlias

from podium_client._pb import rank_pb2


class Array(Protocol):
    """What numpy's arrays, pandas' series and torch's tensors have in common."""

    def tolist(self) -> Any:
        """Returns the values as Python's own."""


Numbers: TypeAlias = Sequence[float] | Array
Values: TypeAlias = Sequence[float] | Sequence[str] | Sequence[Numbers] | Array
Value: TypeAlias = float | str | Numbers


def plain(name: str, values: Any) -> list[Any]:
    """Returns the values as a list of Python's own."""
    found = _own(values)
    if not isinstance(found, Sequence) or isinstance(found, str | bytes):
        raise TypeError(f"{name} is {_kind(found)}; give a list or an array")
    return list(found)


def texts(name: str, values: Any) -> list[str]:
    """Returns the values, each of which is a text."""
    found = plain(name, values)
    for at, value in enumerate(found):
        if not isinstance(value, str):
            raise TypeError(f"{name}[{at}] is {_kind(value)}; it has to be text")
    return found


def column(name: str, values: Values) -> rank_pb2.Column:
    """Returns a column with one value a row: all texts, all whole numbers, all numbers, or all vectors."""
    rows = plain(name, values)
    kinds = set(map(type, rows))

    def all_are(*wanted: type) -> bool:
        return all(issubclass(kind, wanted) for kind in kinds)

    if not rows:
        return rank_pb2.Column(name=name, floats=rank_pb2.FloatColumn())
    if all_are(str):
        return rank_pb2.Column(name=name, strings=rank_pb2.StringColumn(values=rows))
    if all_are(Integral):
        return rank_pb2.Column(name=name, ints=rank_pb2.IntColumn(values=map(int, rows)))
    if all_are(Real):
        return rank_pb2.Column(name=name, floats=rank_pb2.FloatColumn(values=map(float, rows)))
    if not any(issubclass(kind, str | bytes | Real) for kind in kinds):
        return rank_pb2.Column(name=name, vectors=_vectors(name, rows))
    odd = next(at for at, row in enumerate(rows) if type(row) is not type(rows[0]))
    raise TypeError(f"{name}[0] is {_kind(rows[0])} and {name}[{odd}] is {_kind(rows[odd])}; give a column one type")


def single(name: str, value: Value) -> rank_pb2.Column:
    """Returns a column with that one value."""
    return column(name, [_own(value)])


def flat(name: str, values: Any) -> tuple[list[float], list[int]]:
    """Returns the numbers of nested lists or of an array in row-major order, and the shape."""
    found = plain(name, values)
    if all(issubclass(kind, Real) for kind in set(map(type, found))):
        return list(map(float, found)), [len(found)]
    rows = [flat(f"{name}[{at}]", row) for at, row in enumerate(found)]
    shape = rows[0][1]
    for at, (_, other) in enumerate(rows):
        if other != shape:
            raise ValueError(f"{name}[0] has the shape {shape} and {name}[{at}] {other}; all have to have one")
    return [value for numbers, _ in rows for value in numbers], [len(rows), *shape]


def _vectors(name: str, rows: list[Any]) -> rank_pb2.VectorColumn:
    numbers, shape = flat(name, rows)
    if len(shape) != 2:
        raise ValueError(f"{name} has {len(shape)} dimensions; a column has one value or one vector a row")
    return rank_pb2.VectorColumn(dim=shape[1], values=numbers)


def _own(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value


def _kind(value: Any) -> str:
    return f"of type {type(value).__name__}"
