"""Reads Protocol Buffers without a schema: a message is a list of numbered fields."""

from __future__ import annotations

import struct
from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
Value = int | bytes


def varint(data: bytes, at: int) -> tuple[int, int]:
    """Returns the number at a place, and the place behind it."""
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7


def fields(data: bytes) -> Iterator[tuple[int, Value]]:
    """Yields each field's number and value; raises ValueError where the bytes are no message."""
    at = 0
    try:
        while at < len(data):
            key, at = varint(data, at)
            kind = key & 7
            if kind == VARINT:
                value, at = varint(data, at)
                yield key >> 3, value
                continue
            if kind == BYTES:
                size, at = varint(data, at)
            elif kind in (FIXED64, FIXED32):
                size = 8 if kind == FIXED64 else 4
            else:
                raise ValueError(f"wire type {kind} is none that is used")
            if at + size > len(data):
                raise ValueError("the message is cut off")
            piece, at = data[at : at + size], at + size
            yield key >> 3, piece if kind == BYTES else int.from_bytes(piece, "little")
    except IndexError:
        raise ValueError("the message is cut off") from None


def signed(number: int) -> int:
    """Returns a number of 64 bits with its sign."""
    return number - (1 << 64) if number >> 63 else number


def double(number: int) -> float:
    """Returns the float that has these bits."""
    value: float = struct.unpack("<d", number.to_bytes(8, "little"))[0]
    return value
