"""Checks a text file before anything parses it: size of lines, encoding, quotes."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MAX_LINE_BYTES = 64 << 20
CHUNK_BYTES = 8 << 20

COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
NEWLINE, QUOTE = b"\n", b'"'


@dataclass(frozen=True)
class TextFacts:
    """What a whole file was seen to hold."""

    size: int
    lines: int


def require_file(path: Path) -> None:
    """Raises ``FileNotFoundError`` for what is no file, ``ValueError`` for an empty one."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not a file")
    if path.stat().st_size == 0:
        raise ValueError(f"{path} is empty")


def refuse_other_files(path: Path, head: bytes) -> None:
    """Raises ``ValueError`` for compressed files and UTF-16, which no text reader here takes."""
    for magic, name in COMPRESSED.items():
        if head.startswith(magic):
            raise ValueError(f"{path} is compressed with {name}; unpack it first")
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ValueError(f"{path} is UTF-16; convert it: iconv -f UTF-16 -t UTF-8")


def check_piece(path: Path, piece: bytes, line: int) -> None:
    """Raises ``ValueError`` naming the line of the first byte that is no UTF-8 text."""
    zero = piece.find(b"\0")
    if zero >= 0:
        at = line + piece.count(NEWLINE, 0, zero)
        raise ValueError(f"{path}:{at}: a zero byte; this is no text file")
    try:
        piece.decode("utf-8")
    except UnicodeDecodeError as error:
        at = line + piece.count(NEWLINE, 0, error.start)
        raise ValueError(
            f"{path}:{at}: byte 0x{piece[error.start]:02x} is not UTF-8; "
            "convert the file, for example: iconv -f ISO-8859-1 -t UTF-8"
        ) from None


def pieces(path: Path, limit: int = MAX_LINE_BYTES) -> Iterator[tuple[int, bytes]]:
    """Yields whole lines in pieces of some megabytes, each with the number of its first line.

    A line over ``limit`` bytes raises ``ValueError`` before more of it is read, and so does
    anything that is not UTF-8. A byte order mark is left out.
    """
    require_file(path)
    with path.open("rb") as file:
        refuse_other_files(path, file.read(8))
        file.seek(0)
        if file.read(3) != codecs.BOM_UTF8:
            file.seek(0)
        line, waiting, size = 1, [b""], 0
        while chunk := file.read(CHUNK_BYTES):
            cut = chunk.rfind(NEWLINE) + 1
            first = chunk.find(NEWLINE)
            if size + (first if cut else len(chunk)) > limit:
                raise ValueError(
                    f"{path}:{line}: the line is longer than {limit >> 20} MiB; "
                    "is this the file you meant?"
                )
            if not cut:
                waiting.append(chunk)
                size += len(chunk)
                continue
            piece = b"".join((*waiting, chunk[:cut]))
            check_piece(path, piece, line)
            yield line, piece
            line += piece.count(NEWLINE)
            waiting, size = [chunk[cut:]], len(chunk) - cut
        rest = b"".join(waiting)
        if rest:
            check_piece(path, rest, line)
            yield line, rest


def check_text(path: Path, limit: int = MAX_LINE_BYTES) -> TextFacts:
    """Reads a whole file in pieces and raises ``ValueError`` where ``pieces`` does."""
    lines, last = 0, b""
    for _, piece in pieces(path, limit):
        lines += piece.count(NEWLINE)
        last = piece[-1:]
    return TextFacts(path.stat().st_size, lines + (last != NEWLINE))
