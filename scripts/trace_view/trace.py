"""Puts spans together: a request's tree, and the batches that it is linked to."""

from __future__ import annotations

from dataclasses import dataclass

from trace_view.otlp import Span

# What is told of a span beside its name and time: the key, and the words around its value.
TOLD = {
    "podium.v1.RankService/Rank": [
        ("rpc.response.status_code", "{}"), ("podium.model.name", "{}"), ("podium.model.version", "version {}"),
        ("podium.candidates", "{} candidates"), ("podium.kept", "kept: {}"),
    ],
    "user": [("podium.user.state", "state {}"), ("podium.user.embedding_age_s", "embedding {} s old")],
    "user_store.read": [
        ("podium.user_store.source", "from {}"), ("podium.user_store.messages", "{} message(s)"), ("error.type", "{}"),
    ],
    "encode": [("podium.encoder.name", "{}"), ("podium.encoder.joined", "joined another's run: {}")],
    "batch": [
        ("podium.batch.cold", "first of its length: {}"), ("podium.batch.bucket", "length {}"),
        ("podium.batch.own_length", "own {}"), ("podium.batch.run_ms", "ran {} ms"),
        ("podium.batch.expected_run_ms", "expected {} ms"), ("podium.batch.requests", "{} request(s)"),
        ("podium.batch.rows", "{} row(s)"), ("podium.batch.closed", "closed: {}"),
        ("podium.device", "{}"), ("error.type", "{}"),
    ],
}  # fmt: skip
OTHERS = [("podium.cut_off", "cut off: {}"), ("error.type", "{}")]


@dataclass
class Row:
    """One span at its depth."""

    span: Span
    depth: int


@dataclass
class Story:
    """One trace, and the batches of traces of their own that it is linked to."""

    root: Span
    rows: list[Row]
    batches: list[Span]

    @property
    def why(self) -> str:
        """The cause of most of its time, with the figures; empty where nothing stands out."""
        reason = self.root.text("podium.slow.reason")
        return f"{reason}: {self.root.text('podium.slow.explanation')}" if reason else ""

    @property
    def outcome(self) -> str:
        """What came of it."""
        told = self.root.text("rpc.response.status_code") or ("failed" if self.root.is_error else "done")
        reason = self.root.text("error.type")
        return f"{told} {reason}" if reason else told


def story(trace: list[Span], others: dict[tuple[str, str], Span]) -> Story:
    """Puts the spans of one trace, of which there is one at least, together; others are found by trace and span."""
    known = {span.span_id for span in trace}
    by_time = sorted(trace, key=lambda span: (span.begun, -span.ended))
    tops = [span for span in by_time if span.parent_id not in known]
    rows: list[Row] = []

    def add(span: Span, depth: int) -> None:
        rows.append(Row(span, depth))
        for child in by_time:
            if child.parent_id == span.span_id:
                add(child, depth + 1)

    for top in tops:
        add(top, 0)
    places = {(link.trace_id, link.span_id): None for row in rows for link in row.span.links}
    batches = [others[place] for place in places if place in others and others[place].trace_id != trace[0].trace_id]
    return Story(tops[0], rows, [span for span in batches if span.name == "batch"])


def told(span: Span) -> str:
    """What is told of a span beside its name and time."""
    parts = []
    for key, words in [*TOLD.get(span.name, []), *OTHERS]:
        value = None if key == "error.type" and span.events else span.attributes.get(key)
        if value is None or value is False or value == "":
            continue
        form = words.removesuffix(": {}") if value is True else words
        part = form.format(shortly(value)).replace("(s)", "" if value == 1 else "s")
        if part not in parts:
            parts.append(part)
    parts += [" ".join([event.name, *map(str, event.attributes.values())]) for event in span.events]
    return ", ".join(parts)


def company(batch: Span) -> str:
    """Returns whose rows were in a batch, by their lengths."""
    rows: dict[int, int] = {}
    for link in batch.links:
        length, count = (link.attributes.get(f"podium.batch.link.{key}", 0) for key in ("length", "rows"))
        rows[int(length)] = rows.get(int(length), 0) + int(count)
    parts = [f"{many(count, 'row')} of length {length:,}" for length, count in sorted(rows.items())]
    return f"linked to {many(len(batch.links), 'request')}: {', '.join(parts)}"


def many(count: int, what: str) -> str:
    """Returns a count with its word."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def shortly(value: str | bool | int | float) -> str:
    """Returns a value as people write it."""
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def duration(ms: float) -> str:
    """Returns a time with three digits."""
    if ms < 1:
        return f"{ms * 1e3:.0f} µs"
    return f"{ms:.3g} ms" if ms < 1000 else f"{ms / 1e3:.3g} s"
