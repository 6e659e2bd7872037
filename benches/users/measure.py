"""Measures what the user store costs: `scripts/bench-users --help` says more.

Every figure is of this run: a Redis of its own, servers started one after another, the settings in turn within each
repetition.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "python"))

import server as serving  # noqa: E402
from client import Client  # noqa: E402

SETTINGS = ("inline embedding", "in process", "local copy", "Redis")
ENCODER = "grocery-encoder"
SHAPE = (4, 64)


class Redis:
    """A redis-server of its own."""

    def __init__(self, folder: Path) -> None:
        """Starts it on a free port and waits until it answers."""
        self.port = serving.free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        command = ["redis-server", "--port", str(self.port), "--dir", str(folder), "--save", "", "--appendonly", "no"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        until = time.monotonic() + 10
        while self.ask("PING").strip() != "PONG":
            if time.monotonic() > until:
                raise SystemExit("redis-server does not answer")
            time.sleep(0.05)

    def ask(self, *words: str) -> str:
        """Returns what redis-cli prints."""
        command = ["redis-cli", "-p", str(self.port), *words]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout

    def info(self) -> dict[str, float]:
        """Returns the numbers of INFO, and the calls of each command."""
        numbers: dict[str, float] = {}
        for line in self.ask("INFO", "all").splitlines():
            name, _, value = line.partition(":")
            if name.startswith("cmdstat_"):
                numbers[name] = float(value.partition("calls=")[2].partition(",")[0])
                continue
            try:
                numbers[name] = float(value)
            except ValueError:
                continue
        return numbers

    def stop(self) -> None:
        """Ends it."""
        self.process.kill()
        self.process.wait()


def since(now: dict[str, float], then: dict[str, float], name: str) -> float:
    """Returns by how much a number has grown."""
    return now.get(name, 0.0) - then.get(name, 0.0)


def configuration(folder: Path, setting: str, redis: Redis) -> Path:
    """Writes the configuration of a setting."""
    lines = []
    if setting in ("Redis", "local copy"):
        lines = ["[users.redis]", f'url = "{redis.url}"']
        lines += ["local_bytes = 0"] if setting == "Redis" else []
    path = folder / f"{setting.replace(' ', '-')}.toml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def bench(setting: str, redis: Redis, folder: Path, args: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Measures one setting with `podium bench`; returns the figures by load, with Redis's own."""
    told = folder / "bench.json"
    inline = ["--inline-embedding"] if setting == "inline embedding" else []
    before = redis.info()
    ended = serving.podium(
        "bench", "--config", configuration(folder, setting, redis), "--candidates", "200", "--no-raw", "--repeat", "1",
        "--concurrency", "1,32", "--duration", args.duration, "--warmup", "1s", "--quiet", "2s", *inline,
        "--json", told, timeout=600,
    )  # fmt: skip
    if ended.returncode != 0:
        raise SystemExit(ended.stdout + ended.stderr)
    after = redis.info()
    points = json.loads(told.read_text(encoding="utf-8"))["points"]
    figures = {point["load"]: point["repetitions"][0]["figures"] for point in points}
    reads = since(after, before, "total_reads_processed")
    figures["redis"] = {
        "commands_a_write": since(after, before, "total_commands_processed") / reads if reads else 0.0,
    }
    return figures


def middle(values: list[float]) -> str:
    """Returns the median with the least and the most."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def compare(redis: Redis, folder: Path, args: argparse.Namespace) -> None:
    """Prints latency and CPU of each setting, and what it adds to an embedding in the request."""
    all_figures: dict[str, list[dict[str, dict[str, float]]]] = {setting: [] for setting in SETTINGS}
    for number in range(args.repeat):
        for setting in SETTINGS:
            print(f"repetition {number + 1} of {args.repeat}: {setting}", file=sys.stderr, flush=True)
            all_figures[setting].append(bench(setting, redis, folder, args))
    for load in ("1 caller", "32 callers"):
        print(f"\n## {load}\n")
        print(
            "| user's side | answers/s | p50 ms | p99 ms | p50 added, µs | p99 added, µs | CPU µs besides the model's |"
        )
        print("|---|---:|---:|---:|---:|---:|---:|")
        plain = [figures[load] for figures in all_figures["inline embedding"]]
        for setting in SETTINGS:
            own = [figures[load] for figures in all_figures[setting]]
            added = {
                name: [(a[name] - b[name]) * 1000 for a, b in zip(own, plain, strict=True)]
                for name in ("p50_ms", "p99_ms")
            }
            cells = [middle([figures[name] for figures in own]) for name in ("answers_per_s", "p50_ms", "p99_ms")]
            cells += [middle(added["p50_ms"]), middle(added["p99_ms"])]
            cells += [middle([figures["besides_cpu_us"] for figures in own])]
            print(f"| {setting} | {' | '.join(cells)} |")
    batched = [figures["redis"]["commands_a_write"] for figures in all_figures["Redis"]]
    print(f"\nCommands that Redis read at once, over the whole load of `Redis`: {middle(batched)}")


@contextmanager
def started(folder: Path, redis: Redis, **settings: str) -> Iterator[tuple[serving.Server, Client]]:
    """A server with that Redis, and a client of it."""
    variables = {f"PODIUM_USERS__REDIS__{name.upper()}": value for name, value in settings.items()}
    variables["PODIUM_USERS__REDIS__URL"] = redis.url
    with serving.Server(ROOT / "models", folder / "server.log", variables) as running:
        client = Client(running.address)
        yield running, client
        client.close()


def request(client: Client, user: str, candidates: int) -> dict[str, Any]:
    """Returns the fields of a Rank for a user: the bundled example's context and first candidates."""
    example = client.method("podium.v1.InfoService", "GetExample")(
        client.message("GetExampleRequest"), timeout=20
    ).request
    return {
        "user": {"id": user},
        "context": list(example.context),
        "candidates": {"ids": list(example.candidates.ids)[:candidates]},
    }


def household_ids() -> list[str]:
    """Returns the users whose histories the bundle ships."""
    with gzip.open(ROOT / "models" / ENCODER / "1" / "histories.csv.gz", "rt", encoding="utf-8") as rows:
        return sorted({row["user"] for row in csv.DictReader(rows)})


def round_trips(redis: Redis, folder: Path) -> None:
    """Counts at the server what a Rank asks for."""
    users = household_ids()
    with started(folder, redis, local_bytes="0") as (_, client):
        fields = request(client, users[0], 200)
        for user in users:
            client.rank(**fields | {"user": {"id": user}})
        time.sleep(0.5)
        rows = {info.name: info.run_counters.rows for info in client.info().models}
        before = redis.info()
        count = 5000
        for number in range(count):
            client.rank(**fields | {"user": {"id": users[number % len(users)]}})
        after = redis.info()
        rows_after = {info.name: info.run_counters.rows for info in client.info().models}
        reads = client.info().user_store.store_reads
    probes = since(after, before, "cmdstat_ping")
    packets = since(after, before, "total_reads_processed") - probes
    print(f"\n## Round trips, over {count} Ranks one after another\n")
    asked = {name: since(after, before, f"cmdstat_{name.lower()}") / count for name in ("HMGET", "GET")}
    print(f"HMGET {asked['HMGET']:.3f} and GET {asked['GET']:.3f} a Rank;")
    print(f"messages that Redis read, probes left out: {packets / count:.3f} a Rank.")
    runs = rows_after[ENCODER] - rows[ENCODER]
    print(f"Encoder runs: {runs} for {count} Ranks, after {rows[ENCODER]} for the first {len(users)};")
    print(f"{reads} records read.")


def memory(redis: Redis, folder: Path, count: int) -> None:
    """Measures what embeddings take in Redis and at hand."""
    redis.ask("FLUSHALL")
    draw = random.Random(1)
    length = SHAPE[0] * SHAPE[1]
    with started(folder, redis) as (running, client):
        empty = redis.info()["used_memory"]

        def batches() -> Iterator[Any]:
            for first in range(0, count, 500):
                embeddings = [
                    {"user_id": f"user-{number:08}", "values": [draw.uniform(-1, 1) for _ in range(length)]}
                    for number in range(first, min(first + 500, count))
                ]
                yield client.message(
                    "PutEmbeddingsRequest", encoder_name=ENCODER, encoder_version=1, embeddings=embeddings
                )

        begun = time.monotonic()
        stored = client.method("podium.v1.UserService", "PutEmbeddings")(batches(), timeout=600).stored
        seconds = time.monotonic() - begun
        in_redis = redis.info()["used_memory"] - empty
        fields = request(client, "", 1)
        for number in range(300):
            client.rank(**fields | {"user": {"id": f"nobody-{number}"}})
        resident = resident_bytes(running)
        calls = []
        for number in range(count):
            calls.append(client.rank_later(**fields | {"user": {"id": f"user-{number:08}"}}))
            if len(calls) == 64:
                for call in calls:
                    call.result()
                calls.clear()
        for call in calls:
            call.result()
        at_hand = resident_bytes(running) - resident
    print(f"\n## Memory of {count} embeddings of {length} float32, {4 * length} bytes each\n")
    print(f"Stored by PutEmbeddings: {stored} in {seconds:.1f} s, the client's drawing of numbers included.")
    print(f"In Redis: {in_redis / count:.0f} bytes each, {in_redis / count * 1e6 / 2**30:.2f} GiB a million.")
    print(
        f"At hand in the server: {at_hand / count:.0f} bytes each, {at_hand / count * 1e6 / 2**30:.2f} GiB a million."
    )


def resident_bytes(running: serving.Server) -> int:
    """Returns the resident memory of a server."""
    status = Path(f"/proc/{running.process.pid}/status").read_text(encoding="utf-8")
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


def halves(redis: Redis, folder: Path, count: int) -> None:
    """Measures what storing float16 does to the order."""
    redis.ask("FLUSHALL")
    overlaps, taus, moved = [], [], []
    with started(folder, redis, storage="f16", local_bytes="0") as (_, client):
        users = random.Random(1).sample(household_ids(), count)
        fields = request(client, users[0], 240)
        first = {user: client.rank(**fields | {"user": {"id": user}}) for user in users}
        time.sleep(1)
        for user in users:
            again = client.rank(**fields | {"user": {"id": user}})
            states = [client.enum_name("UserState", answer.user_state) for answer in (first[user], again)]
            assert states == ["USER_STATE_COMPUTED", "USER_STATE_CACHED"], states
            exact, rounded = ([item.id for item in answer.items] for answer in (first[user], again))
            overlaps.append(len(set(exact[:10]) & set(rounded[:10])) / 10)
            taus.append(kendall(exact, rounded))
            scores = {item.id: item.score for item in first[user].items}
            moved.append(max(abs(scores[item.id] - item.score) for item in again.items))
    print(f"\n## float16 beside float32, {count} households, 240 candidates each\n")
    print(f"Top-10 overlap: mean {statistics.mean(overlaps):.4f}, least {min(overlaps):.1f}.")
    print(f"Kendall's tau over all candidates: mean {statistics.mean(taus):.5f}, least {min(taus):.5f}.")
    print(f"Largest change of a score: {max(moved):.5f}.")


def kendall(a: list[str], b: list[str]) -> float:
    """Returns Kendall's tau of two orders of the same items."""
    place = {item: at for at, item in enumerate(b)}
    order = [place[item] for item in a]
    pairs = len(order) * (len(order) - 1) / 2
    discordant = sum(one > other for at, one in enumerate(order) for other in order[at + 1 :])
    return 1 - 2 * discordant / pairs


def main() -> None:
    """Measures what the arguments name and prints it."""
    parser = argparse.ArgumentParser(prog="scripts/bench-users", description=__doc__)
    parser.add_argument("--repeat", type=int, default=3, help="repetitions of the comparison")
    parser.add_argument("--duration", default="4s", help="how long each load is measured")
    parser.add_argument("--users", type=int, default=100_000, help="embeddings whose memory is measured")
    parser.add_argument("--households", type=int, default=500, help="households whose order is compared")
    parser.add_argument("--only", choices=("compare", "round-trips", "memory", "halves"), help="one part of it")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        redis = Redis(folder)
        try:
            if args.only in (None, "round-trips"):
                round_trips(redis, folder)
            if args.only in (None, "halves"):
                halves(redis, folder, args.households)
            if args.only in (None, "memory"):
                memory(redis, folder, args.users)
            if args.only in (None, "compare"):
                compare(redis, folder, args)
        finally:
            redis.stop()


if __name__ == "__main__":
    main()
