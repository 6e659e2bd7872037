"""`/statusz`: its figures are those of what was sent; and `/rank`, which goes by the same way as the RPC."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

import tiny
import trial
from admin import ask, status, try_rank
from client import Client, refusal
from expected import TinyRequest, column, tiny_request
from repository import Repository, reaches, until
from server import TEST_MODELS, Server
from slow import rounds_for, slow

ASKED = TinyRequest(tiny.ITEMS[:10], [float(number) for number in range(10)])
FIELDS = {
    "version", "now_ms", "uptime_s", "draining", "default_model", "listen", "repository", "repository_fault",
    "onnxruntime_build", "in_flight", "max_in_flight", "models", "comparisons", "changes", "user_store", "live",
}  # fmt: skip


@pytest.fixture
def server(log: Path) -> Iterator[Server]:
    """A server of which nothing else was asked."""
    with Server(TEST_MODELS, log) as running:
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    """A client of that server."""
    caller = Client(server.address)
    yield caller
    caller.close()


def of_model(told: dict[str, Any], name: str, version: int) -> dict[str, Any]:
    """Returns the last minute's figures of a version."""
    found = [m["last_60_s"] for m in told["live"]["models"] if (m["name"], m["version"]) == (name, version)]
    assert len(found) == 1, f"{name}/{version} is there {len(found)} times"
    figures: dict[str, Any] = found[0]
    return figures


def test_the_figures_are_those_of_what_was_sent(server: Server, client: Client) -> None:
    for number in range(7):
        client.rank(**tiny_request(ASKED, 2), user={"id": "anna"}, request_id=f"r-{number}", caller="shop")
    for _ in range(3):
        client.rank(**tiny_request(ASKED, 1))
    unknown = tiny_request(ASKED, 2)
    unknown["candidates"]["ids"] = [*ASKED.ids[:9], "unheard-of"]
    client.rank(**unknown)
    refusal(lambda: client.rank(candidates={"ids": ["a", "a"]}))
    refusal(lambda: client.rank(model={"name": "no-such-model"}, candidates={"ids": ["a"]}))

    told = status(server)
    assert set(told) == FIELDS
    everything = told["live"]["last_60_s"]
    assert (everything["requests"], everything["ranked"], everything["failed"]) == (13, 11, 2)
    assert everything["failures"] == {"INVALID_FIELD": 1, "MODEL_NOT_FOUND": 1}
    assert everything["degraded"] == {"ITEMS_MISSING": 1}
    assert everything["user_lookups"] == 7
    assert everything["user_states"] == {"COMPUTED": 1, "CACHED": 6, "DEFAULT": 4}
    assert everything["user_hit_share"] == pytest.approx(6 / 7)
    first, second = of_model(told, "tiny-ranker", 1), of_model(told, "tiny-ranker", 2)
    assert (first["requests"], second["requests"]) == (3, 8)
    assert (first["candidates"], second["candidates"]) == (30, 80)
    assert first["batches"]["rows"] == 30
    assert second["batches"]["rows"] == 80
    assert sum(second["batches"]["closed"].values()) == second["batches"]["batches"] > 0
    assert 0 < second["batches"]["fill"] <= 1.5
    assert of_model(told, "tiny-encoder", 1)["batches"]["batches"] == 1
    for figures in (first, second):
        times = figures["latency"]
        assert 0 < times["p50_ms"] <= times["p95_ms"] <= times["p99_ms"] <= times["max_ms"]
    assert sum(second["requests"] for second in told["live"]["per_second"]) <= 13
    counts = told["user_store"]["counts"]
    assert counts["store_reads"] + counts["local_reads"] == 7


def test_the_slowest_requests_have_the_reason_and_no_personal_data(server: Server, client: Client) -> None:
    rounds = rounds_for(client, 1.0)
    client.rank(**slow(rounds, request_id="the-slow-one"), user={"id": "canary-user"}, query="canary-query", caller="b")
    waits = [client.rank_later(**slow(rounds, request_id=f"w-{number}"), caller="b") for number in range(3)]
    for call in waits:
        call.result()
    code, _, text = ask(server, "GET", "/statusz")
    assert code == 200
    assert "canary" not in text
    slowest = status(server)["live"]["slowest"]
    assert [one["total_ms"] for one in slowest] == sorted((one["total_ms"] for one in slowest), reverse=True)
    by_id = {one["request_id"]: one for one in slowest}
    assert by_id["the-slow-one"]["caller"] == "b"
    assert (by_id["the-slow-one"]["model"], by_id["the-slow-one"]["version"]) == ("slow-ranker", 1)
    assert re.fullmatch("[0-9a-f]{32}", by_id["the-slow-one"]["trace_id"])
    assert by_id["the-slow-one"]["stages"]["run_ms"] > 0.5 * by_id["the-slow-one"]["total_ms"]
    assert {one["reason"] for one in slowest} <= {
        "USER_STORE", "ENCODER", "FEATURES", "QUEUE", "QUEUE_FULL", "COLD_BUCKET", "LONG_NEIGHBOUR", "SLOW_RUN",
        "LARGE", "RECEIVING", "DEVICE_BUSY", "SELECT", "NONE",
    }  # fmt: skip


def test_the_queue_and_what_is_in_flight_are_told(server: Server, client: Client) -> None:
    rounds = rounds_for(client, 1.0)
    calls = [client.rank_later(**slow(rounds), caller=f"caller-{number}") for number in range(6)]

    def busy() -> bool:
        told = status(server)
        (own,) = (model for model in told["models"] if model["name"] == "slow-ranker")
        return bool(own["queue"]["running"] > 0 and own["queue"]["requests"] > 0 and told["in_flight"] == 6)

    until(busy, "requests wait behind one that runs")
    for call in calls:
        call.result()
    idle = {"requests": 0, "rows": 0, "running": 0}
    until(lambda: all(model["queue"] == idle for model in status(server)["models"]), "nothing waits any more")
    assert status(server)["in_flight"] == 0


def test_swaps_splits_and_comparisons_are_told(tmp_path: Path, log: Path) -> None:
    repository = Repository(tmp_path)
    for version, weights in ((1, trial.LIVE), (2, trial.ALIKE), (3, trial.WORSE)):
        repository.publish(trial.ranker(version, weights))
    rules = (
        "split = { 2 = 25 }\nshadow = { version = 3, share = 50 }\ncallers = { batch = 2 }\nlabels = { canary = 2 }\n"
    )
    repository.say(f"[models.{trial.NAME}]\nlive = 1\n{rules}")
    with Server(
        repository.path, log, {"PODIUM_MODELS__POLL_INTERVAL": "100ms", "PODIUM_MODELS__TRIAL": "false"}
    ) as server:
        client = Client(server.address)
        reaches(client, trial.NAME, {1: "READY", 2: "READY", 3: "SHADOW"})
        versions = {model["version"]: model for model in status(server)["models"]}
        assert [versions[1]["live"], versions[2]["live"], versions[3]["live"]] == [True, False, False]
        assert (versions[2]["split_percent"], versions[3]["compared_percent"]) == (25, 50)
        assert (versions[2]["callers"], versions[2]["labels"]) == (["batch"], ["canary"])
        assert versions[3]["state"] == "shadow"
        columns = [column("price", [1, 2, 3]), column("quality", [3, 1, 2])]
        for number in range(60):
            client.rank(model={"name": trial.NAME}, user={"id": f"u-{number}"},
                        candidates={"ids": ["a", "b", "c"], "columns": columns})  # fmt: skip
        told = until(lambda: [one for one in status(server)["comparisons"] if one["requests"]], "a comparison")
        assert {(one["name"], one["beside"]) for one in told} <= {(trial.NAME, "canary"), (trial.NAME, "shadow")}
        repository.say(f"[models.{trial.NAME}]\nlive = 2\nprevious = 1\n")
        until(lambda: any(m["version"] == 2 and m["live"] for m in status(server)["models"]), "the swap")
        routes = [one for one in status(server)["changes"] if one["kind"] == "route" and one["label"] == ""]
        assert (routes[0]["name"], routes[0]["from"], routes[0]["to"]) == (trial.NAME, "1", "2")
        steps = [one["to"] for one in status(server)["changes"] if one["kind"] == "life" and one["version"] == 1]
        assert steps[::-1][:5] == ["found", "verifying", "loading", "warming", "ready"]
        client.close()


def test_a_rank_can_be_tried(server: Server, client: Client) -> None:
    code, _, text = ask(server, "GET", "/example.json?model=tiny-ranker&version=1")
    assert code == 200, text
    code, headers, answer = try_rank(server, {
        "model": {"name": "tiny-ranker", "version": "2"}, "user": {"id": "anna"}, "request_id": "tried",
        "candidates": {"ids": ASKED.ids, "columns": [{"name": "price", "floats": {"values": ASKED.prices}}]},
        "context": [{"name": "hour", "ints": {"values": [12]}}],
    }, podium_caller="somebody")  # fmt: skip
    if code != 200:
        pytest.fail(str(answer))
    assert re.fullmatch("[0-9a-f]{32}", headers["podium-trace-id"])
    assert (answer["request_id"], answer["model_version"]) == ("tried", "2")
    same = client.rank(**tiny_request(ASKED, 2), user={"id": "anna"})
    assert [item["id"] for item in answer["items"]] == [item.id for item in same.items]
    (tried,) = (one for one in status(server)["live"]["slowest"] if one["request_id"] == "tried")
    assert (tried["method"], tried["caller"], tried["trace_id"]) == (
        "admin/rank", "somebody", headers["podium-trace-id"],
    )  # fmt: skip


def test_what_is_wrong_with_a_tried_request_is_told_by_field(server: Server) -> None:
    code, headers, answer = try_rank(server, {"candidates": {"ids": ["a", "a"]}, "top_k": 3})
    assert (code, answer["error"]["code"], answer["error"]["reason"]) == (400, "INVALID_ARGUMENT", "INVALID_FIELD")
    assert "candidates.ids[1]" in [fault["field"] for fault in answer["error"]["fields"]]
    assert headers["podium-trace-id"]
    code, _, answer = try_rank(server, {"model": {"name": "no-such"}, "candidates": {"ids": ["a"]}})
    assert (code, answer["error"]["code"]) == (404, "NOT_FOUND")
    code, _, answer = try_rank(server, {"query": "canary", "candidates": "canary"})
    assert (code, answer["error"]["reason"]) == (400, "INVALID_JSON")
    assert "canary" not in str(answer)
    code, _, text = ask(server, "GET", "/example.json?model=no-such")
    assert code == 404, text


def test_a_tried_request_has_the_place_of_any_other(log: Path) -> None:
    with Server(TEST_MODELS, log, {"PODIUM_SERVER__MAX_IN_FLIGHT": "1"}) as server:
        client = Client(server.address)
        call = client.rank_later(**slow(rounds_for(client, 2.0)))
        until(lambda: status(server)["in_flight"] == 1, "a request is in flight")
        code, _, answer = try_rank(server, {"candidates": {"ids": ["a"]}})
        assert (code, answer["error"]["reason"]) == (429, "TOO_MANY_IN_FLIGHT")
        assert answer["error"]["retry_after_ms"] == 100
        tried: list[Any] = []
        asking = threading.Thread(target=lambda: tried.append(ask(server, "POST", "/rank", b"{}")))
        call.result()
        asking.start()
        asking.join()
        assert tried[0][0] == 415
        client.close()


def test_the_deadline_of_a_tried_request_is_the_longest_one(log: Path) -> None:
    with Server(TEST_MODELS, log, {"PODIUM_SERVER__MAX_DEADLINE": "1s"}) as server:
        client = Client(server.address)
        rounds = rounds_for(client, 5.0)
        begun = time.monotonic()
        code, _, answer = try_rank(server, {
            "model": {"name": "slow-ranker"},
            "candidates": {"ids": ["a"], "columns": [{"name": "price", "floats": {"values": [1]}}]},
            "context": [{"name": "rounds", "ints": {"values": [str(rounds)]}}],
        })  # fmt: skip
        assert answer["error"]["code"] in ("DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"), answer
        assert code in (504, 429)
        assert time.monotonic() - begun < 5
        client.close()


@pytest.mark.parametrize("path", ["/", "/statusz", "/rank", "/example.json", "/page/page.js"])
def test_another_sites_page_is_not_answered(server: Server, path: str) -> None:
    method, body = ("POST", b"{}") if path == "/rank" else ("GET", None)
    kind = {"content_type": "application/json"}
    code, headers, text = ask(server, method, path, body, host="evil.example:50052", **kind)
    assert code == 421
    assert "server.admin_hosts" in text
    assert "access-control-allow-origin" not in headers
    code, _, text = ask(server, method, path, body, origin="http://evil.example", **kind)
    assert (code, "FOREIGN_ORIGIN" in text) == (403, True)
    own = f"127.0.0.1:{server.admin_port}"
    assert ask(server, method, path, body, host=own, origin=f"http://{own}", **kind)[0] in (200, 400)


def test_a_form_of_another_site_cannot_send_a_request(server: Server) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        assert ask(server, "POST", "/rank", b'{"candidates":{"ids":["a"]}}', content_type=kind)[0] == 415
    assert ask(server, "GET", "/rank")[0] == 405
    assert ask(server, "OPTIONS", "/rank", None, origin="http://evil.example")[0] == 403


def test_a_name_of_the_listener_can_be_listed(log: Path) -> None:
    with Server(TEST_MODELS, log, {"PODIUM_SERVER__ADMIN_HOSTS": '["podium.shop"]'}) as server:
        assert ask(server, "GET", "/", host="podium.shop")[0] == 200
        assert ask(server, "GET", "/", host="other.shop")[0] == 421
        assert ask(server, "GET", "/livez", host="other.shop")[0] == 200, "probes come by any name"


def test_a_body_beyond_the_limit_is_refused(log: Path) -> None:
    with Server(TEST_MODELS, log, {"PODIUM_LIMITS__MAX_MESSAGE_BYTES": "10000"}) as server:
        code, _, answer = try_rank(server, {"query": "x" * 20_000})
        assert (code, "max_message_bytes" in answer["error"]["message"]) == (413, True)


def test_the_page_may_load_nothing_from_elsewhere(server: Server) -> None:
    _, headers, text = ask(server, "GET", "/")
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", text)
    assert not re.search(r"<script(?![^>]*src=)|<style|\son\w+=|\sstyle=", text)


def test_a_call_by_grpc_is_counted_with_its_end(server: Server, client: Client) -> None:
    call = client.rank_later(**slow(rounds_for(client, 3.0)))
    until(lambda: status(server)["in_flight"] == 1, "a request is in flight")
    call.cancel()
    assert call.code() == grpc.StatusCode.CANCELLED
    until(lambda: status(server)["live"]["last_60_s"]["left"] == 1, "the caller left")
