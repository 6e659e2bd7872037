"""Checks the bundles in the tree: sums, manifest, tables, golden vectors, independence of rows."""

from __future__ import annotations

import gzip
import hashlib
import json
import tomllib
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from podium_models.ranker.data.signatures import ENCODER_INPUTS, RANKER_INPUTS, RANKER_OUTPUTS
from podium_models.ranker.evaluation.onnx_scorer import OnnxScorer, open_session

MODELS = Path(__file__).resolve().parents[1]
ENCODER, RANKER = MODELS / "grocery-encoder" / "1", MODELS / "grocery-ranker" / "1"
BUNDLES = [ENCODER, RANKER]


def manifest(bundle):
    return tomllib.loads((bundle / "model.toml").read_text(encoding="utf-8"))


def table(path):
    return pl.read_csv(gzip.decompress(path.read_bytes()))


@pytest.fixture(scope="module")
def scorer():
    return OnnxScorer(ENCODER / "model.onnx", RANKER / "model.onnx", threads=1)


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda one: one.parent.name)
def test_sums_cover_every_file(bundle):
    sums = manifest(bundle)["files"]
    assert set(sums) == {one.name for one in bundle.iterdir()} - {"model.toml"}
    for name, wanted in sums.items():
        assert hashlib.sha256((bundle / name).read_bytes()).hexdigest() == wanted


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda one: one.parent.name)
def test_manifest_matches_the_graph(bundle):
    stated = {one["name"]: one for one in manifest(bundle)["inputs"]}
    graph = open_session(bundle / "model.onnx", 1).get_inputs()
    assert set(stated) == {one.name for one in graph}
    assert set(stated) == set(ENCODER_INPUTS if bundle is ENCODER else RANKER_INPUTS)
    for one in graph:
        assert one.shape == stated[one.name]["shape"]
        assert {"tensor(float)": "float32", "tensor(int64)": "int64"}[one.type] == (
            stated[one.name]["dtype"]
        )


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda one: one.parent.name)
def test_golden_vectors_hold(bundle):
    session, stated = open_session(bundle / "model.onnx", 1), manifest(bundle)["golden"]
    cases = json.loads((bundle / stated["file"]).read_text(encoding="utf-8"))["cases"]
    assert len(cases) >= 3
    for case in cases:
        inputs = {
            name: np.array(one["data"], dtype=one["dtype"]).reshape(one["shape"])
            for name, one in case["inputs"].items()
        }
        for name, one in case["outputs"].items():
            wanted = np.array(one["data"]).reshape(one["shape"])
            got = session.run([name], inputs)[0]
            limit = stated["tolerance"] * np.maximum(1.0, np.abs(wanted))
            assert (np.abs(got - wanted) <= limit).all(), case["name"]


def test_gzip_headers_hold_no_time():
    for bundle in BUNDLES:
        for path in bundle.glob("*.gz"):
            assert path.read_bytes()[3:8] == bytes(5)


def test_catalogue_covers_the_vocabulary_in_order():
    items = (RANKER / "items.txt").read_text(encoding="utf-8").splitlines()
    catalogue = table(RANKER / "catalogue.csv.gz")
    assert catalogue["item"].cast(pl.String).to_list() == items
    categories = (RANKER / "categories.txt").read_text(encoding="utf-8").splitlines()
    assert set(catalogue["category"].to_list()) == set(categories)
    assert catalogue.null_count().sum_horizontal().item() == 0
    assert catalogue["discount"].is_between(0, 1).all()
    for name in ("items.txt", "categories.txt"):
        assert (RANKER / name).read_bytes() == (ENCODER / name).read_bytes()


def test_histories_are_grouped_ordered_bounded_and_end_with_week_43():
    histories = table(ENCODER / "histories.csv.gz")
    assert histories.columns == ["user", "item", "time"]
    users = histories["user"].to_numpy()
    assert (np.diff(users) >= 0).all()
    same = np.diff(users) == 0
    assert (np.diff(histories["time"].to_numpy())[same] >= 0).all()
    assert histories.group_by("user").len()["len"].max() <= 256
    assert histories["time"].max() < 1_509_321_600 + 86_400  # week 43 ends with 29 October 2017
    known = set((ENCODER / "items.txt").read_text(encoding="utf-8").split())
    assert set(histories["item"].cast(pl.String).to_list()) <= known


def test_example_asks_about_at_least_200_known_items():
    example = json.loads((RANKER / "example.json").read_text(encoding="utf-8"))
    ids = example["candidates"]["ids"]
    known = set((RANKER / "items.txt").read_text(encoding="utf-8").split())
    assert len(ids) >= 200
    assert len(set(ids)) == len(ids)
    assert set(ids) <= known
    for column in example["candidates"]["columns"]:
        assert len(column["floats"]["values"]) == len(ids)


def random_batch(users, length, rows, seed=0):
    """Draws inputs of both graphs that are valid whatever the vocabulary."""
    random = np.random.default_rng(seed)
    mask = (np.arange(length) < random.integers(0, length + 1, users)[:, None]).astype(np.float32)
    encoder = {
        "item": random.integers(2, 10_000, (users, length)) * mask.astype(np.int64),
        "category": random.integers(2, 200, (users, length)) * mask.astype(np.int64),
        "gap": random.random((users, length)).astype(np.float32) * 3 * mask,
        "mask": mask,
    }
    ranker = {
        "user_index": np.sort(random.integers(0, users, rows)),
        "item": random.integers(1, 10_000, rows),
        "category": random.integers(1, 200, rows),
    }
    for name in RANKER_INPUTS[5:]:
        ranker[name] = random.random(rows).astype(np.float32)
    return encoder, ranker, np.full(users, 44.0, dtype=np.float32)


def test_right_padding_changes_nothing(scorer):
    encoder, _, _ = random_batch(5, 40, 1)
    padded = {
        name: np.concatenate([values, np.zeros_like(values)], axis=1)
        for name, values in encoder.items()
    }
    assert np.abs(scorer.embed(encoder) - scorer.embed(padded)).max() < 1e-5


def test_a_users_scores_do_not_depend_on_the_batch(scorer):
    encoder, ranker, week = random_batch(9, 30, 400)
    embedding = scorer.embed(encoder)
    together = scorer.rank(embedding, week, ranker)
    for user in range(9):
        alone = scorer.embed({name: values[user : user + 1] for name, values in encoder.items()})
        assert np.abs(alone[0] - embedding[user]).max() < 1e-5
        mine = ranker["user_index"] == user
        rows = {name: values[mine] for name, values in ranker.items()}
        rows["user_index"] = np.zeros(mine.sum(), dtype=np.int64)
        for left, right in zip(scorer.rank(alone, week[:1], rows), together, strict=True):
            assert np.abs(left - right[mine]).max(initial=0.0) < 1e-5


def test_an_unknown_shopper_has_a_finite_embedding_and_distinct_scores(scorer):
    encoder, ranker, week = random_batch(1, 1, 50)
    encoder = {name: np.zeros_like(values) for name, values in encoder.items()}
    embedding = scorer.embed(encoder)
    assert np.isfinite(embedding).all()
    for head in scorer.rank(embedding, week, ranker):
        assert np.isfinite(head).all()
        assert head.std() > 0


@pytest.mark.parametrize(("users", "length", "rows"), [(1, 1, 1), (1, 128, 200), (3, 7, 11)])
def test_shapes_vary_freely(scorer, users, length, rows):
    encoder, ranker, week = random_batch(users, length, rows)
    embedding = scorer.embed(encoder)
    assert embedding.shape == (users, 4, 64)
    heads = dict(zip(RANKER_OUTPUTS, scorer.rank(embedding, week, ranker), strict=True))
    assert {name: values.shape for name, values in heads.items()} == dict.fromkeys(heads, (rows,))
