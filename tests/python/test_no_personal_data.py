"""Nothing that tells of a shopper comes out where a server tells of itself: log, errors, metrics, request log."""

from __future__ import annotations

import http.client
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_status import rpc_status

from bundle import Bundle, float32, graph, inputs, write
from client import TIMEOUT, USER_SERVICE, Client
from expected import column
from repository import until
from server import TEST_MODELS, Server, free_port, podium
from slow import slow

USER, QUERY, ITEM, TEXT, BASKET = (f"canary-{what}-7f3a" for what in ("user", "query", "item", "text", "basket"))
NUMBER, FLOAT = 8313371, 8313371.5
# Ids of traces are hexadecimal digits, and may have these seven among them; the fraction of a second is too short.
FOUND = re.compile(rf"canary-[a-z]+-7f3a|(?<![0-9a-f]){NUMBER}")
FAILS = "gather-ranker"
NOW = 1_700_000_000


def gathering() -> Bundle:
    """Returns a ranker whose run fails for a shelf that is not there, and says which."""
    model = graph(
        "gather_ranker (int64[rows] shelf) => (float[rows] score) { score = Gather(table, shelf) }",
        {"table": float32([1, 2, 3])},
    )
    manifest = (
        'format = 1\nrole = "ranker"\ndescription = "Looks up."\n\n'
        + inputs(shelf='source = "candidate"\ndtype = "int64"\nshape = ["rows"]')
        + '\n[[outputs]]\nname = "score"\nshape = ["rows"]\n'
    )
    return Bundle(FAILS, "1", manifest, model, {"two rows": {"shelf": np.array([0, 2], np.int64)}})


@contextmanager
def collector() -> Iterator[tuple[str, list[bytes]]]:
    """Starts a receiver of OTLP by HTTP; gives its URL, and the messages as they come."""
    messages: list[bytes] = []

    class Taker(BaseHTTPRequestHandler):
        """Keeps each message."""

        def do_POST(self) -> None:
            """Takes a message."""
            messages.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    receiver = ThreadingHTTPServer(("127.0.0.1", 0), Taker)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{receiver.server_port}", messages
    receiver.shutdown()


@contextmanager
def redis(folder: Path) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Starts a redis-server; gives its port and its process."""
    port = free_port()
    command = ["redis-server", "--port", str(port), "--dir", str(folder), "--save", "", "--appendonly", "no"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        with socket.socket() as caller:
            until(lambda: caller.connect_ex(("127.0.0.1", port)) == 0, "redis-server never listened")
        yield port, process
    finally:
        process.kill()
        process.wait()


def tell(port: int, *words: str) -> list[str]:
    """Sends a command to Redis; returns the lines of the answer."""
    command = f"*{len(words)}\r\n" + "".join(f"${len(word)}\r\n{word}\r\n" for word in words)
    with socket.create_connection(("127.0.0.1", port)) as line:
        line.sendall(command.encode())
        line.settimeout(1)
        return line.recv(65_536).decode().split("\r\n")


def items(*columns: dict[str, Any], ids: tuple[str, ...] = (ITEM, "other"), **more: Any) -> dict[str, Any]:
    """Returns candidates."""
    return {"ids": list(ids), "columns": list(columns)} | more


def ints(name: str, values: list[int]) -> dict[str, Any]:
    """Returns a column of whole numbers."""
    return {"name": name, "ints": {"values": values}}


def texts(name: str, values: list[str]) -> dict[str, Any]:
    """Returns a column of texts."""
    return {"name": name, "strings": {"values": values}}


PRICES = column("price", [FLOAT, 1.0])
HISTORY = [{"item_id": BASKET, "kind": 3, "time": {"seconds": NOW}}]
BRANDS = texts("brand", [TEXT, "x"])


def asked() -> list[dict[str, Any]]:
    """Returns requests of every kind, those that fail too; each holds canaries."""
    shopper = {"query": QUERY, "user": {"id": USER}}
    tiny_model, plain, typed = ({"name": name} for name in ("tiny-ranker", "nan-ranker", "types-ranker"))
    good = {"model": plain, "candidates": items(PRICES)} | shopper
    known = {"model": tiny_model, "candidates": items(PRICES)} | shopper
    return [
        good,
        known,
        known | {"user": {"id": USER, "history": HISTORY}},
        known | {"user": {"id": USER, "embedding": {"values": [FLOAT]}}},
        known | {"user": {"id": USER, "embedding": {"values": [FLOAT] * 4, "encoder_version": 9}}},
        known | {"user": {"id": f"{USER}-unknown"}, "require_user_state": True},
        known | {"user": {"id": USER, "history": [HISTORY[0], {"item_id": BASKET, "time": {"seconds": 5}}]}},
        good | {"candidates": items(column("price", [FLOAT, float("nan")]))},
        good | {"candidates": items(column("price", [FLOAT]))},
        good | {"candidates": items(PRICES, ids=(ITEM, ITEM))},
        good | {"candidates": items(PRICES, ids=(ITEM, ITEM * 1000))},
        good | {"candidates": items(PRICES, prior_scores=[FLOAT])},
        good | {"candidates": items(texts("price", [TEXT, TEXT]))},
        good | {"candidates": items(PRICES, column("unknown", [FLOAT, FLOAT]))},
        good | {"candidates": items()},
        good | {"query": QUERY * 10_000},
        good | {"user": {"id": USER * 1000}},
        good | {"model": {"name": "no-such-model"}},
        good | {"model": {"name": "tiny-encoder"}},
        good | {"context": [column("price", [FLOAT])]},
        {"model": typed, "candidates": items(ints("size", [1, NUMBER << 40]), BRANDS)} | shopper,
        {"model": typed, "candidates": items(column("weight", [1.0, FLOAT * 1e30]), BRANDS)} | shopper,
        {"model": {"name": "text-ranker"}, "candidates": items()} | shopper,
        {"model": {"name": "shop-search"}, "candidates": items()} | shopper,
        {"model": {"name": FAILS}, "candidates": items(ints("shelf", [NUMBER, 0]))} | shopper,
    ]


class Driver:
    """Calls everything with canaries, and keeps what was answered in the case of an error."""

    def __init__(self, server: Server) -> None:
        """Connects."""
        self.client = Client(server.address)
        self.errors: list[str] = []
        self.codes: set[str] = set()

    def call(self, what: Callable[[], Any]) -> None:
        """Makes a call, which may fail."""
        try:
            answer = what()
            if not hasattr(answer, "DESCRIPTOR"):
                self.errors += [str(part.error) for part in answer if hasattr(part, "error")]
        except grpc.RpcError as error:
            self.refused(error)

    def refused(self, error: Any) -> None:
        """Keeps an error with its details, which are messages packed as bytes: texts in them stand as they are."""
        status = rpc_status.from_call(error)
        details = [detail.value.decode(errors="replace") for detail in status.details] if status else []
        self.errors.append(f"{error.code()} {error.details()} {details}")
        self.codes.add(error.code().name)

    def users(self, name: str, request: str, **fields: Any) -> None:
        """Calls a method about users."""
        self.call(lambda: self.client.users(name, request, **fields))

    def rank_all(self) -> None:
        """Asks all requests, one by one and by a stream."""
        for fields in asked():
            self.call(partial(self.client.rank, caller="tests", **fields))
        self.call(lambda: list(self.client.rank_stream(asked())))
        late = [self.client.rank_later(0.05, **slow(50_000_000), user={"id": USER}, query=QUERY) for _ in range(12)]
        for one in late:
            self.call(one.result)
        self.call(lambda: self.client.rank_raw(f"\x0a\xff{USER}{QUERY}".encode()))
        cut = self.client.message("RankRequest", user={"id": USER}, query=QUERY).SerializeToString()[:-3]
        self.call(lambda: self.client.rank_raw(cut))

    def user_all(self) -> None:
        """Records, stores, asks for, warms and erases."""
        event = {"event_id": f"{BASKET}-1", "user_id": USER, "item_id": BASKET, "kind": 3, "time": {"seconds": NOW}}
        faulty = [event | {"kind": NUMBER}, event | {"time": None}, event | {"item_id": BASKET * 999}]
        for recorded in ([event], [event, event], faulty, []):
            self.users("RecordEvents", "RecordEventsRequest", events=recorded, request_id="r")
        messages = [self.client.message("RecordEventsRequest", events=events) for events in ([event], faulty)]
        stream = self.client.method(USER_SERVICE, "RecordEventsStream")
        self.call(lambda: list(stream(iter(messages), timeout=TIMEOUT)))
        encoder = {"encoder_name": "tiny-encoder", "encoder_version": 1}
        for values in ([FLOAT] * 4, [FLOAT], [FLOAT, float("nan"), 1.0, 1.0]):
            given = encoder | {"embeddings": [{"user_id": USER, "values": values}]}
            self.call(partial(self.client.put_embeddings, [given]))
        self.call(lambda: self.client.put_embeddings([{"encoder_name": "none", "embeddings": [{"user_id": USER}]}]))
        for user in (USER, USER * 999, ""):
            self.users("GetUser", "GetUserRequest", user_id=user, model={"name": "tiny-ranker"})
            self.users("DeleteUser", "DeleteUserRequest", user_id=user)
        self.call(lambda: list(self.client.warm(user_ids=[USER, f"{USER}-2", ""])))
        self.users("RecordEvents", "RecordEventsRequest", events=[event])
        self.call(lambda: list(self.client.warm(user_ids=[USER, f"{USER}-2"])))


def page(server: Server, path: str) -> str:
    """Returns an admin page; nothing where there is none."""
    connection = http.client.HTTPConnection("127.0.0.1", server.admin_port, timeout=10)
    connection.request("GET", path)
    body = connection.getresponse().read().decode()
    connection.close()
    return body


def sinks(server: Server, driver: Driver, request_log: Path) -> dict[str, str]:
    """Returns everything that the server tells of itself, by where it tells it."""
    pages = {path: page(server, path) for path in ("/metrics", "/statusz", "/", "/livez", "/readyz")}
    return pages | files(server, request_log) | {"errors": "\n".join(driver.errors)}


def files(server: Server, request_log: Path) -> dict[str, str]:
    """Returns what the server has written."""
    logged = request_log.read_text(encoding="utf-8") if request_log.exists() else ""
    # Which items were ranked is written: a request could not be asked again without. They are goods, and not shoppers.
    return {"log": server.output(), "request log": logged.replace(ITEM, "")}


def leaks(text: str) -> list[str]:
    """Returns where a text holds a canary."""
    return [text[max(0, found.start() - 160) : found.end() + 40] for found in FOUND.finditer(text)]


def import_all(server: Server, folder: Path) -> str:
    """Imports a file with events, and one of which each row is wrong; returns what was printed."""
    printed = ""
    wrong = [f"{USER},{BASKET},{TEXT}", f"{USER},{BASKET},-{NUMBER}{'0' * 12}", f"{USER * 999},{BASKET},{NOW}"]
    for number, rows in enumerate(([f"{USER},{BASKET},{NOW}"], *[[row] for row in wrong])):
        file = folder / f"rows-{number}.csv"
        file.write_text("\n".join(["user_id,item_id,time", *rows]) + "\n", encoding="utf-8")
        ended = podium("users", "import", file, "--target", f"http://{server.address}", "--skip-faulty")
        printed += ended.stdout + ended.stderr
    return printed


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_no_path_tells_of_a_shopper(tmp_path: Path, log_format: str) -> None:
    models = tmp_path / "models"
    shutil.copytree(TEST_MODELS, models)
    write(gathering(), models)
    request_log = tmp_path / "requests.jsonl"
    settings = {
        "PODIUM_LOG__LEVEL": "debug,podium=trace",
        "PODIUM_LOG__FORMAT": log_format,
        "PODIUM_BATCHING__MAX_QUEUE_SIZE": "2",
        "PODIUM_TELEMETRY__REQUEST_LOG__PATH": str(request_log),
        "PODIUM_TELEMETRY__REQUEST_LOG__RATIO": "1.0",
        "PODIUM_TELEMETRY__OTLP_PROTOCOL": "http/protobuf",
        "PODIUM_TELEMETRY__TRACES__SAMPLER": "always_on",
        "PODIUM_TELEMETRY__TRACES__SCHEDULE_DELAY": "100ms",
        "PODIUM_TELEMETRY__METRICS__OTLP_INTERVAL": "1s",
        "RUST_BACKTRACE": "0",
    }
    with redis(tmp_path) as (port, process), collector() as (endpoint, messages):
        settings["PODIUM_TELEMETRY__OTLP_ENDPOINT"] = endpoint
        settings["PODIUM_USERS__REDIS__URL"] = f"redis://127.0.0.1:{port}"
        with Server(models, tmp_path / "server.log", settings) as server:
            driver = Driver(server)
            driver.user_all()
            driver.rank_all()
            driver.errors.append(import_all(server, tmp_path))
            for key in tell(port, "KEYS", f"*{USER}*"):
                if USER in key:
                    tell(port, "DEL", key)
                    tell(port, "SET", key, TEXT)
            driver.rank_all()
            process.kill()
            process.wait()
            driver.user_all()
            driver.rank_all()
            driver.client.close()
            told = sinks(server, driver, request_log)
            server.terminate()
            server.wait()
            # The last lines are written before the end.
            told |= files(server, request_log)
            told["traces and metrics"] = b"\n".join(messages).decode("utf-8", "replace")
    wanted = {"INVALID_ARGUMENT", "NOT_FOUND", "INTERNAL", "UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"}
    assert {where: leaks(text) for where, text in told.items() if leaks(text)} == {}
    assert driver.codes >= wanted, driver.codes
    for word in ("request refused", "request failed", "trace_id", "Status Message: indices element out of data bounds"):
        assert word in told["log"], f"{word}: the paths were not taken"
    assert '"user":"' in told["request log"]
    for word in ("user_store.read", "podium.error", "EXPIRED_IN_", "QUEUE_FULL", "podium_request_duration"):
        assert word in told["traces and metrics"], f"{word} was not sent"


def test_the_check_finds_what_it_looks_for() -> None:
    for leak in (USER, f"x{QUERY}", f"idx={NUMBER}", f"[{FLOAT}]", f"key u:{{t:{USER}}}"):
        assert leaks(f"before {leak} after"), leak
    assert leaks(f"trace_id=ab{NUMBER}") == []
