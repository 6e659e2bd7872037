"""Makes room for a bundle."""

from __future__ import annotations

import shutil
from pathlib import Path


def fresh(directory: Path) -> Path:
    """Empties and recreates a bundle's directory."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    return directory
