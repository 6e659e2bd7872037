"""`docs/your-own-model.md`, step by step: every block is run in its order, and what it says is printed is printed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from server import BINARY, ROOT, Server, environment

PAGE = ROOT / "docs" / "your-own-model.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SERVE = "podium serve --models shop\n"


def run(kind: str, block: str, folder: Path) -> str:
    """Runs a block as a reader would, whose shell has the environment of the first block; returns what it prints."""
    own = folder / "venv" / "bin"
    path = os.pathsep.join([str(own), str(BINARY.parent), str(Path(sys.executable).parent), os.environ["PATH"]])
    command = ["bash", "-euc", block] if kind == "sh" else [str(own / "python"), "-c", block]
    ended = subprocess.run(
        command, cwd=folder, env=environment({"PATH": path}), timeout=180, text=True, capture_output=True, check=False
    )
    assert ended.returncode == 0, f"{block}\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout


def words(line: str) -> str:
    """Returns a line without the blanks that align it."""
    return " ".join(line.split())


def labels_by_onnx_runtime(folder: Path, script: str) -> list[str]:
    """Returns what the texts of the page are by ONNX Runtime in Python."""
    names: dict[str, object] = {}
    exec(script.split("client = ", maxsplit=1)[0], names)
    graph = onnxruntime.InferenceSession(folder / "shop" / "magika" / "1" / "model.onnx")
    [probabilities] = graph.run(None, {"bytes": names["rows"]})
    labels = names["labels"]
    assert isinstance(labels, list)
    return [labels[at] for at in np.argmax(probabilities, axis=1)]


def test_a_reader_of_the_page_serves_calls_and_measures_a_model(
    tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    assert [kind for kind, _ in blocks].count("sh") == 6
    at = next(at for at, (_, block) in enumerate(blocks) if block == SERVE)
    printed = follow(blocks[:at], tmp_path)
    assert "company moves answers" in printed
    with Server(tmp_path / "shop", log) as server:
        here = [(kind, block.replace("127.0.0.1:50051", server.address)) for kind, block in blocks[at + 1 :]]
        printed = follow(here, tmp_path)
        script = next(block for kind, block in here if kind == "python")
        monkeypatch.chdir(tmp_path)
        assert labels_by_onnx_runtime(tmp_path, script) == ["python", "sql", "markdown"]
    assert "server / raw" in printed
    assert "No errors" in printed
    assert (tmp_path / "load.svg").read_text(encoding="utf-8").startswith("<svg")


def follow(blocks: list[tuple[str, str]], folder: Path) -> str:
    """Runs the blocks in turn, and holds each `text` block against what the one before it printed."""
    printed, last = "", ""
    for kind, block in blocks:
        if kind != "text":
            last = run(kind, block, folder)
            printed += last
            continue
        lines = [words(line) for line in last.splitlines()]
        missing = [line for line in block.splitlines() if words(line) not in lines]
        assert not missing, f"{missing} are not among:\n{last}"
    return printed
