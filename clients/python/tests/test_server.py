"""Both clients against a real server."""

from __future__ import annotations

import asyncio
import shutil
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import grpc
import numpy as np
import pytest

import podium_client
from podium_client import (
    AsyncClient,
    Client,
    DeadlineExceeded,
    DegradedReason,
    EmbeddingState,
    Event,
    InvalidArgument,
    NotFound,
    PodiumError,
    RankArguments,
    Ranking,
    RetryBudget,
    RetryPolicy,
    Unimplemented,
    UserEmbedding,
    UserEvent,
    UserState,
    raw,
)
from server import TEST_MODELS, Server, podium

IDS = ["item-03", "item-07", "item-11", "item-20", "item-49"]
START = 1_700_000_000
LAST = datetime.fromtimestamp(START + 60, UTC)


def tiny(**more: Any) -> RankArguments:
    """Returns what to ask of the tiny ranker."""
    columns = {"price": [1.0, 2.0, 3.0, 4.0, 5.0]}
    return cast("RankArguments", {"model": "tiny-ranker", "candidates": IDS, "columns": columns} | more)


def slow(rounds: int) -> RankArguments:
    """Returns what takes the slow ranker so many rounds."""
    return {
        "model": "slow-ranker",
        "candidates": ["a", "b"],
        "columns": {"price": [1.0, 2.0]},
        "context": {"rounds": rounds},
    }


def rounds_for(client: Client, seconds: float) -> int:
    """Measures this machine and returns the rounds that take about so long."""
    rounds, took = 2_000, 0.0
    while took < 0.1:
        rounds *= 4
        took = client.rank(**slow(rounds)).timings.run_us / 1e6
    return int(rounds * seconds / took)


def until(happened: Callable[[], bool]) -> None:
    """Waits until something has happened."""
    give_up = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < give_up
        time.sleep(0.02)


def gist(ranking: Ranking) -> Any:
    """Returns what does not change from one call to the next."""
    scores = [(item.id, item.index, item.rank, item.score, item.outputs) for item in ranking.items]
    return ranking.request_id, ranking.model_name, ranking.model_version, ranking.user_state, scores


@pytest.mark.parametrize(
    "arguments",
    [
        tiny(request_id="plain"),
        tiny(request_id="top", top_k=2, prior_scores=[0.1, 0.2, 0.3, 0.4, 0.5], priority=1, allow_partial=True),
        tiny(request_id="history", history=[Event("item-03", START), Event("item-07", LAST)], context={"hour": 9.5}),
        tiny(request_id="embedding", embedding=np.array([0.1, 0.2, 0.3, 0.4], np.float32), version=1),
        {
            "request_id": "vectors", "model": "vector-ranker", "candidates": np.array(["sku-0", "sku-1"]),
            "columns": {"features": np.linspace(0, 1, 16).reshape(2, 8)},
        },
    ],
)  # fmt: skip
def test_both_clients_say_the_same(server: Server, client: Client, arguments: RankArguments) -> None:
    async def ask() -> Ranking:
        async with AsyncClient(server.address, deadline=20.0) as other:
            return await other.rank(**arguments)

    ranking = client.rank(**arguments)
    assert gist(ranking) == gist(asyncio.run(ask()))
    assert [item.rank for item in ranking.items] == list(range(1, len(ranking.items) + 1))
    assert sorted(ranking.items, key=lambda item: -(item.score or 0)) == list(ranking.items)
    assert ranking.timings.total_us > 0
    assert ranking.timings.batch is not None


def test_an_order_tells_what_it_was_made_with(client: Client) -> None:
    ranking = client.rank(**tiny(candidates=[*IDS[:4], "unknown"], history=[Event("item-03", START)]))
    assert (ranking.model_name, ranking.model_version, ranking.encoder_version) == ("tiny-ranker", 2, 1)
    assert ranking.user_state is UserState.INLINE
    assert (ranking.degraded, ranking.missing_items) == ((DegradedReason.ITEMS_MISSING,), ("unknown",))
    assert set(ranking.items[0].outputs) == {"margin"}
    assert len(ranking.ids) == 5


def test_a_faulty_request_names_every_faulty_field(client: Client) -> None:
    with pytest.raises(InvalidArgument) as caught:
        client.rank(**tiny(candidates=["a", "", "a"], columns={"price": [1.0]}, priority=9, request_id="r"))
    fields = {violation.field for violation in caught.value.violations}
    assert {"candidates.ids[1]", "candidates.ids[2]", "priority"} <= fields
    assert (caught.value.reason, caught.value.request_id, caught.value.attempts) == ("INVALID_FIELD", "r", 1)


def test_what_is_not_there_is_named(client: Client) -> None:
    with pytest.raises(NotFound) as caught:
        client.rank(candidates=["a"], model="tiny-ranker", label="nowhere")
    assert (caught.value.reason, caught.value.resource) == ("MODEL_NOT_FOUND", "tiny-ranker/nowhere")
    with pytest.raises(NotFound) as caught:
        client.rank(**tiny(user="nobody", require_user_state=True))
    assert caught.value.reason == "USER_UNKNOWN"


def test_an_answer_that_takes_too_long_is_not_waited_for(server: Server, client: Client) -> None:
    arguments = slow(rounds_for(client, 2.0))

    async def ask() -> Ranking:
        async with AsyncClient(server.address, deadline=0.3) as other:
            return await other.rank(**arguments)

    calls: list[Callable[[], Ranking]] = [lambda: client.rank(**arguments, deadline=0.3), lambda: asyncio.run(ask())]
    for call in calls:
        started = time.monotonic()
        with pytest.raises(DeadlineExceeded) as caught:
            call()
        assert 0.2 < time.monotonic() - started < 1.7
        assert caught.value.attempts == 1


def stream_requests() -> list[RankArguments]:
    """Returns requests of a stream, one of which is faulty."""
    return [tiny(request_id="good"), tiny(request_id="bad", priority=9), tiny(request_id="better", top_k=1)]


def check_stream(answers: list[Ranking | PodiumError]) -> None:
    """Holds the answers against the requests."""
    by_id = {answer.request_id: answer for answer in answers}
    good, bad, better = by_id["good"], by_id["bad"], by_id["better"]
    assert len(answers) == 3
    assert isinstance(good, Ranking)
    assert isinstance(better, Ranking)
    assert (len(good.items), better.ids) == (5, good.ids[:1])
    assert isinstance(bad, InvalidArgument)
    assert [violation.field for violation in bad.violations] == ["priority"]


def test_a_stream_answers_each_request(server: Server, client: Client) -> None:
    check_stream(list(client.rank_stream(stream_requests())))

    async def slowly() -> AsyncIterator[RankArguments]:
        for request in stream_requests():
            await asyncio.sleep(0.01)
            yield request

    async def ask() -> None:
        async with AsyncClient(server.address, deadline=20.0) as other:
            check_stream([answer async for answer in other.rank_stream(stream_requests())])
            check_stream([answer async for answer in other.rank_stream(slowly())])

    asyncio.run(ask())


def test_a_request_of_a_stream_that_cannot_be_sent_is_raised(server: Server, client: Client) -> None:
    def requests() -> Iterator[RankArguments]:
        yield tiny(request_id="good")
        yield tiny(candidates=[7])

    answers = client.rank_stream(requests())
    assert next(answers).request_id == "good"
    with pytest.raises(TypeError, match=r"candidates\[0\]"):
        next(answers)

    async def ask() -> None:
        async with AsyncClient(server.address, deadline=20.0) as other:
            later = other.rank_stream(requests())
            assert (await anext(later)).request_id == "good"
            with pytest.raises(TypeError, match=r"candidates\[0\]"):
                await anext(later)

    asyncio.run(ask())


def test_a_stream_that_nobody_answers_raises() -> None:
    with Client("127.0.0.1:1") as nowhere, pytest.raises(podium_client.Unavailable):
        list(nowhere.rank_stream(stream_requests()))


def test_what_is_recorded_counts_once_and_is_known(client: Client) -> None:
    events = [UserEvent("py", "item-03", START), UserEvent("py", "item-07", LAST)]
    first = client.record_events(events, request_id="r")
    assert (first.request_id, first.recorded, first.duplicates) == ("r", 2, 0)
    again = client.record_events(events)
    assert (again.recorded, again.duplicates) == (0, 2)
    known = client.get_user("py", model="tiny-ranker")
    assert (known.history_length, known.recorded_events, known.last_event_time) == (2, 2, LAST)
    assert known.state is UserState.COMPUTED
    assert client.rank(**tiny(user="py")).user_state is UserState.COMPUTED
    assert client.rank(**tiny(user="py")).user_state is UserState.CACHED
    erased = client.delete_user("py")
    assert (erased.events, erased.shipped_history_hidden) == (2, False)
    nobody = client.get_user("py", model="tiny-ranker")
    assert (nobody.state, nobody.last_event_time) == (UserState.DEFAULT, None)


def test_an_imported_event_is_the_one_that_is_recorded(server: Server, client: Client, tmp_path: Path) -> None:
    rows = tmp_path / "events.csv"
    rows.write_text(f"user,item,time,kind\nimported,item-03,{START},\nimported,item-07,{START + 60},view\n", "utf-8")
    podium("users", "import", rows, "--target", f"http://{server.address}").check_returncode()
    kind = podium_client.EventKind.VIEW
    events = [UserEvent("imported", "item-03", START + 0.5), UserEvent("imported", "item-07", LAST, kind)]
    assert client.record_events(events).duplicates == 2


def test_embeddings_are_stored_and_computed(server: Server, client: Client) -> None:
    vectors = [UserEmbedding(f"put-{number}", np.full(4, 0.5)) for number in range(300)]
    assert client.put_embeddings(vectors, encoder="tiny-encoder") == 300
    assert client.rank(**tiny(user="put-299")).user_state is UserState.CACHED
    client.record_events([UserEvent("warm", "item-03", START)])
    progress = list(client.warm_users(users=["warm", "nobody"], model="tiny-ranker"))[-1]
    assert (progress.done, progress.computed, progress.unknown) == (2, 1, 1)

    async def ask() -> None:
        async with AsyncClient(server.address, deadline=20.0) as other:
            assert await other.put_embeddings(vectors[:1], encoder="tiny-encoder", version=1) == 1
            progress = [one async for one in other.warm_users(users=["warm"], model="tiny-ranker")]
            assert progress[-1].fresh == 1
            (stored,) = (await other.get_user("warm", model="tiny-ranker")).embeddings[-1:]
            assert (stored.encoder_name, stored.state) == ("tiny-encoder", EmbeddingState.FRESH)
            assert (await other.record_events([UserEvent("warm", "item-03", START)])).duplicates == 1
            assert (await other.delete_user("warm")).events == 1

    asyncio.run(ask())


def test_the_server_tells_what_it_takes(server: Server, client: Client) -> None:
    info = client.server_info()
    assert info.limits.max_candidates == 20_000
    (model,) = [one for one in info.models if one.name == "tiny-ranker" and one.live]
    assert (model.version, model.outputs, model.state.name) == (2, ("click", "margin"), "READY")
    price = next(feature for feature in model.features if feature.name == "price")
    assert (price.scope.name, price.type, price.required) == ("CANDIDATE", "float", True)

    async def ask() -> Any:
        async with AsyncClient(server.address, deadline=20.0) as other:
            return await other.server_info(), await other.items(["item-00", "item-?"], model="tiny-ranker")

    other, items = asyncio.run(ask())
    assert other.models == info.models
    assert items == client.items(["item-00", "item-?"], model="tiny-ranker")
    assert items["department"] == ("dairy", "")


def test_raw_stubs_reach_the_rest(server: Server, client: Client) -> None:
    request = raw.model_pb2.ListModelsRequest(name="tiny-ranker")
    with Client(f"127.0.0.1:{server.admin_port}") as admin:
        answer = raw.ModelServiceStub(admin.channel).ListModels(request, timeout=20)
    assert [model.name for model in answer.models] == ["tiny-ranker"]
    with pytest.raises(grpc.RpcError) as caught:
        raw.ModelServiceStub(client.channel).ListModels(request, timeout=20)
    assert isinstance(podium_client.call_error(caught.value), Unimplemented)


def test_calls_go_on_while_a_server_is_replaced(log: Path, tmp_path: Path) -> None:
    shutil.copytree(TEST_MODELS / "nan-ranker", tmp_path / "models" / "nan-ranker")
    stopped, answers = threading.Event(), []
    policy = RetryPolicy(attempts=100, max_backoff=0.2)
    with Server(tmp_path / "models", log) as first:
        client = Client(first.address, deadline=20.0, retries=policy, budget=RetryBudget(burst=1_000))

        def ask() -> None:
            while not stopped.is_set():
                answers.append(client.rank(model="nan-ranker", candidates=["a"], columns={"price": [1.0]}).ids)

        asking = threading.Thread(target=ask)
        asking.start()
        until(lambda: bool(answers))
        first.terminate()
        assert first.wait() == 0, first.output()
        before = len(answers)
        with Server(tmp_path / "models", log, port=first.port):
            until(lambda: len(answers) >= before + 20 or not asking.is_alive())
            stopped.set()
            asking.join()
        client.close()
    assert len(answers) >= before + 20
