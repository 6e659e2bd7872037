"""Metadata: who calls, and the trace that the call belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

try:
    from opentelemetry import propagate
except ImportError:  # It is optional.
    propagate = None  # type: ignore[assignment]

Metadata: TypeAlias = tuple[tuple[str, str | bytes], ...]


def current_trace() -> dict[str, str]:
    """Returns what OpenTelemetry's propagators say of the current context: `traceparent`, `tracestate`, `baggage`."""
    carrier: dict[str, str] = {}
    if propagate is not None:
        propagate.inject(carrier)
    return {name.lower(): value for name, value in carrier.items()}


def call_metadata(
    caller: str = "", traceparent: str | None = None, more: Sequence[tuple[str, str | bytes]] = ()
) -> Metadata:
    """Returns the metadata of a call; a `traceparent` that is given takes the place of the current one."""
    headers = current_trace()
    if traceparent is not None:
        headers.pop("tracestate", None)  # It is of the other trace.
        headers["traceparent"] = traceparent
    if caller:
        headers["podium-caller"] = caller
    return (*headers.items(), *more)
