"""States the server's value transforms once: default, then clip, then ln(1 + x).

Training, export and the offline evaluation all read this table; the manifest is written from it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Transform:
    """One float input: the value where it is missing, its bounds, and whether ln(1 + x) follows."""

    default: float
    low: float
    high: float
    log: bool

    def apply(self, values: Floats) -> Floats:
        """Clips and, where asked, takes ln(1 + x), in float32 as the server does."""
        clipped = np.clip(values, np.float32(self.low), np.float32(self.high)).astype(np.float32)
        return np.log1p(clipped) if self.log else clipped


GAP = Transform(default=0.0, low=0.0, high=365.0, log=True)

CANDIDATE_TRANSFORMS: dict[str, Transform] = {
    "price": Transform(default=0.0, low=0.0, high=100.0, log=True),
    "discount": Transform(default=0.0, low=0.0, high=1.0, log=False),
    "display": Transform(default=0.0, low=0.0, high=1.0, log=False),
    "mailer": Transform(default=0.0, low=0.0, high=1.0, log=False),
    "popularity": Transform(default=0.0, low=0.0, high=10_000.0, log=True),
    "own_count": Transform(default=0.0, low=0.0, high=256.0, log=True),
    "own_age": Transform(default=365.0, low=0.0, high=365.0, log=True),
    "category_count": Transform(default=0.0, low=0.0, high=256.0, log=True),
    "category_age": Transform(default=365.0, low=0.0, high=365.0, log=True),
    "department_count": Transform(default=0.0, low=0.0, high=256.0, log=True),
    "department_age": Transform(default=365.0, low=0.0, high=365.0, log=True),
}

WEEK = Transform(default=0.0, low=0.0, high=53.0, log=False)
"""Week 0 means that the caller does not say; the graph then leaves the week out."""
