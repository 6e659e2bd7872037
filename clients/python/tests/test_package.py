"""The package builds from a clone and from a source distribution alone, and holds what it needs."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

from server import ROOT

MADE = shutil.ignore_patterns("_pb", "*.egg-info", "build", "__pycache__")
BUILD = """
import sys
from setuptools import build_meta
kind, into = sys.argv[1:]
getattr(build_meta, f"get_requires_for_build_{kind}")()
getattr(build_meta, f"build_{kind}")(into)
"""


def build(kind: str, folder: Path, into: Path) -> None:
    """Builds one kind of distribution of what is in a folder, as pip does."""
    command = [sys.executable, "-c", BUILD, kind, str(into)]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr


def test_a_wheel_is_built_from_a_source_distribution(tmp_path: Path) -> None:
    clone = tmp_path / "clone" / "clients" / "python"
    shutil.copytree(ROOT / "clients" / "python", clone, ignore=MADE)
    shutil.copytree(ROOT / "proto", tmp_path / "clone" / "proto")
    build("sdist", clone, tmp_path)
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as packed:
        names = [name.split("/", 1)[-1] for name in packed.getnames()]
        packed.extractall(tmp_path / "unpacked", filter="data")
    assert "proto/podium/v1/rank.proto" in names
    assert not [name for name in names if "_pb/" in name]

    (folder,) = (tmp_path / "unpacked").iterdir()
    build("wheel", folder, tmp_path)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        held = set(wheel.namelist())
        metadata = next(wheel.read(name).decode() for name in held if name.endswith("/METADATA"))
        wheel.extractall(tmp_path / "site")
    wanted = {"podium_client/py.typed", "podium_client/_pb/rank_pb2.py", "podium_client/_pb/rank_pb2.pyi"}
    assert wanted <= held
    assert {name.split("/")[0].split("-")[0] for name in held} == {"podium_client"}
    for needed in ("grpcio>=", "protobuf", "googleapis-common-protos", 'opentelemetry-api; extra == "otel"'):
        assert f"Requires-Dist: {needed}" in metadata, metadata

    program = "import podium_client; print(podium_client.__file__)"
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env={"PYTHONPATH": str(tmp_path / "site")},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert str(tmp_path / "site") in ended.stdout
