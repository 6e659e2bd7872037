"""Teaches a small encoder to give a large one's vectors, on texts without labels."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer
from torch import nn
from tqdm import tqdm

from podium_models.devices import average_gradients, require_batches, training_place
from podium_models.text.nn.bert import Bert
from podium_models.text.nn.embed import embed_batch, mixed_precision
from podium_models.text.tokens.batches import buckets, encode, pad

WARMUP = 0.05
CLIP_NORM = 1.0


class DistilPlan(NamedTuple):
    """How long and how fast a student learns."""

    epochs: int
    learning_rate: float
    batch_tokens: int
    seed: int
    mixed: bool
    threads: int = 1


class Lesson(NamedTuple):
    """Texts, and the teacher's unit vectors of them, [texts, width] float32."""

    texts: Sequence[str]
    vectors: npt.NDArray[np.float32]


def rate_at(plan: DistilPlan, step: int, steps: int) -> float:
    """Rises linearly over a twentieth of all steps, then falls to 0 as a cosine."""
    warmup = max(1, int(WARMUP * steps))
    if step < warmup:
        return plan.learning_rate * (step + 1) / warmup
    return plan.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))


def save_atomically(path: Path, state: dict[str, Any]) -> None:
    """Writes a torch file beside its place and moves it there."""
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    os.replace(partial, path)


def distil(
    student: Bert,
    tokenizer: Tokenizer,
    lesson: Lesson,
    plan: DistilPlan,
    checkpoint: Path,
) -> list[float]:
    """Trains in place and returns each epoch's mean of 1 - cosine; resumes from ``checkpoint``.

    Under ``torchrun`` every process takes its share of the batches, and the first one writes. The
    student ends on the CPU.
    """
    where = training_place(plan.threads)
    encoded = encode(tokenizer, lesson.texts)
    lengths = [len(ids) for ids, _ in encoded]
    device = where.device
    student.to(device)
    optimizer = torch.optim.AdamW(student.parameters(), lr=plan.learning_rate, weight_decay=0.01)
    history: list[float] = []
    if checkpoint.is_file():
        state = torch.load(checkpoint, map_location=device, weights_only=True)
        student.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        history = state["history"]
    for epoch in range(len(history), plan.epochs):
        torch.manual_seed(plan.seed + epoch)
        random = np.random.default_rng([plan.seed, epoch])
        batches = list(buckets(lengths, plan.batch_tokens, random))
        batches = batches[: len(batches) // where.world * where.world][where.rank :: where.world]
        require_batches(batches, where)
        student.train()
        total, seen = 0.0, 0
        label = f"distil {epoch + 1}/{plan.epochs}"
        bar = tqdm(batches, desc=label, unit="batch", mininterval=5, disable=not where.first)
        for place, places in enumerate(bar):
            rate = rate_at(plan, epoch * len(batches) + place, plan.epochs * len(batches))
            for group in optimizer.param_groups:
                group["lr"] = rate
            tokens = pad([encoded[one] for one in places])
            target = torch.from_numpy(lesson.vectors[places]).to(device)
            with mixed_precision(device, plan.mixed):
                given = embed_batch(student, tokens.ids, tokens.mask)
            loss = (1.0 - (given.float() * target).sum(-1)).mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            average_gradients(student, where)
            nn.utils.clip_grad_norm_(student.parameters(), CLIP_NORM)
            optimizer.step()
            total, seen = total + float(loss.detach()) * len(places), seen + len(places)
            bar.set_postfix(loss=f"{total / seen:.4f}")
        history.append(total / seen)
        state = {"model": student.state_dict(), "optimizer": optimizer.state_dict()}
        if where.first:
            save_atomically(checkpoint, {**state, "history": history})
    student.to("cpu").eval()
    return history
