"""Knows which text of a judged list is where among all texts that were read."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer
from torch import Tensor

from podium_models.text.config import Config
from podium_models.text.data.prepared import Prepared
from podium_models.text.forms import BI
from podium_models.text.nn.bert import Bert
from podium_models.text.texts import VIEWS, product_texts
from podium_models.text.tokens.batches import Texts, without_limits
from podium_models.text.training.states import frozen_states

Ints = npt.NDArray[np.int64]


class Examples(NamedTuple):
    """Frozen states of all texts, and where they are.

    ``rows[view][list]`` are the states of the list's products (bi) or pairs (cross);
    ``queries[list]`` those of the queries (bi alone). ``product_rows[view]`` are all judged
    products (bi), from which strangers are drawn as negatives.
    """

    states: list[Tensor]
    queries: list[int]
    rows: tuple[list[Ints], ...]
    product_rows: tuple[Ints, ...]


def bi_texts(prepared: Prepared) -> tuple[Texts, list[int], tuple[list[Ints], ...], list[Ints]]:
    """Lists queries, then each judged product once a view."""
    judged = prepared.judged
    place_of = {int(one): place for place, one in enumerate(judged)}
    texts: list[str] = [one.query for one in prepared.lists]
    rows, product_rows = [], []
    for view in VIEWS:
        start = len(texts)
        texts += product_texts(prepared.products[judged], view)
        product_rows.append(np.arange(start, len(texts)))
        rows.append(
            [np.array([start + place_of[int(p)] for p in one.places]) for one in prepared.lists]
        )
    return texts, list(range(len(prepared.lists))), tuple(rows), product_rows


def cross_texts(prepared: Prepared) -> tuple[Texts, tuple[list[Ints], ...]]:
    """Lists every judged pair once a view."""
    texts: list[tuple[str, str]] = []
    rows: list[list[Ints]] = []
    for view in VIEWS:
        of_view = []
        for one in prepared.lists:
            start = len(texts)
            products = product_texts(prepared.products[one.places], view)
            texts += [(one.query, product) for product in products]
            of_view.append(np.arange(start, len(texts)))
        rows.append(of_view)
    return texts, tuple(rows)


def read_examples(bert: Bert, tokenizer: Tokenizer, prepared: Prepared, config: Config) -> Examples:
    """Reads all texts of the judged lists with the frozen blocks."""
    blocks, mixed = config.train.tuned_blocks, config.train.mixed
    limited = without_limits(tokenizer, config.model.product_tokens)
    if config.model.form == BI:
        texts, queries, rows, products = bi_texts(prepared)
        states = frozen_states(bert, limited, texts, blocks, mixed)
        return Examples(states, queries, rows, tuple(products))
    pairs, rows = cross_texts(prepared)
    return Examples(frozen_states(bert, limited, pairs, blocks, mixed), [], rows, ())
