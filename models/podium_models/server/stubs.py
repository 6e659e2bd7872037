"""Generates and imports the gRPC stubs of ``../proto`` at run time."""

from __future__ import annotations

import importlib
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

PROTO = Path(__file__).resolve().parents[3] / "proto"
FILES = ("podium/v1/rank.proto", "podium/v1/info.proto")


class Stubs(NamedTuple):
    """The generated modules: messages and services of ``rank.proto``."""

    messages: ModuleType
    services: ModuleType


def load_stubs(proto: Path = PROTO) -> Stubs:
    """Compiles the protos into a temporary directory and imports the result.

    Raises ``FileNotFoundError`` without the protos and ``ValueError`` where they do not compile.
    """
    import grpc_tools
    from grpc_tools import protoc

    if not (proto / FILES[0]).is_file():
        raise FileNotFoundError(f"{proto / FILES[0]} is missing")
    with tempfile.TemporaryDirectory() as out:
        well_known = Path(grpc_tools.__file__).parent / "_proto"
        includes = [f"-I{proto}", f"-I{well_known}"]
        outputs = [f"--python_out={out}", f"--grpc_python_out={out}"]
        if protoc.main(["protoc", *includes, *outputs, *FILES]) != 0:
            raise ValueError(f"the protos under {proto} do not compile")
        sys.path.insert(0, out)
        try:
            messages = importlib.import_module("podium.v1.rank_pb2")
            services = importlib.import_module("podium.v1.rank_pb2_grpc")
        finally:
            sys.path.remove(out)
    return Stubs(messages, services)
