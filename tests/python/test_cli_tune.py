"""`podium tune`: measures a bundle within a latency, and proposes settings that can be pasted."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import tomllib
from pathlib import Path

import pytest

from server import BINARY, ROOT, TEST_MODELS, environment, podium

# Long enough for a machine that does other things meanwhile.
SLO = ("--slo", "5s", "--duration", "40ms")
KEYS = {
    "instances", "max_batch_rows", "preferred_batch_rows", "max_queue_delay", "max_queue_rows", "max_queue_time",
}  # fmt: skip


def proposals(printed: str) -> tuple[str, str]:
    """Returns what is to be pasted: into the manifest, and into the configuration."""
    manifest, configuration = [part for part in printed.split("\n\n") if part.startswith("[")]
    return manifest + "\n", configuration + "\n"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that may be written to."""
    path = tmp_path_factory.mktemp("models") / "tiny-ranker" / "1"
    shutil.copytree(TEST_MODELS / "tiny-ranker" / "1", path)
    return path


def test_what_it_proposes_can_be_pasted(bundle: Path, tmp_path: Path) -> None:
    ended = podium("tune", bundle, *SLO, "--rows", "400", "--json", "tune.json", cwd=tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "proposed" in ended.stdout
    assert "tune-tiny-ranker-1.svg" in ended.stdout
    assert (tmp_path / "tune-tiny-ranker-1.svg").read_text(encoding="utf-8").startswith("<svg")

    manifest, configuration = proposals(ended.stdout)
    settings = tomllib.loads(manifest)["batching"]
    assert set(settings) == KEYS
    assert tomllib.loads(configuration) == {"models": {"batching": {"tiny-ranker": settings}}}

    file = bundle / "model.toml"
    file.write_text(file.read_text(encoding="utf-8") + "\n" + manifest, encoding="utf-8")
    checked = podium("check", bundle)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    (tmp_path / "podium.toml").write_text(configuration, encoding="utf-8")
    configured = podium("config", cwd=tmp_path)
    assert configured.returncode == 0, configured.stderr
    told = [line for line in configured.stdout.splitlines() if "tiny-ranker" in line]
    assert f"max_queue_rows = {settings['max_queue_rows']}" in "".join(told), configured.stdout

    report = json.loads((tmp_path / "tune.json").read_text(encoding="utf-8"))
    assert report["settings"] == settings
    chosen = report["points"][report["proposed"]]
    assert chosen["in_time"] >= 0.99 * chosen["sent"] > 0
    assert (chosen["instances"], chosen["batch_rows"]) == (settings["instances"], settings["preferred_batch_rows"])
    assert report["demand"]["units"] == 400
    assert all(cost["run_ms"] > 0 for cost in report["costs"])


@pytest.mark.parametrize("name", ["tiny-encoder", "list-ranker", "text-ranker"])
def test_every_kind_of_model_is_driven(name: str, tmp_path: Path) -> None:
    ended = podium("tune", TEST_MODELS / name / "1", *SLO, "--plot", tmp_path / "plot.svg")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert tomllib.loads(proposals(ended.stdout)[0])["batching"]["max_queue_rows"] > 0
    assert (tmp_path / "plot.svg").exists()


def test_where_nothing_meets_the_slo_it_says_what_helps(tmp_path: Path) -> None:
    # Each row costs the graph of this ranker some time, and there are many.
    ended = podium(
        "tune", TEST_MODELS / "slow-ranker" / "1", "--slo", "1ms", "--duration", "20ms", "--rows", "200000",
        "--plot", tmp_path / "plot.svg",
    )  # fmt: skip
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "[batching]" not in ended.stdout
    for word in ("99%", "1ms", "--slo", "--rows", "int8", "GPU"):
        assert word in ended.stderr, ended.stderr


def test_a_signal_ends_it_and_what_there_is_is_told(tmp_path: Path) -> None:
    plot = tmp_path / "plot.svg"
    command = [BINARY, "tune", TEST_MODELS / "tiny-ranker" / "1", "--slo", "5s", "--duration", "2s", "--plot", plot]
    process = subprocess.Popen(
        list(map(str, command)), env=environment(), cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            process.communicate(timeout=5)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert "stopped before" in out + err
    assert "panicked" not in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere/thing/1"], ["nowhere/thing/1", "model.toml"]),
        (["--slo", "0ms"], ["--slo", "1ms"]),
        (["--slo", "soon"], ["--slo"]),
        (["--rows", "0"], ["--rows"]),
        (["--plot", "nowhere/plot.svg"], ["--plot", "nowhere", "directory"]),
    ],
)
def test_a_wrong_argument_is_told_what_to_do(arguments: list[str], words: list[str]) -> None:
    if arguments[0].startswith("--"):
        arguments = [str(TEST_MODELS / "tiny-ranker" / "1"), *arguments]
    ended = podium("tune", *arguments)
    assert ended.returncode != 0
    for word in words:
        assert word in ended.stderr, ended.stderr
