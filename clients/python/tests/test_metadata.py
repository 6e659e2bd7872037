"""Who calls, and which trace a call belongs to."""

from __future__ import annotations

import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags
from opentelemetry.trace.span import TraceState

from podium_client import metadata
from podium_client.metadata import call_metadata

OURS = "00-0000000000000000000000000000abcd-00000000000000ef-01"
OTHER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def current() -> context.Context:
    """Returns a context with a span and baggage."""
    state = TraceState([("shop", "7")])
    span = SpanContext(0xABCD, 0xEF, is_remote=False, trace_flags=TraceFlags(1), trace_state=state)
    return baggage.set_baggage("tenant", "a b", trace.set_span_in_context(NonRecordingSpan(span)))


def test_nothing_is_sent_where_there_is_nothing() -> None:
    assert call_metadata() == ()


def test_the_current_trace_goes_along() -> None:
    token = context.attach(current())
    try:
        sent = dict(call_metadata("shop"))
        other = dict(call_metadata(traceparent=OTHER))
    finally:
        context.detach(token)
    assert sent == {"traceparent": OURS, "tracestate": "shop=7", "baggage": "tenant=a+b", "podium-caller": "shop"}
    # What belongs to the current trace alone does not go with another one.
    assert other == {"traceparent": OTHER, "baggage": "tenant=a+b"}


def test_further_metadata_is_added() -> None:
    assert call_metadata(more=[("a", "1"), ("b-bin", b"2")]) == (("a", "1"), ("b-bin", b"2"))


def test_opentelemetry_may_be_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "propagate", None)
    token = context.attach(current())
    try:
        assert call_metadata() == ()
        assert call_metadata(traceparent=OTHER) == (("traceparent", OTHER),)
    finally:
        context.detach(token)
