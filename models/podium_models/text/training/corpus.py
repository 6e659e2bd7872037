"""Makes unlabelled texts that a student imitates its teacher on, out of product texts alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

LONGEST_SPAN = 4
DESCRIPTION_SHARE = 0.5


class ProductText(NamedTuple):
    """What a product says about itself; brand and description may be empty."""

    title: str
    brand: str
    description: str


def product_text(product: ProductText) -> str:
    """Fills the template that the manifest states: title, brand, description."""
    return f"{product.title} {product.brand} {product.description}".strip()


def span(words: Sequence[str], random: np.random.Generator) -> str:
    """Takes one to four neighbouring words, as a shopper might type them."""
    length = int(random.integers(1, LONGEST_SPAN + 1))
    start = int(random.integers(0, max(1, len(words) - length + 1)))
    return " ".join(words[start : start + length])


def plain_words(text: str, brand: str) -> list[str]:
    """Returns the words without digits and other than the brand's: mostly what a thing is."""
    brands = set(brand.lower().split())
    return [one for one in text.split() if one.isalpha() and one.lower() not in brands]


def pairs_of(words: Sequence[str], random: np.random.Generator) -> list[str]:
    """Joins all words two by two, at random."""
    order = random.permutation(len(words))[: len(words) // 2 * 2].reshape(-1, 2)
    return [f"{words[left]} {words[right]}" for left, right in order]


def make_corpus(products: Sequence[ProductText], words: Sequence[str], seed: int) -> list[str]:
    """Returns distinct texts: titles, titles with descriptions, spans of both, and single words.

    ``words`` are those of the vocabulary: they keep general English from being forgotten.
    """
    random = np.random.default_rng(seed)
    texts: list[str] = [*words, *pairs_of(words, random), *pairs_of(words, random)]
    for product in products:
        plain = plain_words(product.title, product.brand)
        texts.append(product.title)
        texts.extend((span(product.title.split(), random), span(plain, random)))
        texts.append(span(plain, random))
        if product.description and random.random() < DESCRIPTION_SHARE:
            texts.append(product_text(product))
            texts.append(span(product.description.split(), random))
    return list(dict.fromkeys(one for one in texts if one.strip()))
