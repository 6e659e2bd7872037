"""Reports what a compression costs and gains, and refuses one that costs too much."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

REPORT, TABLE = "compression.json", "compression.md"


@dataclass(frozen=True)
class Side:
    """What was measured before or after: quality by metric, latency by graph (ms), bytes."""

    quality: Mapping[str, float]
    latency_ms: Mapping[str, float]
    size_bytes: int


@dataclass(frozen=True)
class Comparison:
    """A method with both sides; ``metric`` of the quality is the one whose loss is limited.

    ``notes`` says how it was measured: on what, over how many users or queries.
    """

    method: str
    metric: str
    max_loss: float
    before: Side
    after: Side
    notes: Mapping[str, str] = field(default_factory=dict)

    @property
    def loss(self) -> float:
        """How much of the metric is lost, negative for a gain."""
        return self.before.quality[self.metric] - self.after.quality[self.metric]


def refuse_beyond(metric: str, loss: float, max_loss: float) -> None:
    """Raises ``ValueError`` naming loss and limit where the loss is larger, or no number."""
    if not loss <= max_loss:
        raise ValueError(
            f"{metric} falls by {loss:.4f}, more than --max-loss {max_loss:g}; "
            "nothing is adopted; take another --method or a larger --max-loss"
        )


def to_markdown(comparison: Comparison) -> str:
    """Renders a table with one row a measure: before, after and the change."""
    before, after = comparison.before, comparison.after
    rows = [("measure", "before", comparison.method, "change"), ("---", "---", "---", "---")]
    for name, value in before.quality.items():
        other = after.quality[name]
        rows.append((name, f"{value:.4f}", f"{other:.4f}", f"{other - value:+.4f}"))
    for name, value in before.latency_ms.items():
        other = after.latency_ms[name]
        rows.append((f"{name}, ms", f"{value:.3f}", f"{other:.3f}", f"x {other / value:.2f}"))
    share = after.size_bytes / before.size_bytes
    rows.append(("bytes", f"{before.size_bytes:,}", f"{after.size_bytes:,}", f"x {share:.2f}"))
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    notes = [f"\n{name}: {text}" for name, text in comparison.notes.items()]
    return "\n".join([*lines, *notes]) + "\n"


def card_section(graphs: Path) -> str:
    """Returns what a model card says of compressed graphs; nothing where they are as trained."""
    path = graphs / TABLE
    if not path.is_file():
        return ""
    text = "The graphs are compressed; all other measurements here are those before it."
    return f"\n## Compression\n\n{text}\n\n{path.read_text(encoding='utf-8')}"


def write_report(directory: Path, comparison: Comparison) -> None:
    """Writes ``compression.json`` and ``compression.md`` and prints the table."""
    directory.mkdir(parents=True, exist_ok=True)
    content = {**asdict(comparison), "loss": comparison.loss}
    text = json.dumps(content, indent=2) + "\n"
    (directory / REPORT).write_text(text, encoding="utf-8")
    table = to_markdown(comparison)
    (directory / TABLE).write_text(table, encoding="utf-8")
    print(table)
