"""Names the files of a trained model."""

from __future__ import annotations

from pathlib import Path

GRAPHS = "graphs"
ENCODER_FILE, RANKER_FILE = "encoder.onnx", "ranker.onnx"


def graphs_of(trained: Path, method: str | None = None) -> Path:
    """Returns where a trained model's graphs are, or those that ``compress --method`` adopted."""
    where = trained / (GRAPHS if method is None else f"{GRAPHS}-{method}")
    if not (where / RANKER_FILE).is_file():
        before = "train" if method is None else f"compress --method {method}"
        raise FileNotFoundError(f"{where} has no graphs; run `{before}` first")
    return where
