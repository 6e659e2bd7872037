"""`podium bench`: what it measures adds up, and what cannot be measured is said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from server import PLAIN_MODELS, TEST_MODELS, Server, podium

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


def test_other_servers_are_asked_by_the_same_rows_in_turns(tmp_path: Path, log: Path) -> None:
    report, plot = tmp_path / "bench.json", tmp_path / "bench.svg"
    with Server(TEST_MODELS, log) as other:
        ended = podium(
            "bench", "--models", TEST_MODELS, "--model", "tiny-ranker", *QUICK, "--candidates", "2", "--by", "tensors",
            "--concurrency", "2", "--rate", "50%", "--against", "triton", other.address, "--against", "oip",
            f"{other.address}/tiny-ranker", "--json", report, "--plot", plot,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stdout + ended.stderr
        peers = [None, f"triton {other.address}", f"oip {other.address}/tiny-ranker"]
        told = json.loads(report.read_text())["points"]
        assert [(point["load"], point["peer"]) for point in told] == [
            (load, peer) for load in ("2 callers", "50% arriving") for peer in peers
        ]
        own, triton, _ = (point["repetitions"][0]["figures"] for point in told[:3])
        assert triton["podium_over"] == pytest.approx(own["answers_per_s"] / triton["answers_per_s"])
        assert triton["p99_over_podium"] == pytest.approx(triton["p99_ms"] / own["p99_ms"])
        assert triton["batch_rows"] >= 2
        assert all(point["repetitions"][0]["errors"] == {} for point in told)
        offered = [point["repetitions"][0]["offered_per_s"] for point in told[3:]]
        assert offered[0] == offered[1] == offered[2] > 0
        assert "Podium / it" in ended.stdout
        assert "ahead" in plot.read_text()
        wrong = podium(
            "bench", "--models", TEST_MODELS, "--model", "tiny-ranker", *QUICK, "--against", "oip",
            f"{other.address}/vector-ranker",
        )  # fmt: skip
    assert wrong.returncode != 0
    assert "its model takes" in wrong.stderr


def test_a_model_without_an_example_is_measured_by_tensors_of_a_file(tmp_path: Path) -> None:
    data, report = tmp_path / "inputs.json", tmp_path / "bench.json"
    rows = [{"x": [float(at), 1.0, 0.5]} for at in range(5)]
    data.write_text(json.dumps({"data": rows}))
    common = ("bench", "--models", PLAIN_MODELS, "--model", "joined", *QUICK, "--input-data", data)
    ended = podium(*common, "--concurrency", "1,4", "--json", report)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    for point in json.loads(report.read_text())["points"]:
        [measured] = point["repetitions"]
        assert measured["errors"] == {}
        assert measured["answers"] > 0
        assert measured["raw"][0]["before"]["requests_per_s"] > 0
    data.write_text(json.dumps({"data": [{"y": [1.0]}]}))
    wrong = podium(*common)
    assert wrong.returncode != 0
    assert "data[0].y is no input of the model; they are:" in wrong.stderr


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--rate", "100", "--scenario", "burst"], "--concurrency"),
        (["--scenario", "storm"], "overload"),
        (["--raw-batch", "0"], "--raw-batch"),
        (["--slo-ms", "0"], "--slo-ms"),
        (["--against", "tritn", "localhost:8001"], "oip or triton"),
        (["--against", "oip", "localhost"], "no port"),
        (["--model", "tiny-ranker", "--against", "oip", "localhost:1"], "--against"),
        (["--concurrency", "1", "--scenario", "burst", "--against", "oip", "localhost:1"], "--scenario"),
        (["--input-data", "missing.json"], "--model"),
        (["--model", "tiny-ranker", "--input-data", "missing.json"], "missing.json"),
    ],
)
def test_what_cannot_be_measured_is_said(arguments: list[str], word: str) -> None:
    ended = podium("bench", "--models", TEST_MODELS, *QUICK, *arguments)
    assert ended.returncode != 0
    assert word in ended.stderr
