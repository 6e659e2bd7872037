"""A queue under pressure: partly scored orders, shares of callers, and the settings of single models."""

from __future__ import annotations

import random
import shutil
import time
from pathlib import Path

import grpc
import pytest

import tiny
from client import Client, refusal
from expected import TinyRequest, check_scores, tiny_request
from server import TEST_MODELS, Server
from slow import rounds_for, slow

ONE_PLACE = {"PODIUM_BATCHING__INSTANCES": "1", "PODIUM_BATCHING__MAX_QUEUE_SIZE": "1"}


def test_an_order_that_may_be_partial_comes_by_prior_scores_where_the_queue_is_full(log: Path) -> None:
    with Server(TEST_MODELS, log, ONE_PLACE) as server:
        client = Client(server.address)
        rounds = rounds_for(client, 1.5)
        running = client.rank_later(**slow(rounds))
        time.sleep(0.2)
        waiting = client.rank_later(**slow(1))
        time.sleep(0.2)
        full = refusal(lambda: client.rank(**slow(1)))
        candidates = slow(1)["candidates"] | {"prior_scores": [0.25, 0.75]}
        partial = client.rank(**slow(1, candidates=candidates, allow_partial=True))
        assert [len(call.result().items) for call in (running, waiting)] == [2, 2]
        quiet = client.rank(**slow(1, allow_partial=True))
        reasons = [client.enum_name("DegradedReason", reason) for reason in partial.degraded]
        client.close()
    assert full.code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert [item.id for item in partial.items] == ["b", "a"]
    assert not any(item.HasField("score") for item in partial.items)
    assert reasons == ["DEGRADED_REASON_PARTLY_SCORED"]
    assert not quiet.degraded
    assert all(item.HasField("score") for item in quiet.items)


def test_who_waits_for_least_takes_the_place_of_who_waits_for_most(log: Path) -> None:
    settings = ONE_PLACE | {"PODIUM_BATCHING__MAX_QUEUE_SIZE": "3"}
    with Server(TEST_MODELS, log, settings) as server:
        client = Client(server.address)
        rounds = rounds_for(client, 1.5)
        running = client.rank_later(**slow(rounds), caller="crawler")
        time.sleep(0.2)
        flood = []
        for _ in range(3):
            flood.append(client.rank_later(**slow(1), caller="crawler"))
            time.sleep(0.05)
        more = refusal(lambda: client.rank(**slow(1), caller="crawler"))
        shop = client.rank(**slow(1), caller="shop")
        codes = [call.code() for call in flood]
        assert running.code() == grpc.StatusCode.OK
        client.close()
    assert more.code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert len(shop.items) == 2
    assert codes == [grpc.StatusCode.OK, grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED]


@pytest.mark.parametrize("name", ["x" * 65, "a" * 4000])
def test_a_callers_name_that_is_too_long_is_named(client: Client, name: str) -> None:
    told = refusal(lambda: client.rank(**slow(1), caller=name))
    assert "64 bytes" in told.violations()["metadata[podium-caller]"]


def cut_into(server: Server) -> list[int]:
    """Returns in how many batches 30 rows were, and how large the last one was."""
    client = Client(server.address)
    one = TinyRequest(random.Random(3).sample(tiny.ITEMS, 30), [1.0] * 30)
    answer = client.rank(**tiny_request(one, 2))
    client.close()
    check_scores(answer, one.scores(2)[0])
    return [answer.timings.batches, answer.timings.batch.rows]


SECTION = "[batching]\ninstances = 1\npreferred_batch_rows = 8\n"


def with_section(text: str, section: str) -> str:
    """Puts a table before the first other one of a manifest."""
    place = text.index("\n[") + 1
    return text[:place] + section + "\n" + text[place:]


def repository(folder: Path, section: str) -> Path:
    """Copies the test bundles; the tiny ranker's manifests get a section."""
    models = folder / "models"
    shutil.copytree(TEST_MODELS, models)
    for manifest in models.glob("tiny-ranker/*/model.toml"):
        manifest.write_text(with_section(manifest.read_text(), section))
    return models


def test_a_manifest_has_batching_of_its_own_and_the_configuration_overrides_it(log: Path, tmp_path: Path) -> None:
    models = repository(tmp_path, SECTION)
    with Server(models, log) as server:
        assert cut_into(server) == [4, 6]
    config = tmp_path / "podium.toml"
    config.write_text("[models.batching.tiny-ranker]\npreferred_batch_rows = 10\n")
    with Server(models, log, {"PODIUM_CONFIG": str(config)}) as server:
        assert cut_into(server) == [3, 10]


def test_a_wrong_value_of_a_manifest_is_named(log: Path, tmp_path: Path) -> None:
    models = repository(tmp_path, "[batching]\nmax_batch_rows = 0\n")
    with Server(models, log) as server:
        output = server.output()
    assert "batching.max_batch_rows" in output


@pytest.mark.parametrize("pipeline", ["on", "off"])
def test_requests_keep_their_scores_whether_batches_are_made_ahead_or_not(log: Path, pipeline: str) -> None:
    dice = random.Random(9)
    requests = [
        TinyRequest(ids, [dice.uniform(0, 900) for _ in ids])
        for ids in (dice.sample(tiny.ITEMS, dice.randint(1, 20)) for _ in range(80))
    ]
    settings = {"PODIUM_BATCHING__PIPELINE": pipeline, "PODIUM_BATCHING__PREFERRED_BATCH_ROWS": "8"}
    with Server(TEST_MODELS, log, settings) as server:
        client = Client(server.address)
        calls = [client.rank_later(**tiny_request(one, 2)) for one in requests]
        for one, call in zip(requests, calls, strict=True):
            check_scores(call.result(), one.scores(2)[0])
        client.close()
