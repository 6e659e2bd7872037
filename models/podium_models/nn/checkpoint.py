"""Saves torch files so that a reader never sees half of one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch


def write_atomically(path: Path, data: dict[str, Any]) -> None:
    """Writes a torch file beside its place and moves it there."""
    partial = path.with_suffix(".partial")
    torch.save(data, partial)
    os.replace(partial, path)


def read_state(path: Path, device: torch.device | None = None) -> dict[str, Any]:
    """Reads what ``write_atomically`` wrote; only tensors and plain values are let in."""
    state: dict[str, Any] = torch.load(path, weights_only=True, map_location=device)
    return state
