"""Renders the parts of a manifest that every bundle has."""

from __future__ import annotations

from pathlib import Path

from podium_models.bundle.text_files import sha256, toml_table

MANIFEST, MODEL, CARD = "model.toml", "model.onnx", "MODEL_CARD.md"
GOLDEN, EXAMPLE = "golden.json", "example.json"

GOLDEN_TOLERANCE = 1e-4

OPSET = 17
"""The ONNX operator set of every graph that this package writes."""


def model_input(name: str, source: str, dtype: str, shape: list[object], **more: object) -> str:
    """Renders one ``[[inputs]]`` table."""
    return toml_table(
        "[[inputs]]", {"name": name, "source": source, "dtype": dtype, "shape": shape, **more}
    )


def file_sums(directory: Path) -> str:
    """Renders the sums of every file of the directory but the manifest."""
    names = sorted(one.name for one in directory.iterdir() if one.name != MANIFEST)
    return toml_table("[files]", {name: sha256(directory / name) for name in names})
