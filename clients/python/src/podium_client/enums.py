"""The enums of the contract. A number that this package does not know yet reads as `UNSPECIFIED`."""

from __future__ import annotations

import enum


class _Known(enum.IntEnum):
    """An enum of the contract."""

    @classmethod
    def _missing_(cls, value: object) -> _Known | None:
        """Returns `UNSPECIFIED` for what a newer server may send."""
        return cls(0) if isinstance(value, int) and value != 0 else None


class EventKind(_Known):
    """What a shopper did with an item."""

    UNSPECIFIED = 0
    VIEW = 1
    CART = 2
    PURCHASE = 3


class UserState(_Known):
    """Where the user's side of an answer came from."""

    UNSPECIFIED = 0
    CACHED = 1
    COMPUTED = 2
    INLINE = 3
    DEFAULT = 4
    LOCAL = 5
    STALE = 6


class DegradedReason(_Known):
    """Why an answer is less than it could be."""

    UNSPECIFIED = 0
    ITEMS_MISSING = 1
    ENCODER_UNAVAILABLE = 2
    PARTLY_SCORED = 3
    USER_STORE_UNAVAILABLE = 4


class Closed(_Known):
    """Why a batch waited for no more requests."""

    UNSPECIFIED = 0
    FULL = 1
    SHARE = 2
    SLACK = 3
    NO_COMPANY = 4
    DELAY = 5


class ModelState(_Known):
    """Where in its life a version is."""

    UNSPECIFIED = 0
    FOUND = 1
    VERIFYING = 2
    LOADING = 3
    WARMING = 4
    READY = 5
    DRAINING = 6
    FREED = 7
    FAILED = 8
    SHADOW = 9


class ModelRole(_Known):
    """What a model is for."""

    UNSPECIFIED = 0
    RANKER = 1
    USER_ENCODER = 2
    TENSORS = 3


class FeatureScope(_Known):
    """Where a feature stands in a request."""

    UNSPECIFIED = 0
    CONTEXT = 1
    CANDIDATE = 2
    QUERY = 3


class EmbeddingState(_Known):
    """Whether a stored embedding is of use."""

    UNSPECIFIED = 0
    ABSENT = 1
    FRESH = 2
    STALE = 3
