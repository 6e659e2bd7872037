"""Draws random valid inputs of both graphs, for parity checks and golden vectors."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from podium_models.ranker.data.assemble import Arrays
from podium_models.ranker.data.prepared import Prepared
from podium_models.ranker.data.transforms import CANDIDATE_TRANSFORMS, GAP


def random_encoder_inputs(
    prepared: Prepared, random: np.random.Generator, users: int, length: int
) -> Arrays:
    """Draws histories of 0 to ``length`` events, right padded to ``length``."""
    shape = (users, length)
    lengths = random.integers(0, length + 1, users)
    mask = (np.arange(length) < lengths[:, None]).astype(np.float32)
    gap = GAP.apply(random.integers(0, 30, shape).astype(np.float32))
    item = random.integers(1, prepared.items.size, shape)
    category = random.integers(1, prepared.categories.size, shape)
    inside = mask.astype(np.int64)
    return {"item": item * inside, "category": category * inside, "gap": gap * mask, "mask": mask}


def random_ranker_inputs(
    prepared: Prepared,
    random: np.random.Generator,
    embedding: npt.NDArray[np.float32],
    rows: int,
) -> Arrays:
    """Draws ``rows`` candidates over the users of ``embedding`` [users, states, width]."""
    users = len(embedding)
    inputs: Arrays = {
        "user_embedding": embedding,
        "week": random.integers(0, 54, users).astype(np.float32),
        "user_index": np.sort(random.integers(0, users, rows)),
        "item": random.integers(1, prepared.items.size, rows),
        "category": random.integers(1, prepared.categories.size, rows),
    }
    for name, transform in CANDIDATE_TRANSFORMS.items():
        high = min(transform.high, 40.0)
        inputs[name] = transform.apply(random.uniform(transform.low, high, rows).astype(np.float32))
    return inputs
