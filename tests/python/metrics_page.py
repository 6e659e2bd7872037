"""Reads a server's `/metrics` as strictly as OpenMetrics asks for, and the table that documents it."""

from __future__ import annotations

import http.client
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_prometheus

from server import ROOT, Server

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
TABLE = ROOT / "docs" / "metrics.md"
ROW = re.compile(r"^\| `([a-z0-9_]+)` \| (counter|gauge|histogram) \| ([a-z]*) \| (.*?) \| (.+) \|$")
PROMTOOL = Path(shutil.which("promtool") or ROOT / "target" / "tools" / "promtool")
needs_promtool = pytest.mark.skipif(not PROMTOOL.exists(), reason="there is no promtool: scripts/test fetches it")
OF_A_HISTOGRAM = ("_bucket", "_sum", "_count")


@dataclass(frozen=True)
class Documented:
    """A line of the table."""

    kind: str
    unit: str
    labels: frozenset[str]


def documented(table: Path = TABLE) -> dict[str, Documented]:
    """Returns the table by the names of series."""
    text = table.read_text(encoding="utf-8").split("<!-- metrics: begin -->")[1].split("<!-- metrics: end -->")[0]
    rows = [ROW.match(line) for line in text.strip().splitlines()[2:]]
    assert all(rows), "a line of the table cannot be read"
    return {
        row[1]: Documented(row[2], row[3], frozenset(re.findall(r"`([a-z_]+)`", row[4])))
        for row in rows
        if row is not None
    }


def fetch(server: Server, accept: str = OPENMETRICS) -> tuple[str, str]:
    """Returns the type and the text of `/metrics`."""
    connection = http.client.HTTPConnection("127.0.0.1", server.admin_port, timeout=20)
    connection.request("GET", "/metrics", headers={"Accept": accept})
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    assert response.status == 200, text
    return response.headers["Content-Type"], text


@dataclass
class Page:
    """What was scraped, by the names of series."""

    families: dict[str, str] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    samples: list[tuple[str, dict[str, str], float]] = field(default_factory=list)
    exemplars: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def total(self, name: str, /, **labels: str) -> float:
        """Adds up the samples with that name and at least these labels."""
        return sum(value for own, has, value in self.samples if own == name and labels.items() <= has.items())

    def values(self, label: str, name: str | None = None) -> set[str]:
        """Returns the values that a label has, in one metric or in all."""
        return {has[label] for own, has, _ in self.samples if label in has and name in (None, own)}


def scrape(server: Server) -> Page:
    """Reads `/metrics` as OpenMetrics."""
    kind, text = fetch(server)
    assert kind.startswith("application/openmetrics-text"), kind
    page = Page()
    for family in parse_openmetrics(text):  # type: ignore[no-untyped-call]
        page.families[family.name + ("_total" if family.type == "counter" else "")] = family.type
        page.units[family.name] = family.unit
        for sample in family.samples:
            page.samples.append((sample.name, sample.labels, sample.value))
            if sample.exemplar is not None:
                page.exemplars.append((sample.name, sample.exemplar.labels))
    return page


def plain(server: Server) -> dict[str, str]:
    """Reads `/metrics` as Prometheus' own text; returns the metrics and their types."""
    kind, text = fetch(server, "text/plain")
    assert kind.startswith("text/plain; version=0.0.4"), kind
    counter = {"counter": "_total"}
    return {family.name + counter.get(family.type, ""): family.type for family in parse_prometheus(text)}
