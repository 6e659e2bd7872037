"""Thirty-two managers change what serves at random, through two servers that follow one repository under load."""

from __future__ import annotations

import random
import threading
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

import swap
from client import Client, Refusal
from repository import Repository, states, until
from server import Server
from test_hot_swap import FREED, QUICK, READY, answering, load

VERSIONS = range(1, 7)
MANAGERS = 32
CHANGES = 6


class Manager:
    """Someone who loads, unloads and promotes versions at random, and notes what came of it."""

    def __init__(self, server: Server, seed: int) -> None:
        """Connects to the admin listener of a server."""
        self.client = Client(f"127.0.0.1:{server.admin_port}")
        self.random = random.Random(seed)
        self.told: Counter[str] = Counter()
        self.wrong: list[str] = []

    def work(self) -> None:
        """Makes the changes."""
        for _ in range(CHANGES):
            revision = self.client.models("ListModels").revision if self.random.random() < 0.3 else ""
            version = self.random.choice(VERSIONS)
            method = self.random.choice(["LoadModel", "UnloadModel", "PromoteModel"])
            which = {"target": str(version)} if method == "PromoteModel" else {"version": version}
            try:
                self.client.models(method, name=swap.NAME, revision=revision, **which)
                self.told[method] += 1
            except grpc.RpcError as error:
                self.note(error, method, revision)
        self.client.close()

    def note(self, error: Any, method: str, revision: str) -> None:
        """Notes a refusal; only two kinds are right."""
        failed = Refusal(error.code(), error.details() or "", list(rpc_status.from_call(error).details))
        if failed.code != grpc.StatusCode.FAILED_PRECONDITION:
            self.wrong.append(f"{method}: {failed}")
            return
        kinds = {violation.type for violation in failed.detail(error_details_pb2.PreconditionFailure).violations}
        right = (kinds == {"REVISION"} and revision) or (kinds == {"LIVE"} and method == "UnloadModel")
        if not right:
            self.wrong.append(f"{method} for {revision!r}: {failed}")
        self.told["REVISION" if "REVISION" in kinds else "LIVE"] += 1


def test_many_managers_leave_servers_that_are_what_the_file_says(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    for version in VERSIONS:
        repository.publish(swap.ranker(version))
    repository.say(f"# The storm's.\n[models.{swap.NAME}]\nlive = 1\n")
    with (
        Server(repository.path, tmp_path / "a.log", QUICK) as first,
        Server(repository.path, tmp_path / "b.log", QUICK) as second,
    ):
        servers = (first, second)
        managers = [Manager(servers[seed % 2], seed) for seed in range(MANAGERS)]
        with load(first, callers=2) as of_first, load(second, callers=2) as of_second:
            threads = [threading.Thread(target=manager.work) for manager in managers]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(90)
            assert not any(thread.is_alive() for thread in threads), "a change never returned"
        assert not [wrong for manager in managers for wrong in manager.wrong]
        assert not of_first.errors + of_second.errors
        told = sum((manager.told for manager in managers), Counter[str]())
        assert told.total() == MANAGERS * CHANGES
        assert min(told["LoadModel"], told["UnloadModel"], told["PromoteModel"]) > 5, told
        assert min(told["REVISION"], told["LIVE"]) > 0, told

        text = (repository.path / "serving.toml").read_text(encoding="utf-8")
        assert text.startswith("# The storm's.\n")
        said = tomllib.loads(text)["models"][swap.NAME]
        gone = set(said.get("unloaded", []))
        assert said["live"] not in gone
        for server in servers:
            client = Client(server.address)
            until(lambda client=client: answering(client) == said["live"], f"{said} is not followed")  # type: ignore[misc]

            def settled(client: Client = client) -> bool:
                now = states(client, swap.NAME)
                unloaded = {version for version, state in now.items() if state in (FREED, "FOUND")}
                return unloaded == gone and set(now.values()) <= {READY, FREED, "FOUND"}

            until(settled, f"{said}, but {states(client, swap.NAME)}", 30)
            client.close()
            server.terminate()
            assert server.wait() == 0
            assert "panicked" not in server.output()
            assert "this is a bug" not in server.output()
