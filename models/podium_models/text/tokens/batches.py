"""Tokenises texts and cuts them into batches of nearly one length, so that little is padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

Ints = npt.NDArray[np.int64]


class Tokens(NamedTuple):
    """Padded ids, mask and segment of texts, [texts, tokens] int64 each."""

    ids: Ints
    mask: Ints
    types: Ints


Texts = Sequence[str] | Sequence[tuple[str, str]]


def without_limits(tokenizer: Tokenizer, max_tokens: int) -> Tokenizer:
    """Returns a copy that cuts at ``max_tokens`` and does not pad."""
    copied = Tokenizer.from_str(tokenizer.to_str())
    copied.no_padding()
    copied.enable_truncation(max_tokens)
    return copied


def encode(tokenizer: Tokenizer, texts: Texts) -> list[tuple[Ints, Ints]]:
    """Returns each text's ids and segments, [tokens] int64 each."""
    found = tokenizer.encode_batch(list(texts))
    return [(np.asarray(one.ids, np.int64), np.asarray(one.type_ids, np.int64)) for one in found]


def pad(encoded: Sequence[tuple[Ints, Ints]]) -> Tokens:
    """Pads encoded texts on the right to the longest of them; padding has the id 0."""
    longest = max(len(ids) for ids, _ in encoded)
    shape = (len(encoded), longest)
    tokens = Tokens(*(np.zeros(shape, np.int64) for _ in Tokens._fields))
    for place, (ids, types) in enumerate(encoded):
        tokens.ids[place, : len(ids)] = ids
        tokens.mask[place, : len(ids)] = 1
        tokens.types[place, : len(ids)] = types
    return tokens


def buckets(
    lengths: Sequence[int], tokens: int, random: np.random.Generator | None = None
) -> Iterator[Ints]:
    """Cuts places of texts into batches of about ``tokens`` tokens, padding included.

    Neighbours in length share a batch; with ``random``, equal lengths and the batches are shuffled.
    """
    sizes = np.asarray(lengths)
    noise = np.zeros(len(sizes)) if random is None else random.random(len(sizes))
    order = np.lexsort((noise, sizes))
    batches: list[Ints] = []
    start = 0
    while start < len(order):
        stop = start + 1
        while stop < len(order) and (stop + 1 - start) * sizes[order[stop]] <= tokens:
            stop += 1
        batches.append(order[start:stop])
        start = stop
    if random is not None:
        random.shuffle(batches)
    yield from batches
