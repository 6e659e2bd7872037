"""Made-up product titles whose texts, query included, have just so many tokens."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from tokenizers import Tokenizer

QUERY = "wireless noise cancelling headphones"
FRAME = 3
"""Special tokens around a query and a title."""


class Shelf:
    """Titles drawn from the tokenizer's whole words."""

    def __init__(self, tokenizer: bytes, seed: int) -> None:
        """Keeps the words that are one token each."""
        self.tokenizer = Tokenizer.from_str(tokenizer.decode())
        words = sorted(word for word in self.tokenizer.get_vocab() if word.isascii() and word.isalpha())
        self.words = [word for word in words if word.islower() and len(word) > 2]
        self.random = np.random.default_rng(seed)

    @property
    def shortest(self) -> int:
        """The tokens of a text whose title is one word."""
        return len(self.tokenizer.encode(QUERY, add_special_tokens=False).ids) + FRAME + 1

    def title(self, tokens: int) -> str:
        """Returns a title whose text has so many tokens."""
        count = tokens - self.shortest + 1
        title = " ".join(self.random.choice(self.words, count))
        if (found := len(self.tokenizer.encode(QUERY, title).ids)) != tokens:
            raise AssertionError(f"a title was to give {tokens} tokens and gives {found}: {title}")
        return title

    def log_normal(self, count: int, median: float, sigma: float, most: int) -> list[int]:
        """Returns lengths whose logarithm is normal, within what a title allows."""
        drawn = self.random.lognormal(np.log(median), sigma, count)
        return [int(length) for length in np.clip(np.rint(drawn), self.shortest, most)]

    def tensors(self, titles: list[str]) -> dict[str, Any]:
        """Returns the graph's inputs for titles, [titles, longest] each."""
        encoded = [self.tokenizer.encode(QUERY, title) for title in titles]
        longest = max(len(one.ids) for one in encoded)
        parts = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
        return {
            name: np.array([getattr(one, part) + [0] * (longest - len(one.ids)) for one in encoded], np.int64)
            for name, part in parts.items()
        }


def example(titles: list[str]) -> bytes:
    """Returns a request for the titles, in the JSON of a `podium.v1.RankRequest`."""
    ids = [f"title-{place:04}" for place in range(len(titles))]
    columns = [{"name": "title", "strings": {"values": titles}}]
    return json.dumps({"query": QUERY, "candidates": {"ids": ids, "columns": columns}}).encode()
