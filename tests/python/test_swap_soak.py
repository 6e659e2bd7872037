"""Many swaps under load lose no request and leak nothing; `scripts/soak-swaps` does a thousand."""

from __future__ import annotations

from pathlib import Path

import soak
from repository import Repository
from test_hot_swap import QUICK, serving

SWAPS = 40
BALLAST = 4 << 20
# Allocators alone make some 5% of it over so few swaps; a model that is leaked at each would double it.
MOST_GROWTH = 0.15


def test_swaps_under_load_leak_nothing(tmp_path: Path, log: Path) -> None:
    repository = Repository(tmp_path)
    soak.publish(repository, BALLAST)
    with serving(repository, log, QUICK) as (server, client):
        with soak.load(server, callers=2) as told:
            readings = list(soak.swaps(repository, client, server, SWAPS))
        assert not told.errors, told.errors[:3]
        assert told.versions == {1, 2}
        assert len(told.answers) > 10 * SWAPS, "there was hardly any load"
    begun, ended = soak.parts(readings)
    assert max(reading.fds for reading in ended) <= max(reading.fds for reading in begun) + 2
    assert max(reading.threads for reading in ended) <= max(reading.threads for reading in begun) + 2
    grown = soak.growth(readings, soak.mean)
    assert grown < MOST_GROWTH, f"{grown:.1%}: {[reading.rss_kib for reading in readings]}"
