"""Prunes a WordPiece tokenizer: fewer whole words, but every character stays."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

from tokenizers import Tokenizer

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
PREFIX = "##"
UNUSED = "[unused"


def piece_counts(tokenizer: Tokenizer, texts: Iterable[str]) -> Counter[str]:
    """Counts the pieces that texts are made of."""
    counts: Counter[str] = Counter()
    for encoding in tokenizer.encode_batch(list(texts), add_special_tokens=False):
        counts.update(encoding.tokens)
    return counts


def is_character(piece: str) -> bool:
    """Says whether a piece is one character, at a word's start or inside it."""
    return len(piece.removeprefix(PREFIX)) == 1 or len(piece) == 1


def choose_pieces(vocabulary: dict[str, int], counts: Counter[str], size: int) -> list[str]:
    """Chooses ``size`` pieces in the order of their old ids.

    Kept are the special ones and all characters; then the pieces that the counted texts use at
    least twice, most frequent first; then the most common ones of English, which BERT's
    vocabulary lists by frequency.
    """
    by_id = sorted(vocabulary, key=vocabulary.__getitem__)
    usable = [one for one in by_id if not one.startswith(UNUSED)]
    kept = dict.fromkeys([*SPECIAL, *(one for one in usable if is_character(one))])
    used = sorted((one for one in usable if counts[one] >= 2), key=lambda one: -counts[one])
    for piece in (*used, *usable):
        if len(kept) >= size:
            break
        kept.setdefault(piece)
    return sorted(kept, key=vocabulary.__getitem__)


def prune(tokenizer: Tokenizer, pieces: list[str]) -> tuple[Tokenizer, list[int]]:
    """Returns a tokenizer of these pieces, and the old id of each new one.

    It neither truncates nor pads: who serves it says how.
    """
    raw: dict[str, Any] = json.loads(tokenizer.to_str())
    old = raw["model"]["vocab"]
    new = {piece: place for place, piece in enumerate(pieces)}
    raw["model"]["vocab"] = new
    raw["truncation"] = raw["padding"] = None
    kept = [one for one in raw["added_tokens"] if one["content"] in new]
    raw["added_tokens"] = [{**one, "id": new[one["content"]]} for one in kept]
    for name, special in raw["post_processor"]["special_tokens"].items():
        special["ids"] = [new[name]]
    return Tokenizer.from_str(json.dumps(raw)), [old[piece] for piece in pieces]


def unknown_share(tokenizer: Tokenizer, texts: Iterable[str]) -> float:
    """Returns the share of pieces that are [UNK]."""
    counts = piece_counts(tokenizer, texts)
    return counts["[UNK]"] / max(1, counts.total())
