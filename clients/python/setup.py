"""Builds the package: its protobuf modules are generated first, and a source distribution carries the protos."""

from __future__ import annotations

import shutil
import sys
from importlib import metadata
from pathlib import Path

from setuptools import setup
from setuptools.command.sdist import sdist

sys.path.insert(0, str(Path(__file__).resolve().parent))

import generate


class SourceDistribution(sdist):  # type: ignore[misc]
    """Carries the protos, so that it can be built where there is no repository."""

    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        """Adds the protos to what is packed."""
        super().make_release_tree(base_dir, files)
        shutil.copytree(generate.proto_root(), Path(base_dir, "proto"), dirs_exist_ok=True)


def dependencies() -> list[str]:
    """Returns what the generated modules run with, which is what their generator runs with."""
    tools = metadata.requires("grpcio-tools") or []
    return ["googleapis-common-protos", *(one for one in tools if one.startswith(("grpcio", "protobuf")))]


generate.generate()
setup(cmdclass={"sdist": SourceDistribution}, install_requires=dependencies())
