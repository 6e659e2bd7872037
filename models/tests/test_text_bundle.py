"""Checks the search bundle in the tree: sums, size, golden vectors, tokenizer, card."""

from __future__ import annotations

import hashlib
import json
import tomllib
from pathlib import Path

import numpy as np
import pytest

tokenizers = pytest.importorskip("tokenizers")

from podium_models.bundle.session import open_session  # noqa: E402
from podium_models.text.config import Config  # noqa: E402
from podium_models.text.evaluation.onnx_lists import ListFeeds, OnnxRanker  # noqa: E402
from podium_models.text.names import NAME, TOKENIZER, VERSION  # noqa: E402
from podium_models.text.texts import DEFAULTS, PRODUCT_TEMPLATE, QUERY_TEMPLATE  # noqa: E402
from podium_models.text.tokens.pruning import SPECIAL  # noqa: E402

BUNDLE = Path(__file__).resolve().parents[1] / NAME / str(VERSION)


@pytest.fixture(scope="module")
def manifest():
    """Returns what the manifest states."""
    return tomllib.loads((BUNDLE / "model.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def tokenizer():
    """Returns the bundle's tokenizer."""
    return tokenizers.Tokenizer.from_file(str(BUNDLE / TOKENIZER))


def test_sums_cover_every_file(manifest):
    assert set(manifest["files"]) == {one.name for one in BUNDLE.iterdir()} - {"model.toml"}
    for name, wanted in manifest["files"].items():
        assert hashlib.sha256((BUNDLE / name).read_bytes()).hexdigest() == wanted


def test_it_stays_under_twelve_megabytes():
    assert sum(one.stat().st_size for one in BUNDLE.iterdir()) <= 12_000_000


def test_the_manifest_states_the_graph_and_the_templates(manifest):
    stated = {one["name"]: one["dtype"] for one in manifest["inputs"]}
    graph = open_session(BUNDLE / "model.onnx", 1)
    assert {one.name for one in graph.get_inputs()} == set(stated)
    assert set(stated.values()) == {"int64"}
    assert [one["name"] for one in manifest["outputs"]] == [one.name for one in graph.get_outputs()]
    model = Config().model
    texts = manifest["texts"]
    assert (texts["query"]["first"], texts["query"]["max_tokens"]) == (
        QUERY_TEMPLATE,
        model.query_tokens,
    )
    assert texts["product"]["first"] == PRODUCT_TEMPLATE
    assert texts["product"]["max_tokens"] == model.product_tokens
    assert texts["product"]["defaults"] == DEFAULTS


def test_golden_vectors_hold(manifest):
    session, stated = open_session(BUNDLE / "model.onnx", 1), manifest["golden"]
    cases = json.loads((BUNDLE / stated["file"]).read_text(encoding="utf-8"))["cases"]
    assert len(cases) >= 4
    for case in cases:
        given = {
            name: np.array(one["data"], dtype=one["dtype"]).reshape(one["shape"])
            for name, one in case["inputs"].items()
        }
        (wanted,) = (np.array(one["data"]) for one in case["outputs"].values())
        got = session.run(None, given)[0]
        limit = stated["tolerance"] * np.maximum(1.0, np.abs(wanted))
        assert (np.abs(got - wanted) <= limit).all(), case["name"]


def test_the_tokenizer_has_as_many_pieces_as_the_graph_has_rows(tokenizer):
    onnx = pytest.importorskip("onnx")
    vocabulary = tokenizer.get_vocab()
    assert sorted(vocabulary.values()) == list(range(Config().model.vocabulary))
    assert set(SPECIAL) <= set(vocabulary)
    held = onnx.load(BUNDLE / "model.onnx").graph.initializer
    assert len(vocabulary) in {one.dims[0] for one in held if one.dims}


@pytest.mark.parametrize("word", ["quokka", "zwölf", "xj9000b", "naïve"])
def test_words_that_it_never_saw_are_spelt(tokenizer, word):
    assert "[UNK]" not in tokenizer.encode(word).tokens


def test_related_products_score_above_others(tokenizer):
    ranker = OnnxRanker(BUNDLE / "model.onnx", ListFeeds(tokenizer, Config().model))
    texts = ["Bluetooth speaker", "Laser printer", "USB cable", "Gaming mouse"]
    for place, query in enumerate(("portable music speaker", "printer", "usb-c cord", "mice")):
        assert ranker.score(query, texts).argmax() == place, query


def test_the_card_states_what_was_measured():
    card = (BUNDLE / "MODEL_CARD.md").read_text(encoding="utf-8")
    for words in ("Icecat", "Apache-2.0", "int8 (shipped) - BM25", "Limits", "ndcg@10"):
        assert words in card
