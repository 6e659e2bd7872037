"""Converts a trained model to its two graphs and asserts that both runtimes agree."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from podium_models.bundle.graph import convert, largest_difference
from podium_models.bundle.vocabulary import FIRST, OUT_OF_VOCABULARY
from podium_models.sequence.data.interactions import Interactions
from podium_models.sequence.evaluation.onnx_scorer import GraphPair
from podium_models.sequence.export.files import ENCODER_FILE, RANKER_FILE
from podium_models.sequence.nn.encoder import Scorer, SequenceEncoder

TOLERANCE = 1e-4
SHAPES = ((1, 1, 1), (1, 50, 300), (5, 17, 64), (64, 9, 640))


def random_histories(
    items: int, random: np.random.Generator, users: int, length: int
) -> dict[str, np.ndarray]:
    """Draws histories of 0 to ``length`` events, right padded: item int64, mask float32."""
    lengths = random.integers(0, length + 1, users)
    mask = (np.arange(length) < lengths[:, None]).astype(np.float32)
    item = random.integers(1, items, (users, length)) * mask.astype(np.int64)
    return {"item": item, "mask": mask}


def scoring_table(model: SequenceEncoder) -> torch.Tensor:
    """Returns what items are scored with, [items, width]; the unknown item is an average one."""
    with torch.no_grad():
        table = model.target_table().detach().clone()
    table[OUT_OF_VOCABULARY] = table[FIRST:].mean(0)
    return table


def write_graphs(model: SequenceEncoder, data: Interactions, directory: Path) -> None:
    """Writes ``encoder.onnx`` and ``ranker.onnx``; raises ``ArithmeticError`` where they differ."""
    directory.mkdir(parents=True, exist_ok=True)
    model = model.cpu().eval()
    scorer = Scorer(scoring_table(model)).eval()
    drawn = random_histories(data.items.size, np.random.default_rng(1), 2, 3)
    inputs = {name: torch.from_numpy(one) for name, one in drawn.items()}
    both = {0: "users", 1: "length"}
    axes = {"item": both, "mask": both, "user_embedding": {0: "users"}}
    convert(model, inputs, ("user_embedding",), axes, directory / ENCODER_FILE)
    rows = {
        "user_embedding": model(**inputs).detach(),
        "user_index": torch.tensor([0, 1, 1]),
        "item": torch.tensor([2, 1, 2]),
    }
    axes = {"user_embedding": {0: "users"}, "user_index": {0: "rows"}, "item": {0: "rows"}}
    convert(scorer, rows, ("score",), {**axes, "score": {0: "rows"}}, directory / RANKER_FILE)
    assert_parity(model, scorer, data, directory)


def assert_parity(
    model: SequenceEncoder, scorer: Scorer, data: Interactions, directory: Path
) -> float:
    """Compares torch and ONNX Runtime on random valid inputs and returns the largest difference.

    Raises ``ArithmeticError`` above 1e-4, relative to max(1, |value|).
    """
    random = np.random.default_rng(2)
    graphs = GraphPair(directory / ENCODER_FILE, directory / RANKER_FILE)
    worst = 0.0
    for users, length, rows in SHAPES:
        inputs = random_histories(data.items.size, random, users, length)
        index, item = random.integers(0, users, rows), random.integers(1, data.items.size, rows)
        with torch.no_grad():
            embedding = model(*(torch.from_numpy(one) for one in inputs.values()))
            scores = scorer(embedding, torch.from_numpy(index), torch.from_numpy(item)).numpy()
        served = graphs.embed(inputs["item"], inputs["mask"])
        worst = max(worst, largest_difference(served, embedding.numpy()))
        worst = max(worst, largest_difference(graphs.rank(embedding.numpy(), index, item), scores))
    if worst > TOLERANCE:
        raise ArithmeticError(f"framework and ONNX Runtime differ by {worst:.2e} > {TOLERANCE}")
    return worst
