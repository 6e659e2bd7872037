"""`podium quickstart`: a first manifest from what a model says of itself, served as it is where nothing is missing."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import onnx
import pytest

import plain
from bundle import graph
from client import Client
from expected import column
from server import Server, podium


def table_ranker() -> onnx.ModelProto:
    """Returns a ranker of two columns and a vector."""
    return graph(
        """table (float[n] price, float[n] rating, float[n, 2] taste) => (float[n] score) {
          axes = Constant<value_ints = [1]>()
          liked = ReduceSum<keepdims = 0>(taste, axes)
          good = Add(rating, liked)
          score = Sub(good, price)
        }"""
    )


def written(tmp_path: Path, model: onnx.ModelProto, name: str = "ranker.onnx") -> Path:
    """Writes a model into a file and returns it."""
    path = tmp_path / name
    path.write_bytes(model.SerializeToString())
    return path


def started(tmp_path: Path, *more: str, model: onnx.ModelProto | None = None) -> tuple[dict[str, Any], Path]:
    """Writes a first manifest below `tmp_path` and returns it with its directory."""
    path = written(tmp_path, model or table_ranker())
    ended = podium("quickstart", path, "--out", tmp_path / "models", *more)
    assert ended.returncode == 0, ended.stderr
    directory = tmp_path / "models" / "ranker" / "1"
    assert f"podium check {directory}" in ended.stdout
    assert f"podium serve --models {tmp_path / 'models'}" in ended.stdout
    return tomllib.loads((directory / "model.toml").read_text(encoding="utf-8")), directory


def test_a_ranker_of_columns_is_served_as_it_is(tmp_path: Path, log: Path) -> None:
    manifest, directory = started(tmp_path)
    assert [entry["source"] for entry in manifest["inputs"]] == ["candidate"] * 3
    checked = podium("check", directory)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    with Server(tmp_path / "models", log) as server:
        client = Client(server.address)
        taste = {"name": "taste", "vectors": {"dim": 2, "values": [0, 0, 1, 1]}}
        columns = [column("price", [1, 2]), column("rating", [3, 3]), taste]
        answer = client.rank(model={"name": "ranker"}, candidates={"ids": ["a", "b"], "columns": columns})
        assert [item.id for item in answer.items] == ["b", "a"]
        client.close()


def test_what_is_left_to_a_person_is_marked(tmp_path: Path) -> None:
    model = graph(
        """reader (int64[n, length] input_ids, int64[n, length] attention_mask) => (float[n, 2] logits) {
          ids = Cast<to = 1>(input_ids)
          mask = Cast<to = 1>(attention_mask)
          kept = Mul(ids, mask)
          axes = Constant<value_ints = [1]>()
          sum = ReduceSum(kept, axes)
          logits = Concat<axis = 1>(sum, sum)
        }"""
    )
    manifest, directory = started(tmp_path, model=model)
    text = (directory / "model.toml").read_text(encoding="utf-8")
    assert text.count("FILL IN") == 2
    assert [entry["part"] for entry in manifest["inputs"]] == ["ids", "mask"]
    assert (manifest["outputs"][0]["shape"], manifest["outputs"][0]["column"]) == (["rows", 2], 1)
    checked = podium("check", directory)
    assert checked.returncode == 1
    assert "tokenizer.json" in checked.stderr


def test_an_encoder_reads_the_history(tmp_path: Path) -> None:
    model = graph(
        """encoder (int64[n, length] items) => (float[n, 1] embedding) {
          values = Cast<to = 1>(items)
          axes = Constant<value_ints = [1]>()
          embedding = ReduceSum(values, axes)
        }"""
    )
    manifest, _ = started(tmp_path, "--role", "user-encoder", model=model)
    assert (manifest["role"], manifest["inputs"][0]["vocabulary"]) == ("user_encoder", "item")


def test_values_beside_the_model_come_along(tmp_path: Path) -> None:
    model = graph("weighing (float[n, 64] x) => (float[n, 2] y) { y = MatMul(x, w) }",
                  {"w": plain.weights()})  # fmt: skip
    onnx.save(model, tmp_path / "ranker.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    ended = podium("quickstart", tmp_path / "ranker.onnx", "--out", tmp_path / "models")
    assert ended.returncode == 0, ended.stderr
    checked = podium("check", tmp_path / "models" / "ranker" / "1")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_nothing_is_overwritten_without_force(tmp_path: Path) -> None:
    _, directory = started(tmp_path)
    (directory / "model.toml").write_text("mine", encoding="utf-8")
    again = ["quickstart", tmp_path / "ranker.onnx", "--out", tmp_path / "models"]
    refused = podium(*map(str, again))
    assert refused.returncode == 1
    assert "there already. Fix: " in refused.stderr
    assert (directory / "model.toml").read_text(encoding="utf-8") == "mine"
    assert podium(*map(str, again), "--force").returncode == 0
    assert (directory / "model.toml").read_text(encoding="utf-8") != "mine"


def test_a_model_without_a_manifest_gets_one_where_it_stands(tmp_path: Path) -> None:
    directory = plain.write_model(tmp_path, "shop/3", table_ranker())
    ended = podium("quickstart", directory / "model.onnx")
    assert ended.returncode == 0, ended.stderr
    assert sorted(path.name for path in directory.iterdir()) == ["model.onnx", "model.toml"]
    assert podium("check", directory).returncode == 0


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("fixed (float[1, 4] x) => (float[1, 4] y) { y = Identity(x) }", ["`x`, float32[1, 4], has always 1 rows"]),
        ("scalar (float x) => (float y) { y = Identity(x) }", ["`x`, float32[], has no dimension"]),
        ("none () => (float[1] y) { y = Constant<value_floats = [1.0]>() }", ["has no inputs"]),
        ("wide (double[n] x) => (double[n] y) { y = Identity(x) }", ["float64[n], is of a type", "float32"]),
        ("whole (int64[n] x) => (int64[n] y) { y = Identity(x) }", ["no output that can be a score"]),
    ],
)
def test_what_can_be_no_ranker_is_told_with_the_fix(tmp_path: Path, model: str, words: list[str]) -> None:
    ended = podium("quickstart", written(tmp_path, graph(model)), "--out", tmp_path / "models")
    assert ended.returncode == 1
    for word in [*words, "Fix: "]:
        assert word in ended.stderr, (word, ended.stderr)
    assert not (tmp_path / "models").exists()


def test_what_is_no_model_is_told(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("this is not a model", encoding="utf-8")
    for path, word in (("text.onnx", "is no ONNX model"), ("nowhere.onnx", "cannot be read")):
        ended = podium("quickstart", tmp_path / path, "--out", tmp_path / "models")
        assert ended.returncode == 1
        assert word in ended.stderr, ended.stderr
