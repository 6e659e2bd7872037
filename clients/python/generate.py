"""Generates `podium_client/_pb` from the `.proto` files: `python generate.py`."""

from __future__ import annotations

import re
import shutil
import tempfile
from importlib import resources
from pathlib import Path

from grpc_tools import protoc

HERE = Path(__file__).resolve().parent
INTO = HERE / "src" / "podium_client" / "_pb"
IMPORT = re.compile(r"^from podium\.v1 import ", re.MULTILINE)


def proto_root() -> Path:
    """Returns where the protos are: beside this file in a source distribution, else in the repository."""
    beside = HERE / "proto"
    return beside if beside.is_dir() else HERE.parents[1] / "proto"


def generate() -> None:
    """Writes the modules anew.

    They import each other from their own package, so that no other `podium` is in their way. The names of the files
    in their descriptors stay as they are: protobuf takes the same file twice in one process, but not the same messages
    from files of two names.
    """
    root = proto_root()
    sources = sorted(path.relative_to(root).as_posix() for path in root.glob("podium/v1/*.proto"))
    with tempfile.TemporaryDirectory() as scratch:
        outputs = [f"--{kind}_out={scratch}" for kind in ("python", "pyi", "grpc_python")]
        includes = [f"-I{root}", f"-I{resources.files('grpc_tools') / '_proto'}"]
        if protoc.main(["protoc", *includes, *outputs, *sources]) != 0:
            raise SystemExit("error: protoc failed")
        shutil.rmtree(INTO, ignore_errors=True)
        INTO.mkdir(parents=True)
        for made in sorted(Path(scratch, "podium", "v1").iterdir()):
            text = IMPORT.sub("from podium_client._pb import ", made.read_text(encoding="utf-8"))
            (INTO / made.name).write_text(text, encoding="utf-8")
    (INTO / "__init__.py").write_text('"""Generated from the protos; not to be edited."""\n', encoding="utf-8")


if __name__ == "__main__":
    generate()
