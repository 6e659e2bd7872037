"""Log lines with the ids of their request, and what of telemetry is changed while the server serves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from client import RANK_SERVICE, TIMEOUT, Client, Refusal, refusal
from repository import until
from server import TEST_MODELS, Server, podium

SERVICE = "podium.v1.TelemetryService"
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture(scope="module")
def logging(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that logs as it is told."""
    with Server(TEST_MODELS, tmp_path_factory.mktemp("telemetry") / "log", {"PODIUM_LOG__FORMAT": "json"}) as running:
        yield running


@pytest.fixture(scope="module")
def admin(logging: Server) -> Iterator[Client]:
    """A client of its admin listener."""
    caller = Client(f"127.0.0.1:{logging.admin_port}")
    yield caller
    caller.close()


def change(admin: Client, **fields: Any) -> Any:
    """Changes telemetry; returns what is in force."""
    message = admin.message("SetTelemetryRequest", **fields)
    return admin.method(SERVICE, "SetTelemetry")(message, timeout=TIMEOUT).telemetry


def now(admin: Client) -> Any:
    """Returns what is in force."""
    message = admin.message("GetTelemetryRequest")
    return admin.method(SERVICE, "GetTelemetry")(message, timeout=TIMEOUT).telemetry


def refused(server: Server, name: str) -> None:
    """Sends a request that is refused, under a name and in a trace."""
    client = Client(server.address)
    message = client.message("RankRequest", request_id=name)
    metadata = [("traceparent", f"00-{TRACE}-{SPAN}-01")]
    call = client.method(RANK_SERVICE, "Rank")
    assert refusal(lambda: call(message, timeout=TIMEOUT, metadata=metadata)).code == grpc.StatusCode.INVALID_ARGUMENT
    client.close()


def lines(server: Server, name: str) -> list[dict[str, Any]]:
    """Returns the log's lines about a request."""
    parsed = [json.loads(line) for line in server.output().splitlines() if line.startswith("{")]
    return [line for line in parsed if line.get("request_id") == name]


def test_a_line_of_a_request_carries_its_ids_while_it_is_logged(logging: Server, admin: Client) -> None:
    refused(logging, "before")
    assert now(admin).log_level.value == "info"
    told = change(admin, log_level="info,podium=debug").log_level
    assert (told.value, told.configured, told.HasField("left")) == ("info,podium=debug", "info", False)
    refused(logging, "while")
    change(admin, log_level="info")
    refused(logging, "after")
    (line,) = lines(logging, "while")
    assert (line["trace_id"], line["level"], line["service"]) == (TRACE, "DEBUG", "podium")
    assert line["span_id"] not in ("", SPAN, "0" * 16)
    assert line["target"].startswith("podium::")
    assert lines(logging, "before") == lines(logging, "after") == []
    changed = [line for line in logging.output().splitlines() if "telemetry is changed" in line]
    assert "trace_id" in changed[0]


def test_a_change_for_a_while_goes_back_to_what_stays(logging: Server, admin: Client) -> None:
    change(admin, log_level="warn", sampling_ratio=0.25)
    told = change(admin, log_level="debug", lasts={"nanos": 400_000_000})
    assert told.log_level.value == "debug"
    assert 0 < told.log_level.left.ToMilliseconds() <= 400
    assert (told.sampling_ratio.value, told.sampling_ratio.HasField("left")) == (0.25, False)
    told = change(admin, sampling_ratio=1.0, lasts={"seconds": 600})
    assert told.sampling_ratio.left.ToSeconds() > 500
    until(lambda: now(admin).log_level.value == "warn", "it never went back")
    assert now(admin).sampling_ratio.value == 1.0
    refused(logging, "gone back")
    assert lines(logging, "gone back") == []
    told = change(admin, sampling_ratio=0.5, log_level="info").sampling_ratio
    assert (told.value, told.configured, told.HasField("left")) == (0.5, 0.01, False)


def fault(admin: Client, **fields: Any) -> Refusal:
    """Asks for a change that is refused, and makes sure that nothing changes."""
    before = now(admin)
    failed = refusal(lambda: change(admin, **fields))
    assert failed.code == grpc.StatusCode.INVALID_ARGUMENT
    assert now(admin).log_level == before.log_level
    return failed


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({}, "log_level"),
    "no level": ({"log_level": "debgu"}, "log_level"),
    "no level of a target": ({"log_level": "info,podium=loud"}, "log_level"),
    "a pattern": ({"log_level": "[{user=(a+)+$}]=trace"}, "log_level"),
    "too many": ({"log_level": "a=info," * 100}, "log_level"),
    "too long": ({"log_level": "x" * 100_000}, "log_level"),
    "more than all": ({"log_level": "debug", "sampling_ratio": 1.5}, "sampling_ratio"),
    "not a number": ({"sampling_ratio": float("nan")}, "sampling_ratio"),
    "for no time": ({"log_level": "debug", "lasts": {}}, "lasts"),
    "for too long": ({"log_level": "debug", "lasts": {"seconds": 86_401}}, "lasts"),
    "into the past": ({"log_level": "debug", "lasts": {"seconds": -1}}, "lasts"),
}


@pytest.mark.parametrize("name", list(WRONG))
def test_a_change_that_is_none_names_the_field(admin: Client, name: str) -> None:
    fields, wrong = WRONG[name]
    assert list(fault(admin, **fields).violations()) == [wrong]


def test_ten_megabytes_are_no_level(admin: Client) -> None:
    failed = refusal(lambda: change(admin, log_level="x" * (10 << 20)))
    assert failed.code == grpc.StatusCode.INVALID_ARGUMENT
    assert now(admin).log_level.value


def test_the_command_shows_and_sets(logging: Server, admin: Client) -> None:
    url = f"http://127.0.0.1:{logging.admin_port}"
    command = ("telemetry", "set", "--log-level", "warn", "--sampling-ratio", "0.125", "--for", "10m", "--admin", url)
    ended = podium(*command)
    assert ended.returncode == 0, ended.stderr
    assert "log level       warn  (for another 10m; configured is info)" in ended.stdout
    assert now(admin).sampling_ratio.value == 0.125
    shown = podium("telemetry", "show", "--json", "--admin", url)
    assert json.loads(shown.stdout)["log_level"]["value"] == "warn"
    wrong = podium("telemetry", "set", "--log-level", "loud", "--admin", url)
    assert wrong.returncode == 1
    assert "log_level" in wrong.stderr
    assert podium("telemetry", "set", "--admin", url).returncode == 2
    assert podium("telemetry", "show", "--admin", "http://127.0.0.1:1").returncode == 1


def test_lines_are_text_where_that_is_wished(tmp_path: Path) -> None:
    settings = {"PODIUM_LOG__FORMAT": "text", "PODIUM_LOG__LEVEL": "debug"}
    with Server(TEST_MODELS, tmp_path / "log", settings) as server:
        refused(server, "r-7")
        until(lambda: f"request_id=r-7 trace_id={TRACE} span_id=" in server.output(), server.output())
