"""Renders the data report as Markdown and as a few lines for the terminal."""

from __future__ import annotations

from typing import Any

PLOTS = {
    "history_lengths": "Events by user",
    "item_popularity": "Events by item",
    "events_over_time": "Events over time",
    "splits": "Training, validation and test",
}
"""File names of the plots, without their ending, and what they show."""


def cell(value: object) -> str:
    """Renders one value; whole numbers with thousands apart."""
    if isinstance(value, list):
        return ", ".join(str(one) for one in value)
    if isinstance(value, float) and not value.is_integer():
        return f"{value:.4g}"
    if isinstance(value, int | float):
        return f"{int(value):,}"
    return str(value)


def rows_of(content: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Flattens nested counts into rows of name and value."""
    rows = []
    for name, value in content.items():
        label = f"{prefix}{name.replace('_', ' ')}"
        if isinstance(value, dict):
            rows.extend(rows_of(value, f"{label}: "))
        else:
            rows.append((label, cell(value)))
    return rows


def section(title: str, content: dict[str, Any]) -> str:
    """Renders one section as a table of two columns."""
    lines = [f"## {title[:1].upper()}{title[1:]}", "", "| what | value |", "| --- | --- |"]
    lines += [f"| {name} | {value} |" for name, value in rows_of(content)]
    return "\n".join(lines) + "\n"


def to_markdown(report: dict[str, Any], plots: list[str]) -> str:
    """Renders the whole report, with links to the plots that were drawn."""
    parts = ["# Data report\n"]
    for name, content in report.items():
        title = name.replace("_", " ")
        if isinstance(content, list):
            parts += [section(f"{title}: {one['source']}", one) for one in content]
        else:
            parts.append(section(title, content))
    parts += [f"![{PLOTS[name]}]({name}.png)\n" for name in plots]
    return "\n".join(parts)


def to_lines(report: dict[str, Any]) -> list[str]:
    """Renders what somebody at a terminal wants to know at once."""
    events, split = report["events"], report["split"]
    lines = [f"{events['read']:,} events read, {events['kept']:,} kept"]
    lines += [f"  dropped {n:,}: {name}" for name, n in events["dropped"].items() if n]
    lines += [f"  {name}: {cell(n)}" for name, n in report["treated"].items() if n]
    users, items = report["users"], report["items"]
    lines.append(f"{users['kept']:,} users, {items['kept']:,} items")
    held = ", ".join(f"{split[f'{part}_events']:,} {part}" for part in PARTS)
    lines.append(f"split {split['kind']}: {held}")
    return lines


PARTS = ("train", "validation", "test")
