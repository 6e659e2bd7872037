"""Reads precomputed vectors of items, such as of their images, from NumPy or Parquet files."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from podium_models.sequence.data.rows import clean_id, empty
from podium_models.sequence.data.text_scan import require_file

Floats = npt.NDArray[np.float32]

NPZ_ARRAYS = "the arrays `items` [n] and `vectors` [n, d]"
PARQUET_COLUMNS = "the columns `item` and `vector` (a list of numbers of one length)"


def read_npz(path: Path) -> tuple[pl.Series, Floats]:
    """Reads item ids and vectors from a NumPy archive; pickled arrays are refused."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (zipfile.BadZipFile, EOFError, OSError, ValueError) as error:
        raise ValueError(f"{path} is no NumPy archive of plain arrays: {error}") from None
    if not {"items", "vectors"} <= set(arrays):
        raise ValueError(f"{path} must hold {NPZ_ARRAYS}; there are {sorted(arrays)}")
    names, vectors = arrays["items"], arrays["vectors"]
    numbers = np.issubdtype(vectors.dtype, np.number)
    if vectors.ndim != 2 or names.shape != vectors.shape[:1] or not numbers:
        shapes = f"{list(names.shape)} and {list(vectors.shape)} {vectors.dtype}"
        raise ValueError(f"{path} must hold {NPZ_ARRAYS}; their shapes are {shapes}")
    return pl.Series("item", names.astype(str)), vectors.astype(np.float32)


def read_parquet(path: Path) -> tuple[pl.Series, Floats]:
    """Reads item ids and vectors from Parquet; a missing vector becomes one of NaN."""
    try:
        table = pl.read_parquet(path)
    except pl.exceptions.PolarsError as error:
        raise ValueError(f"{path} is neither .npz nor Parquet: {error}") from None
    if not {"item", "vector"} <= set(table.columns):
        raise ValueError(f"{path} must hold {PARQUET_COLUMNS}; there are {table.columns}")
    vectors = table["vector"].cast(pl.List(pl.Float32), strict=False)
    lengths = vectors.list.len().drop_nulls().unique().to_list()
    if len(lengths) != 1 or lengths == [0]:
        raise ValueError(f"{path} must hold {PARQUET_COLUMNS}; lengths are {sorted(lengths)}")
    rows = np.full((table.height, lengths[0]), np.nan, dtype=np.float32)
    there = vectors.is_not_null().to_numpy()
    flat = vectors.drop_nulls().explode().cast(pl.Float32).fill_null(float("nan"))
    rows[there] = flat.to_numpy().reshape(-1, lengths[0])
    return table["item"], rows


def read_vectors(path: Path) -> tuple[pl.Series, Floats, dict[str, int]]:
    """Reads distinct item ids, their finite vectors [n, d], and what was dropped.

    Of several vectors of an item the first is kept; a vector that is not finite is dropped.
    """
    require_file(path)
    names, vectors = read_npz(path) if path.suffix == ".npz" else read_parquet(path)
    table = names.to_frame("item").with_columns(clean_id("item")).with_row_index("row")
    named = table.filter(~empty("item"))
    finite = named.filter(pl.Series(np.isfinite(vectors).all(axis=1)).gather(named["row"]))
    kept = finite.unique("item", keep="first", maintain_order=True)
    counts = {
        "vectors": table.height,
        "vectors_without_id": table.height - named.height,
        "vectors_not_finite": named.height - finite.height,
        "vectors_of_an_id_already_seen": finite.height - kept.height,
        "vectors_kept": kept.height,
    }
    return kept["item"], vectors[kept["row"].to_numpy()], counts
