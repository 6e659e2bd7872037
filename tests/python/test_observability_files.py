"""What `deploy/observability` has is taken by the tools that it is for, and names only metrics that there are."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from metrics_page import PROMTOOL, Documented, documented, needs_promtool
from server import ROOT

HERE = ROOT / "deploy" / "observability"
PROMETHEUS = HERE / "prometheus"
DASHBOARDS = sorted((HERE / "grafana").glob("*.json"))
RUNBOOK = ROOT / "docs" / "runbook.md"
EXPECTED_DASHBOARDS = 4

# A series: its name, and what stands in its braces, if anything does.
SERIES = re.compile(r"\b(podium[_:][a-z0-9_:]+|process_[a-z_]+|rpc_server_[a-z_]+)\b(?:\{([^}]*)\})?")
MATCHER = re.compile(r'([a-z_]+)\s*(?:=~|!~|!=|=)\s*"')
GROUPED = re.compile(r"\b(?:by|on|group_left|ignoring|without)\s*\(([^)]*)\)")
LEGEND = re.compile(r"\{\{\s*([a-z_]+)\s*\}\}")
FROM_SCRAPES = {"job", "instance"}
COLLECTOR_KEYS = {"receivers", "processors", "exporters", "extensions", "connectors", "service"}
PIPELINES = {"traces", "metrics", "logs", "profiles"}


def rules() -> list[dict[str, Any]]:
    """Returns all rules."""
    groups = yaml.safe_load((PROMETHEUS / "rules.yml").read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def recorded() -> dict[str, str]:
    """Returns the recorded series and their expressions."""
    return {rule["record"]: rule["expr"] for rule in rules() if "record" in rule}


def series_of(table: dict[str, Documented]) -> dict[str, frozenset[str]]:
    """Returns the labels of every series by its name."""
    known: dict[str, frozenset[str]] = {}
    for name, line in table.items():
        if line.kind == "histogram":
            known |= {f"{name}_bucket": line.labels | {"le"}, f"{name}_sum": line.labels, f"{name}_count": line.labels}
        else:
            known[name] = line.labels
    return known


def faults(expression: str) -> Iterator[str]:
    """Says what an expression names that there is not."""
    known, own = series_of(documented()), recorded()
    allowed: set[str] = set(FROM_SCRAPES)
    # What stands in quotes is a value, and no name.
    for name, matchers in SERIES.findall(expression):
        if name in own:
            allowed |= labels_of(own[name])
            continue
        if name not in known:
            yield f"{name}: there is no such metric"
            continue
        allowed |= known[name]
        for label in MATCHER.findall(matchers):
            if label not in known[name] | FROM_SCRAPES:
                yield f"{name} has no label {label}"
    for group in GROUPED.findall(expression):
        for label in filter(None, (label.strip() for label in group.split(","))):
            if label not in allowed:
                yield f"nothing in it has the label {label}: {expression}"


def labels_of(expression: str) -> set[str]:
    """Returns the labels that a recorded series has, as far as its expression names them."""
    return {label.strip() for group in GROUPED.findall(expression) for label in group.split(",") if label.strip()}


def expressions(dashboard: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Returns the title, the expression and the legend of every query."""
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"], target["legendFormat"]


@needs_promtool
@pytest.mark.parametrize(
    "command",
    [
        ("check", "rules", "rules.yml"),
        ("check", "config", "prometheus.yml"),
        ("test", "rules", "rules_test.yml"),
        ("test", "rules", "rules_days_test.yml"),
    ],
    ids=" ".join,
)
def test_promtool_takes_it(command: tuple[str, ...]) -> None:
    said = subprocess.run(
        [str(PROMTOOL), *command], cwd=PROMETHEUS, text=True, capture_output=True, check=False, timeout=300
    )
    assert said.returncode == 0, said.stdout + said.stderr


def test_rules_name_what_there_is() -> None:
    wrong = [fault for rule in rules() for fault in faults(rule["expr"])]
    assert not wrong
    used = {name for rule in rules() if "alert" in rule for name, _ in SERIES.findall(rule["expr"])}
    text = "".join(path.read_text(encoding="utf-8") for path in DASHBOARDS)
    unused = [name for name in recorded() if name not in used and name not in text]
    assert set(unused) <= {"podium:requests:rate5m", "podium:request_duration_seconds:p99_5m",
                           "podium:request_duration_seconds:p50_5m", "podium:batch_rows:mean_5m",
                           "podium:instances:busy_ratio_5m"}  # fmt: skip


def test_every_alert_says_what_to_do() -> None:
    headings = re.findall(r"^## (.+)$", RUNBOOK.read_text(encoding="utf-8"), re.MULTILINE)
    anchors = {heading.lower().replace(" ", "-") for heading in headings}
    alerts = [rule for rule in rules() if "alert" in rule]
    for alert in alerts:
        assert alert["labels"]["severity"] in {"page", "ticket"}, alert["alert"]
        page, anchor = alert["annotations"]["runbook_url"].split("#")
        assert (page, anchor) == ("docs/runbook.md", alert["alert"].lower())
        assert anchor in anchors, alert["alert"]
        assert alert["annotations"]["summary"]
    assert anchors == {alert["alert"].lower() for alert in alerts}, "a section is of no alert"


def test_every_alert_is_tested() -> None:
    tests = "".join(path.read_text(encoding="utf-8") for path in PROMETHEUS.glob("*_test.yml"))
    untested = [rule["alert"] for rule in rules() if "alert" in rule and f"alertname: {rule['alert']}\n" not in tests]
    assert untested == ["PodiumLatencyBudgetBurns"], "it has the form of PodiumErrorBudgetBurns"


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: str(path.stem))
def test_a_dashboard_names_what_there_is(path: Path) -> None:
    dashboard = json.loads(path.read_text(encoding="utf-8"))
    known, own = series_of(documented()), recorded()
    wrong = []
    for title, expression, legend in expressions(dashboard):
        wrong += [f"{title}: {fault}" for fault in faults(expression)]
        labels = set(FROM_SCRAPES) | labels_of(expression)
        for name, _ in SERIES.findall(expression):
            labels |= known.get(name, frozenset()) | labels_of(own.get(name, ""))
        wrong += [f"{title}: the legend names {label}" for label in LEGEND.findall(legend) if label not in labels]
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    text = json.dumps([panel["targets"] for panel in dashboard["panels"]])
    used = set(re.findall(r"\$\{?([a-z]+)\b", text)) - {"__rate_interval"}
    assert not wrong
    assert used <= variables
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            assert not list(faults(variable["definition"].split("(", 1)[1].rsplit(",", 1)[0]))


def test_the_dashboards_show_every_metric() -> None:
    assert len(DASHBOARDS) == EXPECTED_DASHBOARDS
    text = "".join(
        expr for path in DASHBOARDS for _, expr, _ in expressions(json.loads(path.read_text(encoding="utf-8")))
    )
    text += "".join(recorded().values())
    shown = {re.sub(r"_(bucket|sum|count)$", "", name) for name, _ in SERIES.findall(text)}
    left_out = {"podium_build_info", "process_start_time_seconds", "process_virtual_memory_bytes",
                "podium_candidates_scored_total"}  # fmt: skip
    missing = {name for name in documented() if name not in shown} - left_out
    assert not missing


def test_the_collectors_configuration_hangs_together() -> None:
    """There is no collector here to ask: its own structure is checked, not the keys of each part."""
    config = yaml.safe_load((HERE / "otel-collector" / "config.yaml").read_text(encoding="utf-8"))
    assert set(config) <= COLLECTOR_KEYS
    service = config["service"]
    assert set(service) <= {"extensions", "pipelines", "telemetry"}
    assert set(service["extensions"]) <= set(config["extensions"])
    used: dict[str, set[str]] = {"receivers": set(), "processors": set(), "exporters": set()}
    for name, pipeline in service["pipelines"].items():
        assert name.split("/")[0] in PIPELINES
        for kind, names in pipeline.items():
            used[kind] |= set(names)
        assert pipeline["processors"][0] == "memory_limiter", "it has to refuse before others take"
    for kind, names in used.items():
        assert names == set(config[kind]), f"{kind}: defined and used differ"
    protocols = config["receivers"]["otlp"]["protocols"]
    assert {name: protocol["endpoint"].rsplit(":")[-1] for name, protocol in protocols.items()} == {
        "grpc": "4317", "http": "4318",
    }  # fmt: skip
