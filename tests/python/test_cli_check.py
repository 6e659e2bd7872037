"""`podium check`: every fault of a bundle at once, with the fix, and an exit status."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from bundle import Bundle, Tensors, float32, graph, write
from faulty import FAULTS
from server import FAULTY_MODELS, SHIPPED_MODELS, TEST_MODELS, podium
from special import price_manifest

GOOD = sorted(path.parent for path in TEST_MODELS.glob("*/*/model.toml"))
SHIPPED = sorted(path.parent for path in SHIPPED_MODELS.glob("*/[0-9]*/model.toml"))


@pytest.mark.parametrize("bundle", GOOD + SHIPPED, ids=lambda path: "/".join(path.parts[-2:]))
def test_a_right_bundle_passes(bundle: Path) -> None:
    ended = podium("check", bundle)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert bundle.parent.name in ended.stdout


@pytest.mark.parametrize("name", list(FAULTS))
def test_a_wrong_bundle_is_told_what_is_wrong(name: str) -> None:
    fault = FAULTS[name]
    ended = podium("check", FAULTY_MODELS / name / fault.version)
    said = ended.stdout + ended.stderr
    assert ended.returncode == 1, said
    assert "panicked" not in said
    for word in fault.words:
        assert word in said, (word, said)


@pytest.mark.parametrize("name", ["external-data", "hard-link-out"])
def test_external_data_is_refused_from_within_the_directory_too(name: str) -> None:
    # Weights are found relative to the working directory where the graph is given as bytes.
    ended = podium("check", ".", cwd=FAULTY_MODELS / name / "1")
    assert ended.returncode == 1, ended.stdout + ended.stderr


def test_a_path_that_is_not_there_is_named(tmp_path: Path) -> None:
    ended = podium("check", tmp_path / "nowhere")
    assert ended.returncode != 0
    assert "nowhere" in ended.stdout + ended.stderr


def test_golden_vectors_within_their_tolerance_pass(tmp_path: Path) -> None:
    bundle = tmp_path / "nan-ranker" / "3"
    shutil.copytree(TEST_MODELS / "nan-ranker" / "1", bundle)
    golden = json.loads((bundle / "golden.json").read_text())
    assert golden["cases"][0]["outputs"]["score"]["data"] == [1.0, 999.0]
    assert podium("check", bundle).returncode == 0


def test_rows_that_influence_each_other_are_noticed(tmp_path: Path) -> None:
    model = graph(
        """mixing (float[rows] price) => (float[rows] score) {
          middle = ReduceMean<keepdims = 1>(price)
          score = Sub(price, middle)
        }"""
    )
    manifest = price_manifest("Says that its rows are independent, and subtracts their mean.")
    cases: dict[str, Tensors] = {"low": {"price": float32([1, 2])}, "high": {"price": float32([8, 9, 9])}}
    ended = podium("check", write(Bundle("mixing-ranker", "1", manifest, model, cases), tmp_path))
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "2 cases in one run" in ended.stdout
    assert "1 check(s)" in ended.stderr
