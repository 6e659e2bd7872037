"""Says where the two bundles of a model lie."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Published:
    """The bundles in a model repository; the encoder's name is the ranker's with ``-encoder``."""

    models: Path
    ranker: str
    version: int

    @property
    def encoder(self) -> str:
        """The encoder's name."""
        return f"{self.ranker}-encoder"

    @property
    def ranker_directory(self) -> Path:
        """The ranker's bundle."""
        return self.models / self.ranker / str(self.version)

    @property
    def encoder_directory(self) -> Path:
        """The encoder's bundle."""
        return self.models / self.encoder / str(self.version)


def published_of(arguments: argparse.Namespace) -> Published:
    """Reads the bundles' place from the command line; by default they are named like the run."""
    name = arguments.bundle or arguments.run.resolve().name
    version = 1 if arguments.bundle_version is None else arguments.bundle_version
    if version < 1:
        raise ValueError(f"--bundle-version is at least 1, not {version}")
    return Published(arguments.models, name, version)
