"""Trains a head on MiniLM's vectors of title and brand, with a logit for each label."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from tqdm import tqdm

from podium_models.measure.classification import best_threshold, confusion, micro_f1
from podium_models.text.attributes.data import HEAD, VECTORS, Labelled, load_labelled
from podium_models.text.config import AttributeConfig, Config
from podium_models.text.nn.embed import embed_texts, save_vectors
from podium_models.text.tokens.batches import without_limits
from podium_models.text.training.distil import save_atomically

BATCH = 256
PATIENCE = 5

Floats = npt.NDArray[np.float64]


def vectors_of(run: Path, labelled: Labelled, config: Config) -> torch.Tensor:
    """Returns MiniLM's vectors of all products, computed once and kept, [products, width]."""
    from podium_models.text.training.teacher import load_base

    path = run / VECTORS
    if not path.is_file():
        base = load_base()
        limited = without_limits(base.tokenizer, config.model.product_tokens)
        rows = labelled.table.select("title", "brand").iter_rows()
        texts = [f"{title} {brand}".strip() for title, brand in rows]
        found = embed_texts(base.bert, limited, texts, config.train.mixed, "read titles")
        save_vectors(path, found)
    return torch.from_numpy(np.load(path))


def make_head(width: int, labels: int, config: AttributeConfig) -> nn.Sequential:
    """Builds a net of one hidden layer."""
    return nn.Sequential(
        nn.Linear(width, config.hidden),
        nn.GELU(),
        nn.Dropout(0.1),
        nn.Linear(config.hidden, labels),
    )


def predict(head: nn.Module, vectors: torch.Tensor) -> Floats:
    """Returns probabilities [products, labels] float64."""
    head.eval()
    with torch.no_grad():
        return torch.sigmoid(head(vectors)).numpy().astype(np.float64)


def train_head(run: Path, where: Path, config: Config) -> float:
    """Trains on a run's products into ``where``; returns the best validation micro F1.

    It stops early by that F1, and keeps the best epoch.
    """
    settings = config.attributes
    torch.set_num_threads(config.train.threads)
    torch.manual_seed(settings.seed)
    labelled = load_labelled(run)
    vectors = vectors_of(run, labelled, config)
    truth = torch.from_numpy(labelled.truth.astype(np.float32))
    train, validation = labelled.rows("train"), labelled.rows("validation")
    head = make_head(vectors.shape[1], len(labelled.labels), settings)
    optimizer = torch.optim.AdamW(head.parameters(), lr=settings.learning_rate, weight_decay=0.01)
    best, since = -1.0, 0
    for _ in tqdm(range(settings.epochs), desc="head", unit="epoch"):
        head.train()
        for part in torch.split(torch.from_numpy(train)[torch.randperm(len(train))], BATCH):
            loss = nn.functional.binary_cross_entropy_with_logits(head(vectors[part]), truth[part])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        found, real = predict(head, vectors[validation]), labelled.truth[validation]
        threshold = best_threshold(found, real)
        reached = float(micro_f1(confusion(found >= threshold, real)))
        since = 0 if reached > best else since + 1
        if reached > best:
            best = reached
            save_atomically(where / HEAD, {"head": head.state_dict(), "threshold": threshold})
        if since >= PATIENCE:
            break
    print(f"{len(labelled.labels)} labels; validation micro F1 {best:.4f}")
    return best
