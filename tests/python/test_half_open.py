"""Connections and streams that say half of something, and are let go."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

import wire
from client import Client
from expected import column
from server import TEST_MODELS, Server

LIMIT_SECONDS = 1.0
SLACK_SECONDS = 4.0
SETTINGS = {
    "PODIUM_SERVER__HANDSHAKE_TIMEOUT": "1s",
    "PODIUM_SERVER__MAX_DEADLINE": "1s",
    "PODIUM_SERVER__STREAM_IDLE_TIMEOUT": "1s",
    "PODIUM_SERVER__KEEPALIVE_INTERVAL": "1s",
    "PODIUM_SERVER__KEEPALIVE_TIMEOUT": "1s",
}
RANK = "/podium.v1.RankService/Rank"


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that waits a second for what has to come."""
    with Server(TEST_MODELS, tmp_path_factory.mktemp("impatient") / "log", SETTINGS) as running:
        yield running


def closed_after(peer: socket.socket, patience: float) -> float:
    """Reads until the server closes the connection, and returns how long that took."""
    started = time.monotonic()
    peer.settimeout(patience)
    try:
        while peer.recv(65_536):
            pass
    except ConnectionResetError:
        pass
    return time.monotonic() - started


@pytest.mark.parametrize("said", [b"", b"PRI * HTTP/2.0\r\n", b"GET / HTTP/1.1\r\n", b"\x16\x03\x01\x02\x00"])
def test_a_connection_without_a_preface_is_closed(impatient: Server, said: bytes) -> None:
    with socket.create_connection(("127.0.0.1", impatient.port)) as peer:
        peer.sendall(said)
        assert closed_after(peer, LIMIT_SECONDS + SLACK_SECONDS) < LIMIT_SECONDS + SLACK_SECONDS


@pytest.mark.parametrize("method", ["Rank", "RankStream"])
def test_headers_without_a_body_are_answered(impatient: Server, method: str) -> None:
    connection = wire.Connection(impatient.port)
    started = time.monotonic()
    status = connection.finish(connection.open(f"/podium.v1.RankService/{method}"))
    took = time.monotonic() - started
    connection.close()
    assert LIMIT_SECONDS * 0.5 < took < LIMIT_SECONDS + SLACK_SECONDS
    assert status.code == wire.DEADLINE_EXCEEDED, status


def test_half_a_body_is_answered(impatient: Server) -> None:
    connection = wire.Connection(impatient.port)
    stream = connection.open(RANK)
    connection.h2.send_data(stream, b"\x00\x00\x00\x00\x64only a part")
    connection.flush()
    started = time.monotonic()
    status = connection.finish(stream)
    took = time.monotonic() - started
    connection.close()
    assert took < LIMIT_SECONDS + SLACK_SECONDS
    assert status.code == wire.DEADLINE_EXCEEDED, status


def test_a_peer_that_answers_no_ping_is_closed(impatient: Server) -> None:
    with socket.create_connection(("127.0.0.1", impatient.port)) as peer:
        peer.sendall(wire_preface())
        assert closed_after(peer, 10) < 10


def wire_preface() -> bytes:
    """Returns the preface and empty settings; the connection stays silent afterwards."""
    return b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"


def test_many_half_open_streams_take_nothing_from_others(impatient: Server) -> None:
    connections = [wire.Connection(impatient.port) for _ in range(20)]
    for connection in connections:
        for _ in range(50):
            connection.open(RANK)
    client = Client(impatient.address)
    candidates = {"ids": ["a"], "columns": [column("price", [1])]}
    assert len(client.rank(model={"name": "nan-ranker"}, candidates=candidates, timeout=5).items) == 1
    client.close()
    for connection in connections:
        connection.close()
