"""`scripts/watch-traces` receives what a server sends, prints it as a tree, and draws it."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.error
import urllib.request
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest

from client import Client
from server import ROOT, TEST_MODELS, Server, environment, free_port

SCRIPT = ROOT / "scripts" / "watch-traces"
PATIENCE = 30.0


class Watching:
    """A running `watch-traces`."""

    def __init__(self, folder: Path) -> None:
        """Starts it, and waits until it listens."""
        self.address = f"127.0.0.1:{free_port()}"
        self.picture, self.log = folder / "trace.svg", folder / "watch.log"
        command = [sys.executable, "-u", str(SCRIPT), "--listen", self.address, "--picture", str(self.picture)]
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=output)
        self.wait_for("start a server with")

    def output(self) -> str:
        """Returns what it has printed so far."""
        return self.log.read_text(encoding="utf-8")

    def wait_for(self, words: str) -> str:
        """Waits until it has printed the words; returns all that it has printed."""
        give_up = time.monotonic() + PATIENCE
        while words not in self.output():
            assert self.process.poll() is None, self.output()
            assert time.monotonic() < give_up, f"no `{words}` in {self.output()}"
            time.sleep(0.05)
        return self.output()

    def variables(self) -> dict[str, str]:
        """Returns the variables that it says a server has to be started with."""
        line = next(line for line in self.output().splitlines() if line.startswith("start a server with"))
        return dict(word.split("=", 1) for word in line.split() if "=" in word)


@pytest.fixture
def watching(tmp_path: Path) -> Iterator[Watching]:
    """One that runs until the test ends."""
    running = Watching(tmp_path)
    yield running
    running.process.kill()
    running.process.wait()


def test_a_request_is_printed_as_a_tree_and_drawn(watching: Watching, log: Path) -> None:
    with Server(TEST_MODELS, log, watching.variables()) as server:
        caller = Client(server.address)
        columns = [{"name": "price", "floats": {"values": [1.0, 2.0]}}]
        caller.rank(
            model={"name": "tiny-ranker"}, user={"id": "anna"},
            candidates={"ids": ["item-01", "item-02"], "columns": columns},
        )  # fmt: skip
        printed = watching.wait_for("    select ")
        caller.close()
    for name in (
        "RankService/Rank",
        "    user_store.read ",
        "    encode ",
        "    features ",
        "    queue ",
        "    batch ",
    ):
        assert name in printed, printed
    assert "2 candidates" in printed
    assert "= batch " in printed, "the link to the batch's own span"
    assert "anna" not in printed
    picture = ET.fromstring(watching.picture.read_text(encoding="utf-8"))
    texts = ["".join(text.itertext()) for text in picture.iter("{http://www.w3.org/2000/svg}text")]
    for name in ("Rank", "queue", "batch", "a trace of its own"):
        assert name in texts, texts


def test_what_is_no_message_is_refused(watching: Watching) -> None:
    for body in (b"\x0a\xff", b"\x0f", b"\x0a\x03\x12\x01"):
        request = urllib.request.Request(f"http://{watching.address}/v1/traces", body, method="POST")
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=10)
        assert refused.value.code == 400
    assert "a message that is no OTLP" in watching.output()


def test_it_ends_with_the_command_that_it_is_given(tmp_path: Path) -> None:
    shown = "echo $OTEL_EXPORTER_OTLP_PROTOCOL $OTEL_TRACES_SAMPLER; exit 3"
    ended = subprocess.run(
        [sys.executable, str(SCRIPT), "--listen", "127.0.0.1:0", "sh", "-c", shown],
        cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert ended.returncode == 3, ended.stderr
    assert "http/protobuf always_on" in ended.stdout


def test_a_file_that_is_no_message_is_told_of(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.pb"
    wrong.write_bytes(b"\x0a\xff")
    ended = subprocess.run(
        [sys.executable, str(SCRIPT), "--draw", str(wrong)],
        cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert ended.returncode == 1
    assert "cut off" in ended.stderr
