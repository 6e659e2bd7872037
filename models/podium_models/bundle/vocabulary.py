"""Maps item and category names to indices; 0 is padding, 1 is out of vocabulary."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

PADDING = 0
OUT_OF_VOCABULARY = 1
FIRST = 2


@dataclass(frozen=True)
class Vocabulary:
    """An ordered list of distinct names; the name at place ``i`` has index ``i + 2``."""

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(set(self.names)) != len(self.names):
            raise ValueError("a vocabulary names each entry once")

    @property
    def size(self) -> int:
        """Number of indices, padding and out-of-vocabulary included."""
        return len(self.names) + FIRST

    @cached_property
    def _index(self) -> dict[str, int]:
        return {name: place + FIRST for place, name in enumerate(self.names)}

    def __contains__(self, name: str) -> bool:
        return name in self._index

    def index(self, name: str) -> int:
        """Returns the index of a name, or 1 where it is unknown."""
        return self._index.get(name, OUT_OF_VOCABULARY)

    def indices(self, names: Iterable[str]) -> list[int]:
        """Returns the indices of many names."""
        return [self.index(name) for name in names]

    def to_text(self) -> str:
        """Renders one name a line in index order, without padding and out-of-vocabulary."""
        return "".join(f"{name}\n" for name in self.names)

    @staticmethod
    def from_text(text: str) -> Vocabulary:
        """Parses what ``to_text`` wrote."""
        return Vocabulary(tuple(text.splitlines()))
