"""Measures Podium beside a plain Python server and Triton, on the same rows: `scripts/bench-peers --help` says more.

Each round starts every server anew and runs `podium bench --against …` once, which asks all of them in turns. So each
ratio is of one moment of one machine; what is printed are the medians of all rounds, with the least and the most.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "tests" / "python"))

import server as serving  # noqa: E402

PEERS_PYTHON = ROOT / "target" / "peers-venv" / "bin" / "python"
START_SECONDS = 180
Figures = dict[str, float]


@dataclass(frozen=True)
class Model:
    """What is measured: bundles, the ranker among them, and the candidates of a request."""

    folder: Path
    bundles: tuple[str, ...]
    candidates: int
    callers: str
    raw_batch: str
    slo_ms: int
    """The latency after which an answer of an open loop is of no use."""
    caps: tuple[int, int] = (8, 64)
    """Rows that Triton joins at most, in two settings: either alone would be unfair."""


MODELS = {
    "mlp": Model(ROOT / "target" / "bench-models", ("tiny-mlp",), 1, "1,8,32,64", "1,8,64", 100),
    "minilm": Model(ROOT / "target" / "bench-models", ("minilm-l6",), 1, "1,8,32,64", "1,8", 500),
    "grocery": Model(ROOT / "models", ("grocery-ranker", "grocery-encoder"), 200, "1,8,32", "200", 200, (200, 1600)),
}


@contextlib.contextmanager
def started(name: str, command: list[str | Path], port: int, log: Path) -> Iterator[int]:
    """Starts a server, waits until it takes connections, and ends it; gives its process."""
    with log.open("ab") as out:
        process = subprocess.Popen(
            [str(word) for word in command], stdout=out, stderr=out, cwd=ROOT, env=serving.environment()
        )
        try:
            wait_until_ready(name, process, port, log)
            yield process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(30)
            process.kill()
            process.wait()


def wait_until_ready(name: str, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Waits until the port takes gRPC connections."""
    until = time.monotonic() + START_SECONDS
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        ready = grpc.channel_ready_future(channel)
        while time.monotonic() < until:
            if process.poll() is not None:
                raise SystemExit(f"{name} ended while it was started:\n{log.read_text()[-2000:]}")
            with contextlib.suppress(grpc.FutureTimeoutError):
                return ready.result(timeout=0.5)
    raise SystemExit(f"{name} does not take connections after {START_SECONDS} s:\n{log.read_text()[-2000:]}")


def graph_of(name: str, model: Model, folder: Path) -> Path:
    """Writes the graph that the others serve: the ranker's, where it has a users' side with a user for each row."""
    graph = folder / "graphs" / model.bundles[0] / "model.onnx"
    graph.parent.mkdir(parents=True)
    bundle = model.folder / model.bundles[0] / "1"
    if name == "grocery":
        subprocess.run([PEERS_PYTHON, HERE / "repeated.py", bundle, graph], check=True, cwd=ROOT)
    else:
        shutil.copy(bundle / "model.onnx", graph)
    return graph


def measured(
    model: Model, graph: Path, folder: Path, number: int, args: argparse.Namespace
) -> dict[tuple[str, str], Figures]:
    """Starts all servers, measures once, and gives the figures by load and server."""
    name, models = model.bundles[0], folder / "models"
    tensors, plain, triton = (serving.free_port() for _ in range(3))
    peers = {"podium by tensors": ("oip", f"127.0.0.1:{tensors}"), "python": ("oip", f"127.0.0.1:{plain}/{name}")}
    peers |= {f"triton, cap {cap}": ("triton", f"127.0.0.1:{triton}/{name}-{cap}") for cap in model.caps}
    own: list[str | Path] = [serving.BINARY, "serve", "--models", models, "--listen", f"127.0.0.1:{tensors}"]
    commands: list[tuple[str, int, list[str | Path]]] = [
        ("podium", tensors, [*own, "--admin-listen", f"127.0.0.1:{serving.free_port()}"]),
        (
            "python",
            plain,
            [PEERS_PYTHON, HERE / "python_server.py", graph, "--port", str(plain), "--max-batch", str(model.caps[1])],
        ),
        (
            "triton",
            triton,
            [
                PEERS_PYTHON,
                HERE / "triton.py",
                graph,
                "--port",
                str(triton),
                "--batches",
                ",".join(map(str, model.caps)),
            ],
        ),
    ]
    report = folder / "bench.json"
    against = [word for kind, address in peers.values() for word in ("--against", kind, address)]
    with contextlib.ExitStack() as stack:
        for title, port, command in commands:
            stack.enter_context(started(title, command, port, folder / f"{title}.log"))
        ended = serving.podium(
            "bench", "--models", models, "--model", name, "--candidates", str(model.candidates), "--repeat", "1",
            "--concurrency", model.callers, "--rate", args.rate, "--duration", args.duration, "--warmup", "700ms",
            "--raw-batch", model.raw_batch, "--raw-duration", "500ms", *against,
            "--seed", str(number), "--deadline-ms", "2000", "--slo-ms", str(model.slo_ms), "--json", report,
            timeout=1800,
        )  # fmt: skip
    if ended.returncode != 0:
        raise SystemExit(ended.stdout + ended.stderr)
    shown = {f"{kind} {address}": title for title, (kind, address) in peers.items()}
    points: list[dict[str, Any]] = json.loads(report.read_text(encoding="utf-8"))["points"]
    return {
        (point["load"], shown.get(point["peer"], "podium")): point["repetitions"][0]["figures"]
        for point in points
        if point["repetitions"]
    }


def middle(values: list[float], places: int = 2) -> str:
    """Returns the median with the least and the most."""
    if not values:
        return ""
    return f"{statistics.median(values):.{places}f} ({min(values):.{places}f} to {max(values):.{places}f})"


def over_raw(figures: Figures) -> float | None:
    """Returns answers a second over the best of raw ONNX Runtime: of one session for a lone caller."""
    return figures.get("ratio_single", figures.get("ratio_best"))


def show(name: str, model: Model, rounds: list[dict[tuple[str, str], Figures]]) -> None:
    """Prints the rates, the latencies and what of them is Podium's over the others'."""
    loads = list(dict.fromkeys(load for load, _ in rounds[0]))
    servers = list(dict.fromkeys(server for _, server in rounds[0]))
    print(f"\n{name}, {model.candidates} candidate(s) a request, medians of {len(rounds)} starts (least to most)\n")
    print(f"| load | server | answers/s | p50 ms | p99 ms | within {model.slo_ms} ms, % | rows a run", end="")
    print(" | Podium / it | its p99 / Podium's |\n|---|---|---:|---:|---:|---:|---:|---:|---:|")
    for load in loads:
        for server in servers:
            found = [one[load, server] for one in rounds if (load, server) in one]

            def of(figure: str, places: int = 2, found: list[Figures] = found) -> str:
                return middle([one[figure] for one in found if figure in one], places)

            cells = [of("answers_per_s", 0), of("p50_ms"), of("p99_ms"), of("within_percent", 1)]
            cells += [of("batch_rows", 1), of("podium_over"), of("p99_over_podium")]
            print(f"| {load} | {server} | {' | '.join(cells)} |")
    print("\n| load | Podium / raw | by tensors / raw |\n|---|---:|---:|")
    for load in loads:
        if "arriving" in load:
            continue
        own = [ratio for one in rounds if (ratio := over_raw(one[load, "podium"])) is not None]
        tensors = [
            ratio / one[load, "podium by tensors"]["podium_over"]
            for one in rounds
            if (ratio := over_raw(one[load, "podium"])) is not None
        ]
        print(f"| {load} | {middle(own)} | {middle(tensors)} |")
    sys.stdout.flush()


def measure(name: str, args: argparse.Namespace) -> None:
    """Measures one model in all rounds; what came before Ctrl-C is shown all the same."""
    model, rounds = MODELS[name], list[dict[tuple[str, str], Figures]]()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for bundle in model.bundles:
            shutil.copytree(model.folder / bundle, folder / "models" / bundle)
        graph = graph_of(name, model, folder)
        try:
            for number in range(args.rounds):
                rounds.append(measured(model, graph, folder, number, args))
                print(f"{name}: round {number + 1} of {args.rounds}", file=sys.stderr)
        except KeyboardInterrupt:
            args.models = ""
    if rounds:
        show(name, model, rounds)
        if args.json:
            keyed = [{f"{load}, {server}": figures for (load, server), figures in one.items()} for one in rounds]
            path = args.json / f"{name}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(keyed, indent=1), encoding="utf-8")


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description="Podium by Rank and by tensors beside a plain Python server and Triton Inference Server (python"
        " backend with ONNX Runtime and its dynamic batcher, capped at 8 and at 64 rows), on this machine."
    )
    parser.add_argument("--models", default="mlp,minilm,grocery", help="of mlp, minilm, grocery")
    parser.add_argument("--rounds", type=int, default=5, help="starts of every server")
    parser.add_argument("--rate", default="50%,70%,90%", help="open loops, as shares of Podium's best closed loop")
    parser.add_argument("--duration", default="3s", help="how long each load is measured at each server")
    parser.add_argument("--json", type=Path, help="folder for all figures")
    args = parser.parse_args()
    for name in args.models.split(","):
        if name not in MODELS:
            parser.error(f"--models {name}: there are {', '.join(MODELS)}")
        if args.models:
            measure(name, args)


if __name__ == "__main__":
    main()
