"""`podium bench`: what it measures adds up, and what cannot be measured is said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from server import TEST_MODELS, podium

QUICK = ("--repeat", "1", "--warmup", "100ms", "--duration", "400ms", "--raw-duration", "50ms")


def test_a_bench_tells_of_answers_batches_and_raw_runs(tmp_path: Path) -> None:
    report = tmp_path / "bench.json"
    plot = tmp_path / "bench.svg"
    ended = podium(
        "bench", "--models", TEST_MODELS, "--model", "tiny-ranker", *QUICK, "--candidates", "2", "--concurrency", "1,4",
        "--rate", "50", "--raw-batch", "1,4", "--json", report, "--plot", plot,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    told = json.loads(report.read_text())
    assert [point["load"] for point in told["points"]] == ["1 caller", "4 callers", "50/s arriving"]
    for point in told["points"]:
        [measured] = point["repetitions"]
        figures = measured["figures"]
        assert measured["errors"] == {}
        assert measured["answers"] > 0
        assert figures["answers_per_s"] * 2 == pytest.approx(figures["rows_per_s"])
        assert figures["p50_ms"] <= figures["p99_ms"] == pytest.approx(figures["p99_over_p50"] * figures["p50_ms"])
        assert [pair["before"]["rows"] for pair in measured["raw"]] == [2, 4]
        assert figures["raw_best_per_s"] >= figures["raw_per_s"]
        assert figures["batch_rows"] >= 2
        assert set(figures) <= set(told["meanings"])
    assert "closed" in ended.stdout
    assert plot.read_text().startswith("<svg")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--rate", "100", "--scenario", "burst"], "--concurrency"),
        (["--scenario", "storm"], "overload"),
        (["--raw-batch", "0"], "--raw-batch"),
        (["--slo-ms", "0"], "--slo-ms"),
    ],
)
def test_what_cannot_be_measured_is_said(arguments: list[str], word: str) -> None:
    ended = podium("bench", "--models", TEST_MODELS, *QUICK, *arguments)
    assert ended.returncode != 0
    assert word in ended.stderr
