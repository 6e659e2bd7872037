"""Writes a shop's catalogue for the server: ``item,title,brand``, sorted by item."""

from __future__ import annotations

import gzip
import io
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import polars as pl

from podium_models.text.data.products import Products

HEADER = ("item", "title", "brand")
SLICE = 50_000
LONGEST_ID = 128


def write_catalogue(
    products: Products, path: Path, append_description: bool = False
) -> dict[str, int]:
    """Writes CSV, or CSV in gzip where the name ends in .gz; equal content is equal bytes.

    Items whose id has more than 128 bytes, which no request could name, are dropped and counted.
    ``append_description`` puts the description behind the title.
    """
    fits = pl.col("item").str.len_bytes() <= LONGEST_ID
    title = pl.col("title")
    if append_description:
        title = (title + " " + pl.col("description")).str.strip_chars()
    table = products.table.filter(fits).with_columns(title).select(HEADER)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as raw, ExitStack() as stack:
        out: BinaryIO | gzip.GzipFile = raw
        if path.name.endswith(".gz"):
            packed = gzip.GzipFile(filename="", fileobj=raw, mode="wb", compresslevel=9, mtime=0)
            out = stack.enter_context(packed)
        out.write((",".join(HEADER) + "\n").encode())
        for part in table.iter_slices(SLICE):
            buffer = io.BytesIO()
            part.write_csv(buffer, include_header=False)
            out.write(buffer.getvalue())
    long_ids = products.table.height - table.height
    return {**products.counts, "products_with_long_ids": long_ids, "written": table.height}
