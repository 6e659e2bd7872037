"""Weights in files beside the model: those of the bundle are loaded, and nothing else is even opened."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import external
import onnx_bytes
import swap
from bundle import Bundle, write
from canary import Canaries
from client import Client
from expected import column
from faulty import edit_manifest, set_sum
from repository import Repository, reaches, reason
from server import ROOT, podium
from test_hot_swap import answering, serving

READY, FAILED = "READY", "FAILED"
PRICES = {"ids": ["a", "b", "c"], "columns": [column("price", [3, 1001, 2])]}


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A repository with the ranker that has all weights in the model."""
    made = Repository(tmp_path)
    made.publish(external.ranker(1))
    return made


@pytest.fixture
def canaries() -> Iterator[Canaries]:
    """Watches files that nobody may read."""
    watched = Canaries()
    yield watched
    watched.close()


def scores(client: Client, version: int) -> list[tuple[int, float]]:
    """Returns the candidates with their scores, as a version gives them."""
    answer = client.rank(model={"name": external.NAME, "version": version}, candidates=PRICES)
    assert answer.model_version == version
    return [(item.index, item.score) for item in answer.items]


def test_weights_beside_the_model_answer_the_same_bits(repository: Repository, log: Path) -> None:
    for version, place in enumerate(external.PLACES, start=2):
        repository.publish(external.ranker(version, (place,)))
    repository.publish(external.ranker(9, external.PLACES))
    # Neither offset nor length: the file is the tensor.
    repository.publish(with_whole_file(10))
    with serving(repository, log) as (_, client):
        versions = [*range(1, 2 + len(external.PLACES)), 9, 10]
        reaches(client, external.NAME, dict.fromkeys(versions, READY))
        want = scores(client, 1)
        assert len({score for _, score in want}) == 3
        for version in versions:
            assert scores(client, version) == want, f"version {version}"
    told = podium("check", repository.path / external.NAME / "9")
    assert "is fit to serve" in told.stdout, told.stdout + told.stderr


def with_whole_file(version: int) -> Bundle:
    """Returns a version with a file that holds nothing but one tensor."""
    bundle = external.ranker(version, ("constant",))
    for held in external.tensors_of(bundle.model):
        del held.external_data[1:]
    return bundle


@dataclass(frozen=True)
class Case:
    """A reference, and what is told of it; `outside` is the file that it leads to."""

    entries: dict[str, str]
    words: tuple[str, ...]
    spoil: Callable[[Path, Path], None] | None = None
    places: tuple[str, ...] = ("initializer",)


def take_out(directory: Path, outside: Path) -> None:
    """Takes the weights out of the bundle, and its name out of the list."""
    (directory / external.FILE).unlink()
    digest = hashlib.sha256(outside.read_bytes()).hexdigest()
    edit_manifest(directory, f'"{external.FILE}" = "{digest}"\n', "")


def link_to(directory: Path, outside: Path) -> None:
    """Makes the weights a symbolic link to the outside; its sum is right."""
    (directory / external.FILE).unlink()
    (directory / external.FILE).symlink_to(outside)


def hard_link_to(directory: Path, outside: Path) -> None:
    """Makes the weights another name of the file outside; its sum is right."""
    (directory / external.FILE).unlink()
    (directory / external.FILE).hardlink_to(outside)


def unlist(directory: Path, outside: Path) -> None:
    """Leaves the weights where they are, and takes them out of the list."""
    digest = hashlib.sha256(outside.read_bytes()).hexdigest()
    edit_manifest(directory, f'"{external.FILE}" = "{digest}"\n', "")


def wrong_sum(directory: Path, outside: Path) -> None:
    """Changes a weight, and not the sum."""
    content = bytearray(outside.read_bytes())
    content[7] ^= 1
    (directory / external.FILE).write_bytes(content)


def cut_short(directory: Path, outside: Path) -> None:
    """Takes the last bytes off the weights; the sum is right."""
    (directory / external.FILE).write_bytes(outside.read_bytes()[:-4])
    set_sum(directory, external.FILE)


NOT_PLAIN = "not a plain file name"
UP = {"location": "../outside.bin"}
MEMORY = {"location": "*/_ORT_MEM_ADDR_/*", "offset": "4096"}
CASES = {
    "up": Case(UP, ("initializer", "../outside.bin", NOT_PLAIN), take_out),
    "up from a node": Case(UP, ("constant", "../outside.bin", NOT_PLAIN), take_out, ("constant",)),
    "up from an inner graph": Case(UP, ("inner", "of the graph", NOT_PLAIN), take_out, ("inner",)),
    "up from a node in an inner graph": Case(UP, ("inner-constant", NOT_PLAIN), take_out, ("inner-constant",)),
    "up from a function": Case(UP, ("function `my.Plus`", NOT_PLAIN), take_out, ("function",)),
    "up from a sparse tensor": Case(UP, ("sparse", NOT_PLAIN), take_out, ("sparse",)),
    "absolute": Case({"location": "ABSOLUTE"}, ("initializer", "outside.bin", NOT_PLAIN), take_out),
    "down and up": Case({"location": "x/../../outside.bin"}, (NOT_PLAIN,), take_out),
    "here": Case({"location": f"./{external.FILE}"}, (NOT_PLAIN,)),
    "encoded": Case({"location": "%2e%2e%2foutside.bin"}, ("%2e%2e%2foutside.bin", "not listed"), take_out),
    "NUL": Case({"location": f"{external.FILE}\0/../../outside.bin"}, (NOT_PLAIN,)),
    "backslashes": Case({"location": "..\\outside.bin"}, (NOT_PLAIN,)),
    "nothing": Case({"location": ""}, (NOT_PLAIN,)),
    "the directory above": Case({"location": ".."}, (NOT_PLAIN,)),
    "memory of the process": Case(MEMORY, ("_ORT_MEM_ADDR_", NOT_PLAIN)),
    "the working directory": Case({"location": "CWD"}, ("not listed",), take_out),
    "a symbolic link": Case({}, (external.FILE, "not a regular file"), link_to),
    "a hard link": Case({}, (external.FILE, "2 links", "initializer"), hard_link_to),
    "unlisted": Case({}, (external.FILE, "initializer", "not listed"), unlist),
    "a wrong sum": Case({}, (external.FILE, "sha256"), wrong_sum),
    "beyond the end": Case({"offset": "4"}, ("initializer", "from byte 4 on", "ends at byte 256")),
    "far beyond the end": Case({"offset": str(2**64 - 1)}, ("ends at byte 256",)),
    "a file that is too short": Case({}, ("256 bytes from byte 0", "ends at byte 252"), cut_short),
    "no number": Case({"offset": "0x0"}, ("offset is `0x0`",)),
    "an unknown key": Case({"basepath": "/"}, ("basepath",)),
    "the model itself": Case({"location": "model.onnx"}, ("the model itself",)),
}


def test_a_reference_to_anything_else_is_refused_and_never_followed(
    repository: Repository, log: Path, canaries: Canaries
) -> None:
    right = external.weights("initializer").tobytes()
    in_cwd = ROOT / f"canary-{repository.path.parent.name}.bin"
    in_cwd.write_bytes(right)
    beside = repository.path / external.NAME / "outside.bin"
    beside.write_bytes(right)
    watched = [in_cwd, beside]
    try:
        for version, case in enumerate(CASES.values(), start=2):
            # Every case has a file outside of its own, whose bytes would do: a version that read it would serve.
            above = repository.staging / f"case-{version}"
            outside = above / external.NAME / "outside.bin"
            outside.parent.mkdir(parents=True)
            outside.write_bytes(external.weights(case.places[0]).tobytes())
            named = {"ABSOLUTE": str(outside), "CWD": in_cwd.name}
            entries = {key: named.get(value, value) for key, value in case.entries.items()}
            bundle = external.ranker(version, case.places, entries)
            if len(bundle.files.get(external.FILE, b"")) > len(right):  # both branches have it
                bundle = replace(bundle, files={external.FILE: outside.read_bytes()})
            directory = write(bundle, above)
            if case.spoil:
                case.spoil(directory, outside)
            watched.append(outside)
            repository.move_in(directory, external.NAME, version)
        for path in watched:
            canaries.watch(path)
        with serving(repository, log) as (_, client):
            versions = range(2, 2 + len(CASES))
            reaches(client, external.NAME, {1: READY} | dict.fromkeys(versions, FAILED), seconds=60)
            for version, (name, case) in zip(versions, CASES.items(), strict=True):
                told = reason(client, external.NAME, version)
                assert all(word in told for word in case.words), f"{name}: {told}"
                assert "Fix: " in told, name
                assert "ONNX Runtime" not in told, f"{name}: it was shown the graph"
            assert len(scores(client, 1)) == 3
        assert not canaries.read(), "a file outside of the bundle was opened"
    finally:
        in_cwd.unlink()


def test_names_that_lead_out_of_the_bundle_are_no_files_of_it(
    repository: Repository, log: Path, canaries: Canaries
) -> None:
    outside = repository.path / external.NAME / "outside.bin"
    outside.write_bytes(b"nobody's business")
    digest = hashlib.sha256(outside.read_bytes()).hexdigest()
    canaries.watch(outside)
    names = ["../outside.bin", "..", ".", "", "a/../../outside.bin", str(outside), "..\\\\outside.bin", "x\\u0000"]
    for version, name in enumerate(names, start=2):
        staged = repository.stage(external.ranker(version))
        edit_manifest(staged, "[files]\n", f'[files]\n"{name}" = "{digest}"\n')
        repository.move_in(staged, external.NAME, version)
    with serving(repository, log) as (_, client):
        versions = range(2, 2 + len(names))
        reaches(client, external.NAME, {1: READY} | dict.fromkeys(versions, FAILED))
        for version, name in zip(versions, names, strict=True):
            assert NOT_PLAIN in reason(client, external.NAME, version), name
    assert not canaries.read()


HOSTILE = {
    "24 graphs": (onnx_bytes.nested(40), "more than 24 graphs in one another"),
    "3000 graphs": (onnx_bytes.nested(3000), "more than 24 graphs in one another"),
    "a chain that overflows ONNX Runtime's stack": (onnx_bytes.chain(10_000), "chain of more than 32"),
    "functions that double": (onnx_bytes.chain(30, times=2), "has 1610612735 nodes"),
    "functions that grow tenfold": (onnx_bytes.chain(30, times=10), f"has {2**64 - 1} nodes"),
    "a ring": (onnx_bytes.ring(), "one calls itself"),
    "many nodes": (onnx_bytes.row(100_001), "has 100001 nodes"),
    "ONNX Runtime's own format": (b"\x1c\0\0\0ORTM" + bytes(99), "ONNX Runtime's own format"),
    "an operator that nobody knows": (onnx_bytes.unknown_operator(), "com.nobody"),
}


def test_graphs_beyond_the_limits_are_refused_before_onnx_runtime_sees_them(tmp_path: Path, log: Path) -> None:
    repository = Repository(tmp_path)
    repository.publish(swap.ranker(1))
    for version, (model, _) in enumerate(HOSTILE.values(), start=2):
        staged = repository.stage(swap.ranker(version))
        (staged / "model.onnx").write_bytes(model)
        set_sum(staged, "model.onnx")
        repository.move_in(staged, swap.NAME, version)
    with serving(repository, log) as (_, client):
        versions = range(2, 2 + len(HOSTILE))
        reaches(client, swap.NAME, {1: READY} | dict.fromkeys(versions, FAILED), seconds=60)
        for version, (name, (_, words)) in zip(versions, HOSTILE.items(), strict=True):
            told = reason(client, swap.NAME, version)
            assert words in told, f"{name}: {told}"
            by_onnx_runtime = "ONNX Runtime refuses" in told
            assert by_onnx_runtime == (name == "an operator that nobody knows"), f"{name}: {told}"
        assert answering(client) == 1


def test_the_file_bounds_the_nodes_of_a_model(tmp_path: Path, log: Path) -> None:
    repository = Repository(tmp_path)
    repository.say(f"[models.{swap.NAME}]\nlimits = {{ max_graph_nodes = 2 }}\n")
    repository.publish(swap.ranker(1))
    repository.publish(swap.ranker(1, name="other"))
    with serving(repository, log) as (_, client):
        reaches(client, swap.NAME, {1: FAILED})
        assert "has 3 nodes" in reason(client, swap.NAME, 1)
        assert "2 are the most" in reason(client, swap.NAME, 1)
        reaches(client, "other", {1: READY})


def test_graphs_that_were_optimised_once_are_found_again(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    repository.publish(swap.ranker(1))
    settings = {"PODIUM_MODELS__CACHE_DIR": str(tmp_path / "cache"), "PODIUM_MODELS__POLL_INTERVAL": "100ms"}
    answers = []
    kept: list[set[str]] = []
    for start in range(2):
        with serving(repository, tmp_path / f"log-{start}", settings) as (server, client):
            answers.append(answering(client))
            assert "warmed up" in server.output()
        kept.append({path.name for path in (tmp_path / "cache" / "graphs").iterdir()})
    assert answers == [1, 1]
    assert len(kept[0]) == 1
    assert kept[0] == kept[1]
    assert (tmp_path / "cache" / "graphs").stat().st_mode & 0o777 == 0o700
