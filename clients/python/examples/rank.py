"""Orders some groceries for a household, and shows what a mistake looks like: `python rank.py HOST:PORT`."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime, timedelta

from podium_client import Client, Event, InvalidArgument, PodiumError, Ranking

MODEL = "grocery-ranker"
CANDIDATES = ["1082185", "995242", "1029743", "1106523", "1133018", "866227", "826249", "951590"]
DISCOUNTS = [0.0, 0.1, 0.0, 0.25, 0.0, 0.3, 0.0, 0.05]


def history() -> list[Event]:
    """Returns what the household bought, oldest first."""
    today = datetime.now(UTC)
    bought = [("1106523", 21), ("826249", 14), ("1106523", 7)]
    return [Event(item, today - timedelta(days=days)) for item, days in bought]


def show(ranking: Ranking, products: dict[str, str]) -> None:
    """Prints an order, and what it was made with."""
    print(f"{ranking.model_name} {ranking.model_version}, user {ranking.user_state.name}")
    for item in ranking.items:
        score = "not scored" if item.score is None else f"{item.score:.4f}"
        print(f"{item.rank:>4}  {score}  {item.id:>8}  {products[item.id]}")
    print(f"{ranking.timings.total_us / 1000:.1f} ms in the server, degraded: {list(ranking.degraded) or 'no'}")


def main() -> None:
    """Asks the server that the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address", nargs="?", default="127.0.0.1:50051")
    address = parser.parse_args().address
    with Client(address, caller="rank-example", deadline=2.0) as client:
        names = client.items(CANDIDATES, model=MODEL)["product"]
        ranking = client.rank(
            model=MODEL,
            candidates=CANDIDATES,
            columns={"discount": DISCOUNTS},
            context={"week": 45},
            history=history(),
            top_k=5,
        )
        show(ranking, dict(zip(CANDIDATES, names, strict=True)))

        print("\nThe same with two mistakes:")
        try:
            client.rank(model=MODEL, candidates=CANDIDATES, columns={"discount": [0.1]}, priority=9)
        except InvalidArgument as error:
            print(f"{type(error).__name__} {error.reason}")
            for violation in error.violations:
                print(f"  {violation.field}: {violation.description}")


if __name__ == "__main__":
    try:
        main()
    except PodiumError as error:
        raise SystemExit(f"error: {error}") from error
