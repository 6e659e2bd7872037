"""Takes a made-up log to a served order: prepare, train, tune, compress, evaluate, export, Rank."""

from __future__ import annotations

import json

import numpy as np
import pytest
from served import podium, serving, train_models

USERS, ITEMS = 240, 40

TINY = (
    "model.width=16",
    "model.dropout=0.1",
    "train.epochs=40",
    "train.learning_rate=0.01",
    "train.negatives=16",
    "train.threads=1",
)
SPACE = """
[model]
width = [16]
layers = [1, 2]
[train]
epochs = [2]
negatives = [16]
threads = [1]
"""


def write_log(folder):
    """Writes a log in which item n is mostly followed by item n + 1, and a catalogue."""
    random = np.random.default_rng(11)
    lines = []
    for user in range(USERS):
        item = int(random.integers(ITEMS))
        for step in range(int(random.integers(3, 14))):
            item = (item + 1) % ITEMS if random.random() < 0.9 else int(random.integers(ITEMS))
            lines.append(f"user-{user},sku-{item},{1_700_000_000 + user + step * 3600}")
    lines += [",sku-1,5", "user-1,sku-1,never"]
    random.shuffle(lines)
    (folder / "log.csv").write_text("\n".join(["user,item,time", *lines]) + "\n")
    rows = [f"sku-{n},Thing {n},brand {n % 3},{n + 0.5}" for n in range(ITEMS - 2)]
    (folder / "items.csv").write_text("item,title,brand,price\n" + "\n".join(rows) + "\n")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Prepares and trains in a directory with ``run`` and ``models``."""
    folder = tmp_path_factory.mktemp("sequence")
    write_log(folder)
    (folder / "space.toml").write_text(SPACE)
    catalogue = ("--items", folder / "items.csv", "--item-text", "title")
    features = ("--item-attributes", "brand", "--item-price", "price")
    train_models(
        *("prepare", "interactions", folder / "log.csv", *catalogue, *features),
        *("--run", folder / "run"),
    )
    settings = [part for one in TINY for part in ("--set", one)]
    train_models("train", "--run", folder / "run", *settings)
    return folder


def test_the_report_counts_what_was_dropped(folder):
    report = json.loads((folder / "run" / "prepared" / "report.json").read_text())
    assert report["events"]["dropped"]["empty_user"] == 1
    assert report["events"]["dropped"]["bad_time"] == 1
    assert report["catalogue"]["items_without_a_row"] == 2


def test_two_trials_are_tuned(folder):
    given = ("tune", "--run", folder / "run", "--space", folder / "space.toml", "--trials", "2")
    train_models(*given, "--method", "grid")
    best = json.loads((folder / "run" / "tune" / "best.json").read_text())
    assert best["value"] > 0
    assert (folder / "run" / "tune" / "trials.png").is_file()


@pytest.mark.parametrize("method", ["int8-dynamic", "int8-static", "fp16"])
def test_graphs_are_compressed(folder, method):
    train_models("compress", "--run", folder / "run", "--method", method, "--max-loss", "0.1")
    (found,) = (folder / "run" / "trained").glob(f"*/graphs-{method}/compression.json")
    report = json.loads(found.read_text())
    assert report["loss"] <= 0.1
    assert (found.parent / "ranker.onnx").is_file()


def test_a_smaller_model_follows_a_trained_one(folder):
    run = folder / "run"
    teacher = run / "trained" / "best-1"
    given = ("compress", "--run", run, "--trained", teacher.name, "--method", "distil")
    train_models(*given, "--max-loss", "0.3", "--set", "train.epochs=80")
    student = teacher.with_name(f"{teacher.name}-distil")
    report = json.loads((student / "compression.json").read_text())
    assert report["after"]["size_bytes"] < report["before"]["size_bytes"]
    assert report["after"]["quality"]["ndcg@10"] > 0.3
    export = ("export", "--run", run, "--models", folder / "small", "--bundle", "tiny")
    train_models(*export, "--trained", student.name)
    train_models(*export, "--trained", teacher.name, "--compressed", "int8-dynamic")
    for bundle in sorted((folder / "small").glob("*/1")):
        podium("check", bundle)


def test_the_model_learns_and_is_served_as_it_was_measured(folder):
    run, repository = folder / "run", folder / "models"
    train_models("evaluate", "--run", run)
    metrics = json.loads((run / "trained" / "best-1" / "metrics.json").read_text())
    assert metrics["all_items"]["ndcg@10"][0] > 0.5
    export = ("export", "--run", run, "--models", repository, "--bundle", "tiny")
    train_models(*export, "--trained", "best-1")
    for bundle in sorted(repository.glob("*/1")):
        podium("check", bundle)
    with serving(repository, folder / "server.log") as address:
        served = ("--models", repository, "--bundle", "tiny", "--target", address)
        train_models("evaluate", "--run", run, *served)
        example = repository / "tiny" / "1" / "example.json"
        ids = json.loads(example.read_text())["candidates"]["ids"]
        candidates = folder / "candidates.csv"
        candidates.write_text("id\n" + "\n".join(ids) + "\n")
        told = podium(
            "rank", "--target", f"http://{address}", "--model", "tiny", "--candidates", candidates
        )
        assert any(one in told for one in ids)
