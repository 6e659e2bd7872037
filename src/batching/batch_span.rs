//! A batch as a span of a trace of its own, linked to every request in it.

use std::sync::Arc;

use crate::{
    batching::note::{BatchEnd, BatchNote},
    telemetry::{Pen, SpanQueue, Story, WrittenSpan},
};

struct BatchStory(Arc<BatchNote>);

impl Story for BatchStory {
    fn write(self: Box<Self>, pen: Pen, spans: &mut Vec<WrittenSpan>) {
        spans.push(batch_span(&self.0, pen));
    }
}

/// Has a batch told of, once, as soon as it is over: somebody who is told of was in it.
pub fn tell_of_batch(note: &Arc<BatchNote>, spans: &SpanQueue) {
    if note.want() {
        spans.tell(|| BatchStory(Arc::clone(note)));
    }
}

/// Notes a batch's end; tells of it if somebody who is told of was in it.
pub(super) fn end_batch(note: &Arc<BatchNote>, end: BatchEnd, spans: &SpanQueue) {
    if note.over(end) {
        spans.tell(|| BatchStory(Arc::clone(note)));
    }
}

/// The span of a batch that is over.
fn batch_span(note: &BatchNote, pen: Pen) -> WrittenSpan {
    let begun = note.begun.checked_sub(note.assembled).unwrap_or(note.begun);
    let span = WrittenSpan::new("batch", note.trace, (begun, note.begun + note.ran()), pen);
    let span = note.members.iter().fold(described(span, note), |span, member| {
        match member.trace.is_valid() {
            true => span.link(
                member.trace,
                &[
                    ("podium.batch.link.rows", member.units as u64),
                    ("podium.batch.link.length", member.length as u64),
                ],
            ),
            false => span,
        }
    });
    let untraced = note.members.iter().filter(|member| !member.trace.is_valid()).count();
    let span = match untraced {
        0 => span,
        some => span.count("podium.batch.untraced_requests", some as u64),
    };
    match note.end() {
        Some((_, BatchEnd::Failed(reason))) => span.failed(reason),
        Some((_, BatchEnd::Abandoned)) => span.flag("podium.batch.abandoned", true),
        _ => span,
    }
}

/// What is told of a batch, in its own span and in those of its requests.
pub fn described(span: WrittenSpan, note: &BatchNote) -> WrittenSpan {
    let (model, version) = note.model.split_once('/').unwrap_or((&note.model, ""));
    let ms = |time: std::time::Duration| time.as_secs_f64() * 1e3;
    let span = span
        .text("podium.model.name", model)
        .count("podium.model.version", version.parse().unwrap_or(0))
        .text("podium.device", &note.device)
        .count("podium.instance", note.instance as u64)
        .count("podium.batch.rows", note.facts.units as u64)
        .count("podium.batch.requests", note.facts.jobs as u64)
        .count("podium.batch.bucket", note.length as u64)
        .number("podium.batch.fill", f64::from(note.facts.fill))
        .number("podium.batch.padding", f64::from(note.facts.padding))
        .text("podium.batch.closed", note.facts.closed.name())
        .count("podium.batch.copies", note.copies as u64)
        .number("podium.batch.device_wait_ms", ms(note.waited))
        .number("podium.batch.assemble_ms", ms(note.assembled))
        .number("podium.batch.run_ms", ms(note.ran()))
        .flag("podium.batch.cold", note.is_cold);
    match note.expected.is_zero() {
        true => span,
        false => span.number("podium.batch.expected_run_ms", ms(note.expected)),
    }
}
