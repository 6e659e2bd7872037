"""Converts a text ranker to ONNX and asserts that both runtimes agree."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
import torch

from podium_models.bundle.graph import convert, largest_difference
from podium_models.compression.quantise import outputs_of
from podium_models.text.evaluation.onnx_lists import Feeds
from podium_models.text.forms import BI
from podium_models.text.nn.bert import Bert
from podium_models.text.nn.ranker import Top
from podium_models.text.nn.served import BiServed, CrossServed, Whole

OUTPUT = "relevance"
TOLERANCE = 1e-4
SHAPES = ((1, 3, 1, 4), (1, 5, 40, 31), (3, 9, 17, 60), (4, 2, 4, 12))
"""Random inputs for parity: queries, their tokens, products, their tokens."""

BI_AXES = {
    "query_ids": {0: "users", 1: "query_tokens"},
    "query_mask": {0: "users", 1: "query_tokens"},
    "product_ids": {0: "rows", 1: "product_tokens"},
    "product_mask": {0: "rows", 1: "product_tokens"},
    "user_index": {0: "rows"},
}
CROSS_AXES = {name: {0: "rows", 1: "tokens"} for name in ("ids", "mask", "types")}


def share_weights(path: Path) -> None:
    """Keeps one of equal constants, which tracing repeats where a block runs twice."""
    model = onnx.load(str(path))
    first: dict[bytes, str] = {}
    instead: dict[str, str] = {}
    for one in list(model.graph.initializer):
        shape = f"{one.data_type} {list(one.dims)} ".encode()
        key = hashlib.sha256(shape + onnx.numpy_helper.to_array(one).tobytes()).digest()
        if key in first:
            instead[one.name] = first[key]
            model.graph.initializer.remove(one)
        first.setdefault(key, one.name)
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            node.input[place] = instead.get(name, name)
    onnx.save(model, str(path))


def random_texts(
    random: np.random.Generator, vocabulary: int, texts: int, tokens: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draws padded ids and mask [texts, tokens]; the first text has the full length."""
    lengths = random.integers(1, tokens + 1, texts)
    lengths[0] = tokens
    mask = (np.arange(tokens)[None] < lengths[:, None]).astype(np.int64)
    return random.integers(1, vocabulary, (texts, tokens)) * mask, mask


def random_feeds(network: Whole, seed: int, shape: tuple[int, int, int, int]) -> Feeds:
    """Draws valid inputs of a graph."""
    random, vocabulary = np.random.default_rng(seed), network.bert.shape.vocabulary
    users, query_tokens, rows, tokens = shape
    ids, mask = random_texts(random, vocabulary, rows, tokens)
    if network.top.form != BI:
        return {"ids": ids, "mask": mask, "types": random.integers(0, 2, ids.shape) * mask}
    query_ids, query_mask = random_texts(random, vocabulary, users, query_tokens)
    return {
        "query_ids": query_ids,
        "query_mask": query_mask,
        "product_ids": ids,
        "product_mask": mask,
        "user_index": random.integers(0, users, rows),
    }


def write_graph(bert: Bert, top: Top, path: Path) -> float:
    """Writes a ranker as float32 ONNX and returns the largest difference from torch.

    Raises ``ArithmeticError`` above 1e-4, relative to max(1, |value|), on random valid inputs.
    """
    network: Whole = BiServed(bert, top) if top.form == BI else CrossServed(bert, top)
    network.eval()
    axes = BI_AXES if top.form == BI else CROSS_AXES
    sample = random_feeds(network, 1, (2, 3, 5, 7))
    given = {name: torch.from_numpy(one) for name, one in sample.items()}
    convert(network, given, (OUTPUT,), {**axes, OUTPUT: {0: "rows"}}, path)
    share_weights(path)
    worst = 0.0
    for seed, shape in enumerate(SHAPES):
        feeds = random_feeds(network, seed, shape)
        with torch.no_grad():
            want = network(*(torch.from_numpy(feeds[name]) for name in axes)).numpy()
        worst = max(worst, largest_difference(outputs_of(path, feeds)[0], want))
    if worst > TOLERANCE:
        raise ArithmeticError(f"torch and ONNX Runtime differ by {worst:.2e} > {TOLERANCE}")
    return worst
