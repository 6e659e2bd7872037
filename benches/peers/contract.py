"""The Open Inference Protocol in Python, made from the repository's protos at the start."""

from __future__ import annotations

import importlib
import sys
import tempfile
from pathlib import Path
from typing import Any

from grpc_tools import protoc

PROTOS = Path(__file__).resolve().parents[2] / "proto"


def load() -> tuple[Any, Any]:
    """Compiles the protos into a folder that does not outlive the call; returns the messages and the service."""
    with tempfile.TemporaryDirectory() as folder:
        sources = ["inference/model_config.proto", "inference/grpc_service.proto"]
        outputs = [f"--python_out={folder}", f"--grpc_python_out={folder}"]
        if protoc.main(["protoc", f"-I{PROTOS}", *outputs, *sources]) != 0:
            raise SystemExit("error: the protos cannot be compiled")
        sys.path.insert(0, folder)
        try:
            names = ("inference.grpc_service_pb2", "inference.grpc_service_pb2_grpc")
            messages, service = map(importlib.import_module, names)
        finally:
            sys.path.remove(folder)
    return messages, service
