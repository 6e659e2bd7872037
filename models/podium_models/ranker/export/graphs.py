"""Converts the trained networks to ONNX graphs and asserts that both runtimes agree."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from podium_models.bundle.graph import convert, largest_difference
from podium_models.ranker.data.assemble import Arrays
from podium_models.ranker.data.prepared import Prepared
from podium_models.ranker.data.signatures import (
    ENCODER_FILE,
    ENCODER_INPUTS,
    ENCODER_OUTPUT,
    RANKER_FILE,
    RANKER_INPUTS,
    RANKER_OUTPUTS,
    RANKER_ROW_INPUTS,
)
from podium_models.ranker.evaluation.onnx_scorer import OnnxScorer
from podium_models.ranker.evaluation.scoring import TorchScorer
from podium_models.ranker.export.random_inputs import random_encoder_inputs, random_ranker_inputs
from podium_models.ranker.nn.build import RankerModel

TOLERANCE = 1e-4
SHAPES = ((1, 1, 1), (1, 128, 1), (3, 17, 200), (7, 64, 33), (2, 5, 1), (32, 128, 640))


def convert_model(model: RankerModel, prepared: Prepared, directory: Path) -> None:
    """Writes ``encoder.onnx`` and ``ranker.onnx`` and asserts parity on random valid inputs."""
    directory.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(1)
    encoder = random_encoder_inputs(prepared, random, users=2, length=3)
    embedding = TorchScorer(model).embed(encoder)
    ranker = random_ranker_inputs(prepared, random, embedding, rows=5)
    both = {0: "users", 1: "length"}
    convert(
        model.encoder,
        {name: torch.from_numpy(encoder[name]) for name in ENCODER_INPUTS},
        (ENCODER_OUTPUT,),
        {**dict.fromkeys(ENCODER_INPUTS, both), ENCODER_OUTPUT: {0: "users"}},
        directory / ENCODER_FILE,
    )
    axes = {name: {0: "rows"} for name in (*RANKER_ROW_INPUTS, *RANKER_OUTPUTS)}
    axes |= {name: {0: "users"} for name in ("user_embedding", "week")}
    convert(
        model.ranker,
        {name: torch.from_numpy(ranker[name]) for name in RANKER_INPUTS},
        RANKER_OUTPUTS,
        axes,
        directory / RANKER_FILE,
    )
    model.eval()
    assert_parity(model, prepared, directory)


def split_ranker(inputs: Arrays) -> tuple[np.ndarray, np.ndarray, Arrays]:
    """Splits ranker inputs into embedding, week and row inputs."""
    rows = {name: inputs[name] for name in RANKER_ROW_INPUTS}
    return inputs["user_embedding"], inputs["week"], rows


def assert_parity(model: RankerModel, prepared: Prepared, directory: Path) -> float:
    """Compares PyTorch and ONNX Runtime over varied shapes and returns the largest difference.

    Raises ``ArithmeticError`` above 1e-4, relative to max(1, |value|).
    """
    random = np.random.default_rng(2)
    served = OnnxScorer(directory / ENCODER_FILE, directory / RANKER_FILE)
    framework = TorchScorer(model)
    worst = 0.0
    for users, length, rows in SHAPES:
        encoder = random_encoder_inputs(prepared, random, users, length)
        embedding = framework.embed(encoder)
        worst = max(worst, largest_difference(served.embed(encoder), embedding))
        parts = split_ranker(random_ranker_inputs(prepared, random, embedding, rows))
        for left, right in zip(served.rank(*parts), framework.rank(*parts), strict=True):
            worst = max(worst, largest_difference(left, right))
    if worst > TOLERANCE:
        raise ArithmeticError(f"framework and ONNX Runtime differ by {worst:.2e} > {TOLERANCE}")
    return worst
