"""Trains, evaluates and exports a tiny model end to end; needs torch."""

from __future__ import annotations

import json
import tomllib

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from podium_models.ranker.config import KIND  # noqa: E402
from podium_models.ranker.data.prepared import save_prepared  # noqa: E402
from podium_models.ranker.evaluation.offline import evaluate  # noqa: E402
from podium_models.ranker.export.bundle import export  # noqa: E402
from podium_models.ranker.training.run import train_run  # noqa: E402
from podium_models.settings import write_config  # noqa: E402


@pytest.fixture(scope="module")
def run(prepared, config, tmp_path_factory):
    where = tmp_path_factory.mktemp("run")
    write_config(where, KIND, config)
    save_prepared(prepared, where / "prepared")
    train_run(where, prepared, config)
    return where


def test_training_leaves_weights_graphs_and_curves(run):
    for name in ("best.pt", "latest.pt", "history.json", "curves.png", "graphs/ranker.onnx"):
        assert (run / name).is_file(), name
    history = json.loads((run / "history.json").read_text(encoding="utf-8"))
    assert all(np.isfinite(list(entry.values())).all() for entry in history)


def test_training_again_resumes_and_gives_the_same_graphs(run, prepared, config):
    before = (run / "graphs" / "ranker.onnx").read_bytes()
    train_run(run, prepared, config)
    assert (run / "graphs" / "ranker.onnx").read_bytes() == before


def test_training_from_the_same_seed_gives_the_same_bytes(run, prepared, config, tmp_path):
    train_run(tmp_path, prepared, config)
    for name in ("encoder.onnx", "ranker.onnx"):
        wanted = (run / "graphs" / name).read_bytes()
        assert (tmp_path / "graphs" / name).read_bytes() == wanted


def test_export_needs_an_evaluation_and_is_repeatable(run, prepared, config, tmp_path):
    with pytest.raises(FileNotFoundError, match="evaluate"):
        export(run, prepared, config, tmp_path)
    evaluate(run, prepared, config)
    first = {
        path: path.read_bytes()
        for one in export(run, prepared, config, tmp_path)
        for path in one.iterdir()
    }
    for path in first:
        if path.name == "model.toml":
            assert tomllib.loads(first[path].decode())["format"] == 1
    export(run, prepared, config, tmp_path)
    assert {path: path.read_bytes() for path in first} == first
