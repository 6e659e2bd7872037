"""Scores judged lists with graphs, one for each fold, as they would be served."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from podium_models.text.config import Config
from podium_models.text.data.prepared import Prepared
from podium_models.text.evaluation.onnx_lists import ListFeeds, OnnxRanker
from podium_models.text.texts import VIEWS, product_texts

GRAPHS = "graphs"
ALL_GRAPH = "all.onnx"


def fold_graph(directory: Path, fold: int) -> Path:
    """Names the graph that has not seen a fold."""
    return directory / f"{fold}.onnx"


def score_graphs(
    directory: Path,
    tokenizer: Tokenizer,
    prepared: Prepared,
    config: Config,
    views: tuple[str, ...] = VIEWS,
) -> dict[str, list[np.ndarray]]:
    """Scores every list in the views by the graph without its fold: logits by view, by list."""
    feeds = ListFeeds(tokenizer, config.model)
    found: dict[str, list[np.ndarray]] = {
        view: [np.empty(0)] * len(prepared.lists) for view in views
    }
    for fold in sorted({one.fold for one in prepared.lists}):
        ranker = OnnxRanker(fold_graph(directory, fold), feeds, config.train.threads)
        for place, one in enumerate(prepared.lists):
            if one.fold == fold:
                for view in views:
                    texts = product_texts(prepared.products[one.places], view)
                    found[view][place] = ranker.score(one.query, texts)
    return found


def write_fold_graphs(
    directory: Path, prepared: Prepared, write: Callable[[str, Path], float]
) -> None:
    """Writes a graph for each fold, and ``all.onnx`` of all queries."""
    directory.mkdir(parents=True, exist_ok=True)
    for fold in sorted({one.fold for one in prepared.lists}):
        write(str(fold), fold_graph(directory, fold))
    worst = write("all", directory / ALL_GRAPH)
    print(f"torch and ONNX Runtime differ by {worst:.1e} at most")
