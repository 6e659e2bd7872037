"""Opens graphs in ONNX Runtime on the CPU."""

from __future__ import annotations

from pathlib import Path

import onnxruntime as ort


def open_session(path: Path, threads: int) -> ort.InferenceSession:
    """Opens a graph on the CPU without spinning threads; none raises ``FileNotFoundError``."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; run `train`, and `export` for a bundle, first")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
