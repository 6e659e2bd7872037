//! The steps of one request as spans: what all of them are written with.

use std::time::Instant;

use crate::{
    batching::{BatchNote, Trip, described},
    ranking::Step,
    telemetry::{Pen, TraceContext, WrittenSpan},
};

/// What all spans of one request are written with.
pub(super) struct Page {
    pub(super) pen: Pen,
    /// Its own span.
    pub(super) rank: TraceContext,
    /// When the request ended; what was cut off goes until then.
    pub(super) ended: Instant,
}

impl Page {
    /// The span of one step below another; none where it never began.
    pub(super) fn step(
        &self,
        name: &'static str,
        below: TraceContext,
        step: &Step,
    ) -> Option<WrittenSpan> {
        self.step_at(name, below.child(), step)
    }

    /// The same at a place of its own.
    pub(super) fn step_at(
        &self,
        name: &'static str,
        place: TraceContext,
        step: &Step,
    ) -> Option<WrittenSpan> {
        let begun = step.begun?;
        let span =
            WrittenSpan::new(name, place, (begun, step.ended.unwrap_or(self.ended)), self.pen);
        Some(match step.ended {
            Some(_) => span,
            None => span.flag("podium.cut_off", true),
        })
    }

    /// The wait in a model's queue and the batches that came of it, each linked to the batch's own span.
    pub(super) fn trip(&self, below: TraceContext, trip: &Trip, spans: &mut Vec<WrittenSpan>) {
        let Some(came) = trip.came else { return };
        let first = trip.notes.first().map(|note| begun(note));
        let queue = (came, first.unwrap_or(self.ended));
        let span = WrittenSpan::new("queue", below.child(), queue, self.pen);
        spans.push(match first {
            Some(_) => span,
            None => span.flag("podium.cut_off", true),
        });
        for note in &trip.notes {
            let until = note.end().map_or(self.ended, |(at, _)| *at);
            let own = note.members.iter().find(|member| member.trace.span_id == self.rank.span_id);
            let span = WrittenSpan::new("batch", below.child(), (begun(note), until), self.pen);
            let span = described(span, note).link(note.trace, &[]).with(own, |span, own| {
                span.count("podium.batch.own_rows", own.units as u64)
                    .count("podium.batch.own_length", own.length as u64)
            });
            spans.push(match note.end() {
                Some(_) => span,
                None => span.flag("podium.cut_off", true),
            });
        }
    }
}

fn begun(note: &BatchNote) -> Instant {
    note.begun.checked_sub(note.assembled).unwrap_or(note.begun)
}
