"""Draws a trace as an SVG picture: time from left to right, each span below its parent, and the batches beside it."""

from __future__ import annotations

from html import escape

from trace_view.otlp import Span
from trace_view.trace import Row, Story, company, duration, told

WIDTH, LEFT, RIGHT, MARGIN = 1000, 190, 84, 20
ROW, PLAIN_ROW, BAR, TOP = 40, 25, 14, 84
CHARACTER = 6.3  # of the small letters, on average
KINDS = {
    "user": "user", "user_store.read": "user", "encode": "user", "queue": "queue", "batch": "batch",
    "features": "work", "select": "work", "validate": "work", "receive": "work",
}  # fmt: skip
STYLE = """
.trace { --paper: #ffffff; --ink: #1b1f24; --quiet: #59636e; --line: #d8dee4; --call: #4a6fa5; --work: #7a8794;
  --user: #8250df; --queue: #bf8700; --batch: #1a7f37; --error: #cf222e; }
@media (prefers-color-scheme: dark) { .trace { --paper: #0d1117; --ink: #e6edf3; --quiet: #9aa4af; --line: #30363d;
  --call: #6f9bd8; --work: #8b98a5; --user: #b392f0; --queue: #e3b341; --batch: #4cc267; --error: #ff7b72; } }
text { font: 13px system-ui, -apple-system, 'Segoe UI', sans-serif; fill: var(--ink); }
.small { font-size: 11.5px; fill: var(--quiet); paint-order: stroke; stroke: var(--paper); stroke-width: 4px; }
.strong { font-weight: 600; } .head { font-size: 15px; font-weight: 600; } .event { stroke: var(--paper); }
.error { fill: var(--error); } .right { text-anchor: end; } .middle { text-anchor: middle; }
.line { stroke: var(--line); } .link { stroke: var(--batch); fill: none; stroke-dasharray: 4 3; stroke-width: 1.5; }
""".strip()


class Picture:
    """Collects the picture's elements."""

    def __init__(self, story: Story) -> None:
        """Measures the time that is shown: that of the request and of the batches that it was in."""
        spans = [row.span for row in story.rows] + story.batches
        self.begun = min(span.begun for span in spans)
        self.whole = max(max(span.ended for span in spans) - self.begun, 1)
        self.parts: list[str] = []

    def x(self, at: int) -> float:
        """Returns where a moment stands."""
        return LEFT + (WIDTH - LEFT - RIGHT) * (at - self.begun) / self.whole

    def text(self, x: float, y: float, words: str, kind: str = "") -> None:
        """Writes words."""
        kind = f' class="{kind}"' if kind else ""
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}"{kind}>{escape(words)}</text>')

    def span(self, span: Span, y: float, depth: int, words: str) -> None:
        """Draws one span: its name, its bar, its time, and words about it."""
        x, end = self.x(span.begun), self.x(span.ended)
        colour = "error" if span.is_error else KINDS.get(span.name, "call")
        name = span.name.removeprefix("podium.v1.RankService/")
        self.text(MARGIN + 14 * depth, y + 12, name, "strong" if depth == 0 else "")
        size = max(end - x, 2)
        self.parts.append(
            f'<rect x="{x:.1f}" y="{y}" width="{size:.1f}" height="{BAR}" rx="2" fill="var(--{colour})"/>'
        )
        for event in span.events:
            middle = self.x(event.at)
            colour = "error" if span.is_error or event.name == "podium.degraded" else "ink"
            self.parts.append(f'<path d="M{middle:.1f} {y - 2}l8 9l-8 9l-8 -9z" class="event" fill="var(--{colour})"/>')
        self.text(WIDTH - MARGIN, y + 12, duration(span.ms), "right")
        self.note(x, y + BAR + 14, words, "small error" if span.is_error else "small")

    def note(self, x: float, y: float, words: str, kind: str) -> None:
        """Writes words from a place on, or as far left of it as they need."""
        room = (WIDTH - MARGIN - LEFT) / CHARACTER
        words = words if len(words) <= room else words[: int(room) - 1] + "…"
        self.text(max(min(x, WIDTH - MARGIN - len(words) * CHARACTER), LEFT), y, words, kind)

    def axis(self, bottom: float) -> None:
        """Draws the times, as many as are easy to read."""
        step = tick(self.whole / 1e6)
        for number in range(int(self.whole / 1e6 / step) + 1):
            x = self.x(self.begun + int(number * step * 1e6))
            self.parts.append(f'<path d="M{x:.1f} {TOP - 8}V{bottom}" class="line"/>')
            self.text(x, TOP - 14, f"{number * step:g} ms", "small middle")


def tick(ms: float) -> float:
    """Returns a round time of which four to ten make the whole."""
    step = 10.0**-3
    while ms / step > 10:
        for factor in (2, 2.5, 2):
            step *= factor
            if ms / step <= 10:
                break
    return step


def svg(story: Story) -> str:
    """Returns the picture of a trace."""
    picture = Picture(story)
    rows = shown(story.rows)
    heights = [ROW if told(row.span) else PLAIN_ROW for row in rows]
    tops = [TOP + sum(heights[:at]) for at in range(len(rows) + 1)]
    bottom = tops[-1] + (24 + (ROW + 4) * len(story.batches) if story.batches else 0)
    picture.axis(bottom)
    head(picture, story)
    places = {link.span_id: y for row, y in zip(rows, tops, strict=False) for link in row.span.links}
    if story.batches:
        links(picture, story, places, tops[-1])
    for row, y in zip(rows, tops, strict=False):
        picture.span(row.span, y, row.depth, told(row.span))
    for at, batch in enumerate(story.batches):
        y = own_row(tops[-1], at)
        picture.span(batch, y, 0, company(batch))
        picture.text(MARGIN, y + BAR + 14, "a trace of its own", "small")
    body = "\n".join(picture.parts)
    height = bottom + 16
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="trace" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(label(story))}">\n<style>{STYLE}</style>\n'
        f'<rect width="{WIDTH}" height="{height}" rx="8" fill="var(--paper)"/>\n{body}\n</svg>\n'
    )


def label(story: Story) -> str:
    """Returns the picture in one sentence."""
    return f"{story.root.name}, {duration(story.root.ms)}, {story.outcome}. {story.why}".strip()


def head(picture: Picture, story: Story) -> None:
    """Writes what the request was, and what its time went to."""
    root = story.root
    picture.text(MARGIN, 26, f"{root.name}, {duration(root.ms)}", "head")
    picture.text(WIDTH - MARGIN, 26, story.outcome, "right strong error" if root.is_error else "right strong")
    picture.text(MARGIN, 46, story.why or f"trace {root.trace_id}", "" if story.why else "small")


def own_row(below: int, at: int) -> int:
    """Returns where a batch's own span stands."""
    return below + 18 + (ROW + 4) * at


def links(picture: Picture, story: Story, places: dict[str, int], below: int) -> None:
    """Draws what leads from a request's part of a batch to the batch's own span."""
    picture.parts.append(f'<path d="M{MARGIN} {below + 6}H{WIDTH - MARGIN}" class="line"/>')
    for at, batch in enumerate(story.batches):
        above = places.get(batch.span_id)
        if above is None:
            continue
        x, top, bottom = picture.x(batch.begun) - 3, above + BAR / 2, own_row(below, at) + BAR / 2
        aside = f"{x - 26:.1f}"
        picture.parts.append(f'<path d="M{x:.1f} {top}C{aside} {top} {aside} {bottom} {x:.1f} {bottom}" class="link"/>')


def shown(rows: list[Row]) -> list[Row]:
    """Leaves out what took next to nothing and is told nothing of, where there is much else."""
    root = rows[0].span
    least = (root.ended - root.begun) / 1000
    small = {row.span.span_id for row in rows if row.span.ended - row.span.begun < least and not told(row.span)}
    return [row for row in rows if row.span.span_id not in small] if len(rows) > 7 else rows
