"""Compresses tiny graphs, and refuses what loses too much."""

from __future__ import annotations

import json

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from podium_models.bundle.session import open_session  # noqa: E402
from podium_models.cli import main  # noqa: E402
from podium_models.compression.graphs import METHODS, Graphs, compress_graphs  # noqa: E402
from podium_models.compression.report import (  # noqa: E402
    Comparison,
    Side,
    refuse_beyond,
    to_markdown,
)


@pytest.mark.parametrize("loss", [0.0, -1.0, 0.01])
def test_a_loss_up_to_the_limit_is_accepted(loss):
    refuse_beyond("ndcg@10", loss, 0.01)


@pytest.mark.parametrize("loss", [0.0101, 1.0, float("nan")])
def test_a_larger_loss_is_refused_by_name(loss):
    with pytest.raises(ValueError, match=r"ndcg@10 falls by .*more than --max-loss 0.01"):
        refuse_beyond("ndcg@10", loss, 0.01)


def test_the_table_has_every_measure():
    before = Side({"ndcg@10": 0.5}, {"ranker": 2.0}, 4000)
    after = Side({"ndcg@10": 0.49}, {"ranker": 1.0}, 1000)
    table = to_markdown(Comparison("fp16", "ndcg@10", 0.1, before, after, {"quality": "made up"}))
    assert "| ndcg@10 | 0.5000 | 0.4900 | -0.0100 |" in table
    assert "| ranker, ms | 2.000 | 1.000 | x 0.50 |" in table
    assert "| bytes | 4,000 | 1,000 | x 0.25 |" in table
    assert "quality: made up" in table


@pytest.fixture
def graph(tmp_path):
    """Writes a graph that multiplies [rows, 32] by a matrix, and returns its directory."""
    helper = onnx.helper
    weight = np.random.default_rng(0).normal(size=(32, 64)).astype(np.float32)
    kind = onnx.TensorProto.FLOAT
    made = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "product",
        [helper.make_tensor_value_info("x", kind, ["rows", 32])],
        [helper.make_tensor_value_info("y", kind, ["rows", 64])],
        [onnx.numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    directory = tmp_path / "graphs"
    directory.mkdir()
    onnx.save(model, str(directory / "model.onnx"))
    return directory


def graphs_of(directory, quality):
    """Describes the graph with batches of noise."""
    random = np.random.default_rng(1)
    batches = [{"x": random.normal(size=(8, 32)).astype(np.float32)} for _ in range(4)]
    return Graphs(directory, {"model.onnx": batches}, quality, "quality", {})


@pytest.mark.parametrize("method", METHODS)
def test_every_method_writes_a_graph_that_is_close(graph, method):
    x = np.random.default_rng(2).normal(size=(8, 32)).astype(np.float32)
    wanted = open_session(graph / "model.onnx", 1).run(None, {"x": x})[0]

    def quality(directory):
        found = open_session(directory / "model.onnx", 1).run(None, {"x": x})[0]
        return {"quality": -float(np.abs(found - wanted).max())}

    target = compress_graphs(graphs_of(graph, quality), method, 1.0)
    assert target == graph.parent / f"graphs-{method}"
    assert (target / "model.onnx").stat().st_size < (graph / "model.onnx").stat().st_size
    report = json.loads((target / "compression.json").read_text())
    assert 0 < report["loss"] < 1.0
    assert not list(graph.parent.glob("*.tmp"))


def test_what_loses_too_much_is_not_left_behind(graph):
    def quality(directory):
        return {"quality": 1.0 if directory == graph else 0.5}

    with pytest.raises(ValueError, match=r"--max-loss 0\.2"):
        compress_graphs(graphs_of(graph, quality), "fp16", 0.2)
    target = graph.parent / "graphs-fp16"
    assert not (target / "model.onnx").exists()
    assert json.loads((target / "compression.json").read_text())["loss"] == 0.5
    assert not list(graph.parent.glob("*.tmp"))


def test_a_method_that_needs_training_is_named(graph):
    with pytest.raises(ValueError, match="--method prune needs training"):
        compress_graphs(graphs_of(graph, lambda _: {"quality": 1.0}), "prune", 0.2)


def test_a_negative_limit_is_refused(tmp_path, capsys):
    (tmp_path / "config.json").write_text('{"kind": "sequence"}')
    given = ["compress", "--run", str(tmp_path), "--method", "fp16", "--max-loss", "-1"]
    assert main(given) == 1
    assert "--max-loss -1 is below 0" in capsys.readouterr().err
