"""Builds a small prepared data set of made-up purchases; no test needs the real data."""

from __future__ import annotations

import pytest
from made_up import SMALL, made_up_journey

from podium_models.ranker.config import Config
from podium_models.ranker.data.prepared import Prepared
from podium_models.ranker.prepare import build_prepared
from podium_models.settings import override


@pytest.fixture(scope="session")
def config() -> Config:
    """Returns settings small enough for tests."""
    return override(Config(), SMALL)


@pytest.fixture(scope="session")
def prepared(config: Config) -> Prepared:
    """Returns the made-up data, prepared."""
    return build_prepared(made_up_journey(), config)
