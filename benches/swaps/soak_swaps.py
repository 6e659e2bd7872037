"""Swaps the live version again and again under load, and tells what that costs: `scripts/soak-swaps --help` says more.

Two versions of a ranker, each with an encoder version of its own, take turns in being live; the other one is freed each
time. Every score is held, bit by bit, against the version that its answer names.

A second part tells what a swap does to the tail: requests are sent at a fixed rate, far below what the machine can do,
and a swap is made now and then.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "python"), str(ROOT / "tests" / "fixtures")]

import soak  # noqa: E402
from client import Client  # noqa: E402
from repository import Repository  # noqa: E402
from server import BINARY, Server  # noqa: E402

TOLD_EVERY = 10.0
AFTER = 5.0  # seconds from the beginning of a swap that count as its own


def percentile(values: list[float], share: float) -> float:
    """Returns the least value that so many of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)] if ordered else math.nan


def ms(values: list[float], share: float) -> str:
    """Returns a percentile in milliseconds."""
    return f"{percentile(values, share) * 1000:.2f}"


def counted(readings: Iterator[soak.Reading], count: int) -> Iterator[soak.Reading]:
    """Tells the progress of the swaps now and then."""
    begun = told = time.monotonic()
    for number, reading in enumerate(readings, start=1):
        now = time.monotonic()
        if now - told > TOLD_EVERY or number == count:
            told = now
            print(
                f"{number} of {count} swaps, {number / (now - begun):.2f} a second; {reading.rss_kib / 1024:.1f} MiB, "
                f"{reading.fds} file descriptors, {reading.threads} threads",
                file=sys.stderr, flush=True,
            )  # fmt: skip
        yield reading


def soak_swaps(repository: Repository, server: Server, client: Client, args: argparse.Namespace) -> bool:
    """Swaps under load and prints the table; says whether it was cut off."""
    readings: list[soak.Reading] = []
    cut_off = False
    begun = time.monotonic()
    with soak.load(server, args.callers) as told:
        try:
            for reading in counted(soak.swaps(repository, client, server, args.swaps), args.swaps):
                readings.append(reading)
        except KeyboardInterrupt:
            cut_off = True
    took = time.monotonic() - begun
    for error in told.errors[:5]:
        print(error, file=sys.stderr)
    print(f"\n## {len(readings)} swaps under {args.callers} callers{', cut off' if cut_off else ''}\n")
    if len(readings) < 2:
        print("too few to tell anything")
        return cut_off
    first, last = soak.parts(readings)
    rows = {
        "swaps": f"{len(readings)}, {len(readings) / took:.2f} a second",
        "requests": f"{len(told.answers)}, {len(told.answers) / took:.0f} a second",
        "errors, scores that are not those of the version named": str(len(told.errors)),
    }
    for name, of in {
        "resident memory, MiB": lambda reading: reading.rss_kib / 1024,
        "file descriptors": lambda reading: reading.fds,
        "threads": lambda reading: reading.threads,
    }.items():
        begin, end = (sum(map(of, some)) / len(some) for some in (first, last))
        rows[f"{name}: after a tenth, at the end (means), peak"] = (
            f"{begin:.1f}, {end:.1f}, {max(map(of, readings)):.1f}"
        )
    rows["growth of the mean resident memory since a tenth"] = f"{soak.growth(readings, soak.mean):+.2%}"
    rows["growth of the least resident memory since a tenth"] = f"{soak.growth(readings, soak.least):+.2%}"
    print("| | |\n|---|---|")
    for name, value in rows.items():
        print(f"| {name} | {value} |")
    return cut_off


def tail(repository: Repository, server: Server, client: Client, args: argparse.Namespace) -> None:
    """Measures the tail at a fixed rate with a swap now and then, and prints it."""
    swapped: list[float] = []
    begun = time.monotonic()
    with soak.open_loop(server, args.rate) as told:
        try:
            for number in range(args.tail_swaps + 1):
                print(f"tail: {number} of {args.tail_swaps} swaps", file=sys.stderr, flush=True)
                time.sleep(args.every - AFTER if number else args.steady)
                if number == args.tail_swaps:
                    break
                swapped.append(time.monotonic())
                soak.swap_to(repository, client, 2 - number % 2)
                time.sleep(max(0.0, swapped[-1] + AFTER - time.monotonic()))
        except KeyboardInterrupt:
            print("cut off", file=sys.stderr)
    of_a_swap = {due for due, _ in told.answers if any(0 <= due - at <= AFTER for at in swapped)}
    around = [took for due, took in told.answers if due in of_a_swap]
    warm = begun + min(5.0, args.steady / 2)
    before = [took for due, took in told.answers if swapped and warm <= due < swapped[0]]
    between = [took for due, took in told.answers if swapped and due > swapped[0] and due not in of_a_swap]
    print(f"\n## The tail at {args.rate:g} requests a second, {len(swapped)} swaps\n")
    print("| requests | count | p50 ms | p99 ms | p99.9 ms | longest ms |\n|---|---:|---:|---:|---:|---:|")
    for name, some in {
        "steady, before the first swap": before,
        f"in the {AFTER:g} s from the beginning of a swap": around,
        "between swaps": between,
    }.items():
        print(f"| {name} | {len(some)} | {ms(some, 0.5)} | {ms(some, 0.99)} | {ms(some, 0.999)} | {ms(some, 1)} |")
    ratio = percentile(around, 0.99) / percentile(before, 0.99)
    print(f"\np99 around swaps is {ratio:.2f} times the steady one. Errors: {len(told.errors)}.")


def arguments() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(prog="scripts/soak-swaps", description=__doc__.split("\n")[0])
    parser.add_argument("--swaps", type=int, default=1000, help="swaps of the first part (1000; 0 leaves it out)")
    parser.add_argument("--callers", type=int, default=2, help="callers of the first part (2)")
    parser.add_argument("--model-mib", type=float, default=8, help="size of a ranker's weights in MiB (8)")
    parser.add_argument("--rate", type=float, default=50, help="requests a second of the second part (50)")
    parser.add_argument("--steady", type=float, default=60, help="seconds of it before the first swap (60)")
    parser.add_argument("--tail-swaps", type=int, default=12, help="swaps of the second part (12; 0 leaves it out)")
    parser.add_argument("--every", type=float, default=10, help="seconds from swap to swap in it, more than 5 (10)")
    return parser.parse_args()


def main() -> None:
    """Runs both parts, each with a server of its own."""
    args = arguments()
    print(f"{BINARY}, {args.model_mib:g} MiB a ranker")
    for part, wanted in ((soak_swaps, args.swaps), (tail, args.tail_swaps)):
        if wanted == 0:
            continue
        with tempfile.TemporaryDirectory() as folder:
            repository = Repository(Path(folder))
            soak.publish(repository, int(args.model_mib * (1 << 20)))
            settings = {"PODIUM_MODELS__POLL_INTERVAL": "100ms"}
            with Server(repository.path, Path(folder) / "log", settings) as server:
                client = Client(server.address)
                cut_off = part(repository, server, client, args)
                client.close()
        if cut_off:
            break


if __name__ == "__main__":
    main()
