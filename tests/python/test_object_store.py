"""The repository is a bucket of a real S3 server: what happens there, or to it, is never at the cost of who ranks."""

from __future__ import annotations

import shutil
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

import swap
import tiny
from client import Client
from object_store import SECRET_KEY, URL, Door, Store, settings, sha256
from repository import reaches, reason, states, until
from server import Server, podium
from test_hot_swap import FAILED, FOUND, POLLS, READY, answering, answers_with, load

NAME = swap.NAME


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An S3 server whose bucket has the first version of the swap ranker."""
    with Store(tmp_path) as running:
        running.publish(swap.ranker(1))
        yield running


@pytest.fixture
def door(store: Store) -> Iterator[Door]:
    """A door before the store."""
    opened = Door(store)
    yield opened
    opened.close()


@contextmanager
def serving(port: int, path: Path, log: str = "server.log", **more: str) -> Iterator[tuple[Server, Client]]:
    """Starts a server that follows the bucket by this port, with its cache below the path."""
    with Server(URL, path / log, settings(port, path / "cache", **more)) as server:
        client = Client(server.address)
        yield server, client
        client.close()
        server.terminate()
        assert server.wait() == 0
    for word in ("panicked", "this is a bug", SECRET_KEY):
        assert word not in server.output()


def fault(client: Client) -> str:
    """Returns what is wrong with the repository."""
    told: str = client.info().repository_fault
    return told


def is_told(client: Client, words: str) -> bool:
    """Says whether this is what is wrong with the repository."""
    return words in fault(client)


def is_right(client: Client) -> bool:
    """Says whether nothing is wrong with the repository."""
    return not fault(client)


def why(client: Client, version: int) -> str:
    """Returns why a version is what it is; nothing where it is not there."""
    return reason(client, NAME, version) if version in states(client, NAME) else ""


def labels(client: Client, version: int) -> list[str]:
    """Returns the labels that lead to a version, but for `latest`."""
    model = next(model for model in client.info().models if (model.name, model.version) == (NAME, version))
    return [label for label in model.labels if label != "latest"]


def kept(path: Path) -> list[Path]:
    """Returns the files of bundles in the cache."""
    return [file for file in (path / "cache" / "bundles").glob("*/*/*/*/*") if file.is_file()]


def test_a_version_answers_once_its_manifest_is_uploaded(store: Store, tmp_path: Path) -> None:
    second = swap.ranker(2)
    files = store.files(second)
    manifest = files.pop("model.toml")
    with serving(store.port, tmp_path) as (server, client), load(server) as told:
        assert client.info().repository == f"{URL}, kept in {tmp_path / 'cache' / 'bundles'}"
        assert f"from    {URL}, kept in" in server.output()
        store.upload(second, files)
        time.sleep(POLLS)
        assert states(client, NAME) == {1: READY}, "half an upload was looked at"
        store.upload(second, {"model.toml": manifest})
        answers_with(client, 2)
        store.remove(second)
        answers_with(client, 1)
        reaches(client, NAME, {1: READY})
        store.publish(swap.ranker(3))
        answers_with(client, 3)
        reaches(client, NAME, {1: READY, 3: READY})
    assert not told.errors
    assert stat.S_IMODE((tmp_path / "cache" / "bundles").stat().st_mode) == 0o700


def test_what_the_manifest_lists_and_is_not_there_may_still_come(store: Store, tmp_path: Path) -> None:
    second = swap.ranker(2)
    files = store.files(second)
    with serving(store.port, tmp_path) as (_, client):
        store.upload(second, {"model.toml": files["model.toml"]})
        reaches(client, NAME, {1: READY, 2: FAILED})
        assert "model.onnx: is not in the repository" in reason(client, NAME, 2)
        assert f"{URL}/{NAME}/2" in reason(client, NAME, 2)
        assert answering(client) == 1
        store.upload(second, {"model.onnx": files["model.onnx"]})
        answers_with(client, 2)


def test_a_wrong_object_is_refused_with_both_sums(store: Store, door: Door, tmp_path: Path) -> None:
    second = swap.ranker(2)
    right = store.files(second)
    wrong = right["model.onnx"][:-1] + b"?"
    with serving(door.port, tmp_path) as (server, client), load(server) as told:
        store.upload(second, right | {"model.onnx": wrong})
        reaches(client, NAME, {1: READY, 2: FAILED})
        for known in (sha256(wrong), sha256(right["model.onnx"])):
            assert known in reason(client, NAME, 2)
        assert sha256(wrong) not in {sha256(file.read_bytes()) for file in kept(tmp_path)}
        fetched = door.gets[f"{NAME}/2/model.onnx"]
        time.sleep(POLLS)
        assert door.gets[f"{NAME}/2/model.onnx"] == fetched <= 2, "what has failed is fetched on and on"
        assert answering(client) == 1
        store.upload(second, right)
        answers_with(client, 2)
    assert not told.errors


def test_servers_follow_one_file(store: Store, tmp_path: Path) -> None:
    for version in (2, 3):
        store.publish(swap.ranker(version))
    store.say(f"[models.{NAME}]\nlive = 2")
    paths = [tmp_path / "a", tmp_path / "b"]
    for path in paths:
        path.mkdir()
    with serving(store.port, paths[0]) as (_, one), serving(store.port, paths[1]) as (_, other):
        assert answering(one) == answering(other) == 2
        store.say(f"[models.{NAME}]\nlive = 1\nlabels = {{ canary = 3 }}")
        for client in (one, other):
            answers_with(client, 1)
            answers_with(client, 3, label="canary")
        store.say(f"[models.{NAME}]\nlife = 1")
        for client in (one, other):
            until(partial(is_told, client, "unknown field `life`"), "the fault was never told")
            assert answering(client) == 1
        store.delete("serving.toml")
        for client in (one, other):
            answers_with(client, 3)
            until(partial(is_right, client), "the fault stayed")


def test_a_store_that_goes_away_or_answers_errors_costs_nobody_an_answer(
    store: Store, door: Door, tmp_path: Path
) -> None:
    with serving(door.port, tmp_path) as (server, client):
        with load(server) as told:
            store.kill()
            until(lambda: "503 Service Unavailable" in fault(client), "that the store is gone was never told")
            time.sleep(POLLS)
            store.start()
            until(lambda: not fault(client), "the store is back, and the fault stays")
            door.status = 500
            until(lambda: "500 Internal Server Error (NotToday)" in fault(client), "errors were never told")
            assert URL in fault(client)
            time.sleep(POLLS)
            assert states(client, NAME) == {1: READY}
            door.status = None
            store.publish(swap.ranker(2))
            answers_with(client, 2)
            until(lambda: not fault(client), "the fault stayed")
        assert not told.errors
        assert server.output().count("something is wrong with the repository") == 2, "it is told once each time"
        assert "backing off" not in server.output(), "each try is told"
    with serving(store.port, tmp_path) as (server, client):
        store.kill()
        until(lambda: "Connection refused" in fault(client), "that nobody listens was never told")
        assert answering(client) == 2


def test_a_fetch_that_breaks_off_goes_on_when_the_store_is_back(store: Store, door: Door, tmp_path: Path) -> None:
    second = swap.ranker(2)
    with serving(door.port, tmp_path) as (server, client), load(server) as told:
        door.held = f"{NAME}/2/model.onnx"
        store.publish(second)
        until(lambda: why(client, 2) == "it is being fetched", "it was never fetched")
        # Meanwhile what `serving.toml` says is followed.
        store.say(f"[models.{NAME}]\nlive = 1\nlabels = {{ stable = 1 }}")
        until(lambda: labels(client, 1) == ["stable"], "the file was not followed")
        store.say("")
        until(lambda: labels(client, 1) == [], "the file was not followed")
        assert states(client, NAME) == {1: READY, 2: FOUND}
        door.status = 500
        door.held = None
        until(lambda: "500" in why(client, 2), "that the fetch broke off was never told")
        assert states(client, NAME) == {1: READY, 2: FOUND}
        door.status = None
        answers_with(client, 2)
        assert not list((tmp_path / "cache" / "bundles" / "incoming").iterdir())
    assert not told.errors


def test_what_is_cached_is_not_fetched_again(store: Store, door: Door, tmp_path: Path) -> None:
    first = swap.ranker(1)
    graph = f"{NAME}/1/model.onnx"
    left = tmp_path / "cache" / "bundles" / "incoming" / "1-1"
    with serving(door.port, tmp_path) as (_, client):
        assert door.gets[graph] == 1
        # Another version with the same graph.
        store.publish(replace(first, version="2", manifest=first.manifest + "\n"))
        reaches(client, NAME, {1: READY, 2: READY})
        assert door.gets[f"{NAME}/2/model.onnx"] == 0
    left.write_bytes(b"what a process left that was killed")
    with serving(door.port, tmp_path, "again.log") as (_, client):
        reaches(client, NAME, {1: READY, 2: READY})
        assert door.gets[graph] == 1
        assert door.gets[f"{NAME}/2/model.onnx"] == 0
        assert not left.exists()
    for file in kept(tmp_path):
        if file.name == "model.onnx":
            file.write_bytes(file.read_bytes()[:-1])
    with serving(door.port, tmp_path, "damaged.log") as (_, client):
        reaches(client, NAME, {1: READY, 2: READY})
        assert door.gets[graph] + door.gets[f"{NAME}/2/model.onnx"] == 2, "only one is fetched; the other is a copy"


def test_a_start_without_the_store_serves_what_was_last_seen(store: Store, door: Door, tmp_path: Path) -> None:
    ended = podium("serve", "--models", URL, settings=settings(1, tmp_path / "empty"), timeout=60)
    assert ended.returncode != 0
    assert "cannot be read: Connection refused" in ended.stderr
    store.publish(swap.ranker(2))
    store.say(f"[models.{NAME}]\nlive = 1")
    with serving(door.port, tmp_path) as (_, client):
        reaches(client, NAME, {1: READY, 2: READY})
    door.status = 500
    with serving(door.port, tmp_path, "again.log") as (server, client):
        assert answering(client) == 1, "the file is not what it last said"
        assert states(client, NAME) == {1: READY, 2: READY}
        assert "500 Internal Server Error" in fault(client)
        assert "FAULT   the model repository" in server.output()
        door.status = None
        store.say(f"[models.{NAME}]\nlive = 2")
        answers_with(client, 2)
        until(lambda: not fault(client), "the fault stayed")


BOUND = 1 << 20


def fill(path: Path) -> None:
    """Writes a file until there is no room for more."""
    with path.open("wb") as filler:
        while True:
            filler.write(b"x" * 4096)
            filler.flush()


def test_the_cache_keeps_to_its_bound(store: Store, tmp_path: Path) -> None:
    store.say(f'[models.{NAME}]\nload = "live"\nkeep_warm = "0s"')
    with serving(store.port, tmp_path, PODIUM_MODELS__CACHE_BYTES=str(BOUND)) as (_, client):
        for version in range(2, 7):
            store.publish(swap.ranker(version, model_bytes=BOUND * 2 // 5))
            answers_with(client, version)
            sizes = {file: file.stat().st_size for file in kept(tmp_path)}
            assert sum(sizes.values()) <= BOUND, sizes
            graphs = {int(file.parent.name) for file in sizes if file.name == "model.onnx"}
            assert version in graphs, "what is in use has left"
        store.publish(swap.ranker(7, model_bytes=BOUND * 2))
        until(lambda: "are missing" in why(client, 7), "never told")
        assert "models.cache_bytes` is 1048576" in reason(client, NAME, 7)
        assert states(client, NAME)[7] == FOUND
        assert answering(client) == 6
        # What left the cache comes again when it is wanted.
        store.say(f'[models.{NAME}]\nload = "live"\nkeep_warm = "0s"\nlive = 2')
        answers_with(client, 2)


def test_a_full_disk_leaves_the_live_version_serving(store: Store, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={BOUND}", "tmpfs", str(cache)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    try:
        with serving(store.port, tmp_path) as (server, client), load(server) as told:
            store.publish(swap.ranker(2, model_bytes=BOUND * 2))
            until(lambda: "disk is full" in why(client, 2), "never told")
            assert states(client, NAME) == {1: READY, 2: FOUND}
            # Somebody else fills the disk, so that not even a manifest fits.
            with pytest.raises(OSError, match="No space left"):
                fill(cache / "filler")
            store.publish(swap.ranker(3))
            until(lambda: "disk is full" in why(client, 3), "that the disk is full was never told")
            # What is here is followed all the same.
            store.say(f"[models.{NAME}]\nlabels = {{ stable = 1 }}")
            until(lambda: labels(client, 1) == ["stable"], "the file was not followed")
            assert answering(client) == 1
            assert not fault(client)
            (cache / "filler").unlink()
            answers_with(client, 3)
        assert server.output().count("what was seen cannot be written down") == 1
        assert not told.errors
    finally:
        subprocess.run(["umount", str(cache)], check=True)


def test_no_key_leads_out_of_the_cache(store: Store, door: Door, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    canary.write_bytes(b"alive")
    cache = tmp_path / "cache"
    bundle = swap.ranker(2)
    files = store.files(bundle)
    # From a version's directory in the cache to where the canary is.
    up = "../" * len(("version", "name", "manifest", "store", "bundles", "cache"))
    bucket = store.root / "shop" / "ranking" / "models"
    with serving(door.port, tmp_path) as (_, client):
        for name in ("%2e%2e", "..%2f..", "m\\..\\..", ".hidden", "Upper"):
            for version in ("1", "%2e%2e", "..\\x"):
                (bucket / name / version).mkdir(parents=True)
                (bucket / name / version / "model.toml").write_bytes(files["model.toml"])
        # A version with more objects than its manifest lists, by odd names.
        for name in ("%2e%2e", "..%2fcanary", "a\\..\\b", "deeper/model.toml"):
            (bucket / NAME / "2" / name).parent.mkdir(parents=True, exist_ok=True)
            (bucket / NAME / "2" / name).write_bytes(b"dead")
        store.publish(bundle)
        answers_with(client, 2)
        assert {model.name for model in client.info().models} == {NAME}
        # Manifests that list such names, with the sums that the files there have.
        listed = ["../canary", "/etc/hostname", str(canary), "..", "a\\\\b", "a\\u0000b", f"{up}canary"]
        lines = "".join(f'"{name}" = "{sha256(b"alive")}"\n' for name in listed)
        store.upload(swap.ranker(3), files | {"model.toml": files["model.toml"] + lines.encode()})
        reaches(client, NAME, {1: READY, 2: READY, 3: FAILED})
        assert reason(client, NAME, 3).count("is not a plain file name") == len(listed)
        # Keys that no client can name: the listing is refused, and what is loaded goes on.
        for key in (
            f"ranking/models/{NAME}/4/../../../canary",
            "ranking/models/../canary/1/model.toml",
            "ranking/models//1/model.toml",
        ):
            door.more_keys = [key]
            until(lambda: "cannot be read" in fault(client), f"{key} was never told")
            assert answering(client) == 2
            door.more_keys = []
            until(lambda: not fault(client), "the fault stayed")
        assert states(client, NAME) == {1: READY, 2: READY, 3: FAILED}
    outside = {path.name for path in tmp_path.iterdir()}
    assert outside == {"canary", "cache", "s3", "s3.log", "staging", "server.log"}
    assert canary.read_bytes() == b"alive"
    assert {file.name for file in kept(tmp_path)} == {"model.toml", "model.onnx"}
    assert {path.name for path in (cache / "bundles").iterdir() if len(path.name) != len("0123456789abcdef")} == {
        "incoming"
    }


def test_credentials_are_needed_and_never_shown(store: Store, tmp_path: Path) -> None:
    wrong = settings(store.port, tmp_path / "cache") | {"AWS_SECRET_ACCESS_KEY": "not-the-secret"}
    ended = podium("serve", "--models", URL, settings=wrong)
    assert ended.returncode != 0
    assert "403 Forbidden (SignatureDoesNotMatch)" in ended.stderr
    file = tmp_path / "podium.toml"
    file.write_text(
        f'[models]\ndir = "{URL}"\n[models.store]\nsecret_access_key = "{SECRET_KEY}"\nendpoint = "http://127.0.0.1:{store.port}"\n'
    )
    shown = podium("config", "--config", file)
    assert shown.returncode == 0
    assert SECRET_KEY not in shown.stdout
    assert 'secret_access_key = "***"' in shown.stdout
    # The table goes before the environment.
    with Server(URL, tmp_path / "log", wrong | {"PODIUM_CONFIG": str(file)}) as server:
        client = Client(server.address)
        assert answering(client) == 1
        client.close()


def test_an_address_that_is_none_is_told() -> None:
    for address, words in {
        "ftp://shop/models": "write a directory, or a URL such as s3://",
        "s3://me:word@shop": "holds a password",
        "": "models.dir: is empty",
    }.items():
        ended = podium("serve", "--models", address)
        assert ended.returncode != 0
        assert words in ended.stderr
        assert "word@" not in ended.stderr
    unknown = podium("serve", "--models", URL, settings={"PODIUM_MODELS__STORE__SECRET_KEY": "word"})
    assert "models.store.secret_key: no option of this kind of store" in unknown.stderr
    checked = podium("check", f"{URL}/{NAME}/1")
    assert "copy it into a directory" in checked.stderr


def test_the_bench_reads_a_bundle_from_the_store(store: Store, tmp_path: Path) -> None:
    for bundle in (tiny.encoder(), tiny.ranker(1)):
        store.publish(bundle)
    with serving(store.port, tmp_path) as (server, _):
        ended = podium(
            "bench", "--models", URL, "--target", f"http://{server.address}", "--model", "tiny-ranker",
            "--concurrency", "1",
            "--duration", "200ms", "--warmup", "100ms", "--candidates", "5", "--repeat", "1", "--no-raw",
            settings=settings(store.port, tmp_path / "bench"),
        )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert list((tmp_path / "bench" / "bundles").glob("*/*/tiny-ranker/1/model.onnx"))


def test_a_directory_that_vanishes_leaves_the_live_version_serving(tmp_path: Path) -> None:
    repository = tmp_path / "models"
    bundle = swap.ranker(1)
    with Store(tmp_path) as store:
        files = store.files(bundle)
    home = bundle.directory(repository)
    home.mkdir(parents=True)
    for name, content in files.items():
        (home / name).write_bytes(content)
    with Server(f"file://{repository}", tmp_path / "log", {"PODIUM_MODELS__POLL_INTERVAL": "100ms"}) as server:
        client = Client(server.address)
        with load(server) as told:
            repository.rename(tmp_path / "gone")
            until(lambda: "cannot be read" in fault(client), "that it is gone was never told")
            repository.write_text("no directory")
            until(lambda: "Not a directory" in fault(client), "that it is none was never told")
            repository.unlink()
            shutil.move(tmp_path / "gone", repository)
            until(lambda: not fault(client), "the fault stayed")
            assert answering(client) == 1
        assert not told.errors
        client.close()
