"""The lexical baseline: BM25, with its two settings chosen on training queries."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from podium_models.text.data.prepared import Prepared, RatedList
from podium_models.text.evaluation.lists import ndcg_at
from podium_models.text.texts import product_texts

Floats = npt.NDArray[np.float64]

WORD = re.compile(r"[a-z0-9]+")
SETTINGS = [(k1, b) for k1 in (0.4, 0.9, 1.2, 2.0) for b in (0.0, 0.2, 0.4, 0.75, 1.0)]


def words(text: str) -> list[str]:
    """Returns lower-case runs of letters and digits."""
    return WORD.findall(text.lower())


class Index:
    """Counts of words in all products' texts."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.counts = [Counter(words(text)) for text in texts]
        self.lengths = np.asarray([one.total() for one in self.counts], dtype=np.float64)
        self.documents = Counter(word for one in self.counts for word in one)

    def score(self, one: RatedList, k1: float, b: float) -> Floats:
        """Returns BM25 of a list's products, [rows]. Source: Robertson and Zaragoza, 2009."""
        total, mean = len(self.counts), self.lengths.mean()
        scores = np.zeros(len(one.places))
        norm = k1 * (1.0 - b + b * self.lengths[one.places] / mean)
        for word in words(one.query):
            count = np.asarray([self.counts[place][word] for place in one.places], np.float64)
            rarity = np.log(
                1.0 + (total - self.documents[word] + 0.5) / (self.documents[word] + 0.5)
            )
            weight = count * (k1 + 1.0)
            scores += rarity * np.divide(weight, count + norm, out=weight, where=count > 0)
        return scores


def bm25_scores(prepared: Prepared, view: str) -> list[Floats]:
    """Scores every list with the settings that are best on the other folds' mixed lists."""
    index = Index(product_texts(prepared.products, view))
    lists = prepared.lists
    scores = {one: [index.score(some, *one) for some in lists] for one in SETTINGS}
    found: list[Floats] = [np.empty(0)] * len(lists)
    for fold in sorted({one.fold for one in lists}):
        train = [n for n, one in enumerate(lists) if one.fold != fold and one.mixed]
        reached = [
            np.mean([ndcg_at(scores[one][n], lists[n].ratings) for n in train]) for one in SETTINGS
        ]
        best = SETTINGS[int(np.argmax(reached))]
        for place, one in enumerate(lists):
            if one.fold == fold:
                found[place] = scores[best][place]
    return found
