"""Asks the admin listener's plain HTTP."""

from __future__ import annotations

import http.client
import json
from typing import Any

from server import Server


def ask(
    server: Server, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, dict[str, str], str]:
    """Returns status, headers and body of an answer; `_` in a header's name stands for `-`."""
    connection = http.client.HTTPConnection("127.0.0.1", server.admin_port, timeout=30)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, named)
    response = connection.getresponse()
    text = response.read().decode()
    told = {name.lower(): value for name, value in response.getheaders()}
    connection.close()
    return response.status, told, text


def status(server: Server) -> dict[str, Any]:
    """Returns what `/statusz` answers."""
    code, _, text = ask(server, "GET", "/statusz")
    assert code == 200, text
    told: dict[str, Any] = json.loads(text)
    return told


def try_rank(server: Server, request: Any, **headers: str) -> tuple[int, dict[str, str], dict[str, Any]]:
    """Posts a request to `/rank`; returns status, headers and the JSON of the answer."""
    kind = {"content_type": "application/json"} | headers
    code, told, text = ask(server, "POST", "/rank", json.dumps(request).encode(), **kind)
    answer: dict[str, Any] = json.loads(text)
    return code, told, answer
