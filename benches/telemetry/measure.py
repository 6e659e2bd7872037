"""Measures what tracing costs: `scripts/bench-telemetry --help` says more.

Every figure is of this run: the settings take turns within each round, each with a start of its own, and are compared
with the server that sends nothing within the same round.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "python"))

import server as serving  # noqa: E402

SETTINGS = ("off", "1%", "100%", "dead collector")
MODELS = {
    "mlp": (ROOT / "target" / "bench-models", ["tiny-mlp"], "64", "1"),
    "grocery": (ROOT / "models", ["grocery-ranker", "grocery-encoder"], "32", "200"),
}


class Sink(BaseHTTPRequestHandler):
    """Takes what is sent and throws it away."""

    protocol_version = "HTTP/1.1"
    messages = 0
    octets = 0

    def do_POST(self) -> None:
        """Reads a message and takes it."""
        octets = len(self.rfile.read(int(self.headers["content-length"])))
        Sink.messages, Sink.octets = Sink.messages + 1, Sink.octets + octets
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


def configuration(folder: Path, setting: str, sink: str) -> Path:
    """Writes the configuration of a setting."""
    lines = ["[telemetry]"]
    if setting != "off":
        endpoint = f"http://127.0.0.1:{serving.free_port()}" if setting == "dead collector" else sink
        ratio = 0.01 if setting == "1%" else 1.0
        lines += [f'otlp_endpoint = "{endpoint}"', 'otlp_protocol = "http/protobuf"', f"traces.ratio = {ratio}"]
    path = folder / f"{setting.replace(' ', '-').replace('%', '')}.toml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def bench(model: str, setting: str, folder: Path, sink: str, args: argparse.Namespace) -> dict[str, float]:
    """Measures one setting with `podium bench`; returns its figures."""
    _, names, callers, candidates = MODELS[model]
    told = folder / "bench.json"
    ended = serving.podium(
        "bench", "--config", configuration(folder, setting, sink), "--models", folder / model, "--model", names[0],
        "--concurrency", callers, "--duration", args.duration, "--warmup", "2s", "--repeat", "1", "--no-raw",
        "--quiet", "2s", "--candidates", candidates, "--json", told, timeout=600,
    )  # fmt: skip
    if ended.returncode != 0:
        raise SystemExit(ended.stdout + ended.stderr)
    figures: dict[str, float] = json.loads(told.read_text(encoding="utf-8"))["points"][0]["repetitions"][0]["figures"]
    return figures


def processor_time(figures: dict[str, float]) -> float:
    """Returns what server and callers take for a request: its inverse is the rate that they would have alone."""
    return figures["server_cpu_us"] + figures["generator_cpu_us"]


def middle(values: list[float]) -> str:
    """Returns the median with the least and the most."""
    return f"{statistics.median(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def compare(model: str, folder: Path, sink: str, args: argparse.Namespace) -> None:
    """Prints the throughput of each setting beside that of the server that sends nothing."""
    for name in MODELS[model][1]:
        shutil.copytree(MODELS[model][0] / name, folder / model / name)
    rounds: list[dict[str, dict[str, float]]] = []
    for number in range(args.rounds):
        order = SETTINGS[number % len(SETTINGS) :] + SETTINGS[: number % len(SETTINGS)]
        rounds.append({setting: bench(model, setting, folder, sink, args) for setting in order})
        print(f"{model}: round {number + 1} of {args.rounds}", file=sys.stderr)
    print(f"\n{model}, {MODELS[model][2]} callers, medians of {args.rounds} rounds (least to most)")
    print("| tracing | requests/s | over off | processor time, us a request | off's over it |")
    print("|---|---:|---:|---:|---:|")
    for setting in SETTINGS:
        rates = [one[setting]["answers_per_s"] for one in rounds]
        ratios = [one[setting]["answers_per_s"] / one["off"]["answers_per_s"] for one in rounds]
        times = [processor_time(one[setting]) for one in rounds]
        spared = [processor_time(one["off"]) / processor_time(one[setting]) for one in rounds]
        time = statistics.median(times)
        print(f"| {setting} | {statistics.median(rates):.0f} | {middle(ratios)} | {time:.1f} | {middle(spared)} |")


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description="Throughput with tracing over without: 1% and 100% of the requests drawn, by OTLP/HTTP to a"
        " receiver on the same machine that throws them away, and 100% drawn for a collector that is not there."
    )
    parser.add_argument("--models", default="mlp,grocery", help="of mlp, grocery")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--duration", default="6s", help="how long each load is measured")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        receiver = ThreadingHTTPServer(("127.0.0.1", 0), Sink)
        threading.Thread(target=receiver.serve_forever, daemon=True).start()
        sink = f"http://127.0.0.1:{receiver.server_port}"
        for model in args.models.split(","):
            compare(model, Path(folder), sink, args)
        print(f"\nthe receiver took {Sink.messages} messages, {Sink.octets / 1e6:.1f} MB")
        receiver.shutdown()


if __name__ == "__main__":
    main()
