"""`/metrics`: exactly what is documented, true to what was sent, and bounded whatever is sent."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import grpc
import pytest

import swap
import tiny
from client import Client, refusal
from expected import TinyRequest, tiny_request
from metrics_page import OF_A_HISTOGRAM, PROMTOOL, Documented, Page, documented, fetch, needs_promtool, plain, scrape
from repository import Repository, until
from server import TEST_MODELS, Server
from test_hot_swap import PRICES, QUICK, answers_with

RANKS = 200
CALLERS = 100
MOST_CALLERS = 32
MODEL = "tiny-ranker"
REQUESTS = "podium_request_duration_seconds_count"
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
ASKED = tiny_request(TinyRequest(ids=tiny.ITEMS[:3], prices=[3, 1, 2]), 1)
CANDIDATES = ASKED["candidates"]
STARTED: list[Page] = []


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that has answered two hundred requests, and refused some."""
    with Server(TEST_MODELS, tmp_path_factory.mktemp("metrics") / "log") as server:
        client = Client(server.address)
        # A version is rehearsed with its bundle's requests before it serves.
        STARTED.append(scrape(server))
        for number in range(RANKS):
            rank = client.rank(caller=f"shop-{number % 2}", user={"id": "somebody"}, **ASKED)
            assert len(rank.items) == 3
        refusal(lambda: client.rank(caller="shop-0", **(ASKED | {"candidates": {"ids": ["a", "a"]}})))
        refusal(lambda: client.rank(model={"name": "no-such-model"}, candidates=CANDIDATES))
        client.info()
        yield server
        client.close()


def test_what_was_sent_is_what_is_counted(loaded: Server) -> None:
    page = scrape(loaded)
    assert page.total(REQUESTS, code="OK") == RANKS
    for caller in ("shop-0", "shop-1"):
        assert page.total(REQUESTS, code="OK", caller=caller) == RANKS / 2
    assert page.total(REQUESTS, code="INVALID_ARGUMENT", model="", version="") == 1
    assert page.total(REQUESTS, code="NOT_FOUND", model="", version="") == 1
    assert page.total("podium_request_errors_total", reason="MODEL_NOT_FOUND") == 1
    assert page.total("podium_request_candidates_sum", model=MODEL) == 3 * RANKS
    assert page.total("podium_candidates_scored_total") == 3 * RANKS
    assert page.total("podium_user_states_total") == RANKS
    assert page.total("podium_stage_duration_seconds_count", stage="run", model=MODEL) == RANKS
    shared, one = "podium_batch_requests_sum", {"model": MODEL, "version": "1"}
    assert page.total(shared, **one) - STARTED[0].total(shared, **one) == RANKS
    assert page.total("podium_batches_closed_total") == page.total("podium_batches_ended_total")
    rank = {"rpc_method": "podium.v1.RankService/Rank"}
    assert page.total("rpc_server_call_duration_seconds_count", rpc_response_status_code="OK", **rank) == RANKS
    assert page.total("rpc_server_call_duration_seconds_count", rpc_response_status_code="NOT_FOUND", **rank) == 1
    info = "podium.v1.InfoService/GetServerInfo"
    assert page.total("rpc_server_call_duration_seconds_count", rpc_method=info, rpc_response_status_code="OK") == 1


def test_there_is_exactly_what_is_documented(loaded: Server) -> None:
    page, table = scrape(loaded), documented()
    assert page.families == {name: line.kind for name, line in table.items()}
    assert plain(loaded) == page.families
    assert page.units == {name.removesuffix("_total"): line.unit for name, line in table.items()}
    for name, labels, _ in page.samples:
        line = line_of(name, table)
        extra = {"le"} if name.endswith("_bucket") and line.kind == "histogram" else set()
        assert set(labels) == line.labels | extra, name


def line_of(name: str, table: dict[str, Documented]) -> Documented:
    """Returns the line of a sample."""
    if name in table:
        return table[name]
    return next(table[name.removesuffix(end)] for end in OF_A_HISTOGRAM if name.endswith(end))


@needs_promtool
def test_promtool_finds_nothing_to_say(loaded: Server) -> None:
    _, text = fetch(loaded, "text/plain")
    said = subprocess.run(
        [str(PROMTOOL), "check", "metrics"], input=text, text=True, capture_output=True, check=False, timeout=60
    )
    # It would have `_count` and the like for histograms alone, and units that are base units.
    assert said.returncode == 0, said.stdout + said.stderr


def test_a_sampled_request_is_an_exemplar(loaded: Server) -> None:
    client = Client(loaded.address)
    call = client.method("podium.v1.RankService", "Rank")
    message = client.message("RankRequest", **ASKED)
    call(message, timeout=20, metadata=[("traceparent", TRACEPARENT)])
    client.close()
    trace = TRACEPARENT.split("-")[1]
    told = {name for name, labels in scrape(loaded).exemplars if labels["trace_id"] == trace}
    assert {"podium_request_duration_seconds_bucket", "podium_stage_duration_seconds_bucket"} <= told
    assert trace not in fetch(loaded, "text/plain")[1]


def test_hostile_names_make_no_series(log: Path) -> None:
    with Server(TEST_MODELS, log) as server:
        client = Client(server.address)
        client.rank(caller="first", **ASKED)
        for number in range(CALLERS):
            client.rank(caller=f"caller-{number}", **ASKED)
        before = scrape(server)
        for number in range(20):
            evil = f'evil"{{}}\\,{number}\t'
            for model in ({"name": evil}, {"name": MODEL, "label": evil}, {"name": MODEL, "version": 900 + number}):
                refusal(partial(client.rank, model=model, candidates=CANDIDATES))
            client.rank(caller=f'evil"}}\\{number}', **ASKED)
            with pytest.raises(grpc.RpcError):
                client.channel.unary_unary(f"/podium.v1.RankService/Evil{number}", request_serializer=bytes)(
                    b"", timeout=20
                )
        after = scrape(server)
        client.close()
    callers = before.values("caller", REQUESTS)
    assert {"first", "other"} <= callers
    assert len(callers - {"", "other"}) == MOST_CALLERS
    assert after.values("caller") - {""} == callers
    assert before.total(REQUESTS) == CALLERS + 1
    assert after.total(REQUESTS, caller="other") == before.total(REQUESTS, caller="other") + 20
    assert after.values("model") - {""} == before.values("model")
    assert after.values("version") - {""} == before.values("version")
    unknown = "rpc_server_call_duration_seconds_count"
    assert after.total(unknown, rpc_method="_OTHER", rpc_response_status_code="UNIMPLEMENTED") == 20
    assert not any("vil" in value for _, labels, _ in after.samples for value in labels.values())


def test_the_series_of_a_version_go_with_it(tmp_path: Path, log: Path) -> None:
    repository = Repository(tmp_path)
    repository.publish(swap.ranker(1))
    with Server(repository.path, log, QUICK) as server:
        client = Client(server.address)
        client.rank(model={"name": swap.NAME}, candidates=PRICES)
        assert scrape(server).total(REQUESTS, model=swap.NAME, version="1") == 1
        repository.publish(swap.ranker(2))
        answers_with(client, 2)
        repository.remove(swap.NAME, 1)
        until(lambda: "1" not in scrape(server).values("version"), "series of version 1 are still there")
        page = scrape(server)
        client.close()
    assert page.values("version", REQUESTS) == {"2"}
    assert page.total("podium_model_version_live", version="2") == 1
    assert page.total("podium_model_version_state", version="2", state="ready") == 1
    assert {"verifying", "loading", "warming"} == page.values("phase", "podium_model_version_phase_seconds")
    assert page.total("podium_model_version_steps_total", state="freed") == 1
