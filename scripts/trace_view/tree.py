"""Writes a trace as lines for a terminal."""

from __future__ import annotations

from trace_view.otlp import Span
from trace_view.trace import Story, company, duration, told

BAR = 24
GREY, RED, BOLD, PLAIN = "\x1b[2m", "\x1b[31m", "\x1b[1m", "\x1b[0m"


def lines(story: Story, colours: bool) -> list[str]:
    """Returns the lines of one trace."""

    def paint(colour: str, text: str) -> str:
        return f"{colour}{text}{PLAIN}" if colours and text else text

    root = story.root
    head = f"{root.name}  {duration(root.ms)}  {story.outcome}"
    all_lines = [paint(RED if root.is_error else BOLD, head) + paint(GREY, f"  trace {root.trace_id}")]
    if story.why:
        all_lines.append(paint(BOLD, f"  {story.why}"))
    width = max(len(row.span.name) + 2 * row.depth for row in story.rows)
    for row in story.rows:
        name = ("  " * row.depth + row.span.name).ljust(width)
        body = f"  {bar(row.span, root)} {duration(row.span.ms):>8}  "
        all_lines.append("  " + paint(RED if row.span.is_error else "", name) + body + paint(GREY, told(row.span)))
        all_lines += [paint(GREY, f"  {' ' * width}  {line}") for line in beside(row.span, story)]
    return all_lines


def beside(span: Span, story: Story) -> list[str]:
    """Returns what stands below a span: the batches that it is linked to."""
    found = []
    for batch in story.batches:
        if any(link.span_id == batch.span_id for link in span.links):
            found.append(f"= batch {batch.span_id} of trace {batch.trace_id}, {company(batch)}")
    return found


def bar(span: Span, root: Span) -> str:
    """Returns a bar that stands where the span stands in the whole."""
    whole = max(root.ended - root.begun, 1)
    begin = min(max(round(BAR * (span.begun - root.begun) / whole), 0), BAR - 1)
    end = min(max(round(BAR * (span.ended - root.begun) / whole), begin + 1), BAR)
    return "·" * begin + "█" * (end - begin) + "·" * (BAR - end)
