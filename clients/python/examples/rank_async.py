"""Orders groceries for several households at once: `python rank_async.py HOST:PORT HOUSEHOLD...`."""

from __future__ import annotations

import asyncio
import sys

from podium_client import AsyncClient, PodiumError, Ranking

CANDIDATES = ["1082185", "995242", "1029743", "1106523", "1133018", "866227", "826249", "951590"]


async def main(address: str, households: list[str]) -> None:
    """Prints the three best items of each household, or why there are none."""
    async with AsyncClient(address, deadline=2.0) as client:

        async def ask(household: str) -> Ranking:
            return await client.rank(model="grocery-ranker", candidates=CANDIDATES, user=household, top_k=3)

        answers = await asyncio.gather(*map(ask, households), return_exceptions=True)
    for household, answer in zip(households, answers, strict=True):
        if isinstance(answer, Ranking):
            print(f"{household}: {', '.join(answer.ids)} ({answer.user_state.name})")
        elif isinstance(answer, PodiumError):
            print(f"{household}: {answer}")
        else:
            raise answer


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2:]))
