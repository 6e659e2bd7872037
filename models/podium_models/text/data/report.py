"""Writes the data report: counts as JSON and Markdown, and a plot."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path


def write_report(run: Path, counts: Mapping[str, int], notes: Sequence[str]) -> None:
    """Writes ``report.json`` and ``report.md``."""
    (run / "report.json").write_text(json.dumps(counts, indent=2) + "\n", encoding="utf-8")
    rows = "".join(f"| {name.replace('_', ' ')} | {count} |\n" for name, count in counts.items())
    text = "# Data\n\n| what | count |\n|---|---|\n" + rows
    text += "".join(f"\n{note}\n" for note in notes)
    (run / "report.md").write_text(text, encoding="utf-8")


def draw_report(path: Path, ratings: Sequence[int], lengths: Mapping[str, Sequence[int]]) -> None:
    """Writes a PNG: how often each rating was given, and how many words texts have."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    counted = sorted(Counter(ratings).items())
    left.bar([str(rating) for rating, _ in counted], [count for _, count in counted])
    left.set(title="Ratings", xlabel="rating", ylabel="pairs")
    for name, values in lengths.items():
        right.hist(values, bins=40, range=(0, 80), histtype="step", label=name)
    right.set(title="Lengths", xlabel="tokens", ylabel="texts", yscale="log")
    right.legend(fontsize=8)
    figure.savefig(path, dpi=110, metadata={"Software": ""})
    plt.close(figure)
