"""Scores judged lists with ONNX Runtime, from the same inputs as the server makes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from podium_models.bundle.session import open_session
from podium_models.text.config import ModelConfig
from podium_models.text.forms import BI
from podium_models.text.tokens.batches import encode, pad, without_limits

Floats = npt.NDArray[np.float64]
Feeds = dict[str, npt.NDArray[Any]]


class ListFeeds:
    """Turns a query and products' texts into a graph's inputs."""

    def __init__(self, tokenizer: Tokenizer, model: ModelConfig) -> None:
        self.form = model.form
        self.query = without_limits(tokenizer, model.query_tokens)
        self.product = without_limits(tokenizer, model.product_tokens)

    def __call__(self, query: str, texts: Sequence[str]) -> Feeds:
        """Returns the graph's inputs for one request."""
        if self.form != BI:
            pairs = pad(encode(self.product, [(query, text) for text in texts]))
            return {"ids": pairs.ids, "mask": pairs.mask, "types": pairs.types}
        asked, given = pad(encode(self.query, [query])), pad(encode(self.product, texts))
        return {
            "query_ids": asked.ids,
            "query_mask": asked.mask,
            "product_ids": given.ids,
            "product_mask": given.mask,
            "user_index": np.zeros(len(texts), np.int64),
        }


class OnnxRanker:
    """A graph with its tokenizer."""

    def __init__(self, graph: Path, feeds: ListFeeds, threads: int = 1) -> None:
        self.session = open_session(graph, threads)
        self.feeds = feeds

    def score(self, query: str, texts: Sequence[str]) -> Floats:
        """Returns the logits of one request, [rows]."""
        return np.asarray(self.session.run(None, self.feeds(query, texts))[0], np.float64)
