"""Scores all judged lists with torch, each by the ranker that has not seen its fold."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer

from podium_models.text.config import Config
from podium_models.text.data.prepared import Prepared
from podium_models.text.forms import BI
from podium_models.text.nn.bert import Bert
from podium_models.text.nn.embed import embed_texts
from podium_models.text.nn.ranker import Top
from podium_models.text.nn.served import bare, merged
from podium_models.text.texts import VIEWS, product_texts
from podium_models.text.tokens.batches import encode, pad, without_limits

Floats = npt.NDArray[np.float64]
Scores = dict[str, list[Floats]]
"""Logits by view, then by list, [rows]."""

Ranker = tuple[Bert, Top]


def score_bi(ranker: Ranker, tokenizer: Tokenizer, query: str, texts: list[str]) -> Floats:
    """Scores one list with a merged bi-encoder."""
    bert, top = ranker
    vectors = torch.from_numpy(embed_texts(bert, tokenizer, [query, *texts]))
    with torch.no_grad():
        return top.compare(vectors[:1], vectors[1:]).numpy().astype(np.float64)


def score_cross(ranker: Ranker, tokenizer: Tokenizer, query: str, texts: list[str]) -> Floats:
    """Scores one list with a merged cross-encoder."""
    from podium_models.text.nn.served import CrossServed

    tokens = pad(encode(tokenizer, [(query, text) for text in texts]))
    with torch.no_grad():
        logits = CrossServed(*ranker).eval()(*(torch.from_numpy(one) for one in tokens))
    return np.asarray(logits.numpy(), np.float64)


def cross_validated(
    make: Callable[[str], Ranker], tokenizer: Tokenizer, prepared: Prepared, config: Config
) -> Scores:
    """Scores every list in both views; ``make`` gives the ranker without a fold, by its name."""
    limited = without_limits(tokenizer, config.model.product_tokens)
    score = score_bi if config.model.form == BI else score_cross
    found: Scores = {view: [np.empty(0)] * len(prepared.lists) for view in VIEWS}
    for fold in sorted({one.fold for one in prepared.lists}):
        bert, top = make(str(fold))
        ranker = merged(bert, top), bare(bert, top)
        for place, one in enumerate(prepared.lists):
            if one.fold != fold:
                continue
            for view in VIEWS:
                texts = product_texts(prepared.products[one.places], view)
                found[view][place] = score(ranker, limited, one.query, texts)
    return found
