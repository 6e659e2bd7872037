"""The admin listener's probes, and what the server prints when it starts."""

from __future__ import annotations

import http.client
import json
import time
from pathlib import Path

from client import Client
from server import TEST_MODELS, Server
from slow import rounds_for, slow


def get(server: Server, path: str) -> tuple[int, str]:
    """Returns status and body of an admin page."""
    connection = http.client.HTTPConnection("127.0.0.1", server.admin_port, timeout=10)
    connection.request("GET", path)
    response = connection.getresponse()
    body = response.read().decode()
    connection.close()
    return response.status, body


def test_probes_answer(server: Server) -> None:
    assert get(server, "/livez")[0] == 200
    assert get(server, "/readyz")[0] == 200
    assert get(server, "/no-such-page")[0] == 404


def test_the_status_page_lists_the_models(server: Server) -> None:
    status, body = get(server, "/statusz")
    models = {(model["name"], model["version"]) for model in json.loads(body)["models"]}
    assert status == 200
    assert {("tiny-ranker", 1), ("tiny-ranker", 2), ("tiny-encoder", 1)} <= models


def test_a_draining_server_is_alive_but_not_ready(log: Path) -> None:
    with Server(TEST_MODELS, log, {"PODIUM_SERVER__DRAIN_DELAY": "3s"}) as server:
        client = Client(server.address)
        running = client.rank_later(**slow(rounds_for(client, 2)))
        server.terminate()
        time.sleep(0.5)
        assert get(server, "/readyz")[0] == 503
        assert get(server, "/livez")[0] == 200
        assert len(running.result().items) == 2
        client.close()
        assert server.wait(20) == 0


def test_the_start_says_what_is_served_where_and_what_to_type_next(server: Server) -> None:
    said = server.output()
    for wanted in (server.address, "cpu", "tiny-ranker/1", "tiny-ranker/2", "tiny-encoder/1", "podium rank"):
        assert wanted in said, wanted


def test_the_log_is_json_where_nobody_watches(log: Path) -> None:
    with Server(TEST_MODELS, log) as server:
        server.terminate()
        server.wait(20)
        lines = [json.loads(line) for line in server.output().splitlines() if line.startswith("{")]
    assert any("draining" in json.dumps(line) for line in lines)
