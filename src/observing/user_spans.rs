//! The user's side of a request as spans: the reading, and the encoder's run or the wait for another's.

use crate::{
    observing::page::Page,
    ranking::Notes,
    telemetry::{Side, WrittenSpan},
    users::{Source, Trouble},
};

/// Writes the spans of getting the user's side.
pub(super) fn user_spans(page: &Page, notes: &Notes, spans: &mut Vec<WrittenSpan>) {
    let user = &notes.user;
    let place = notes.trace.child();
    let Some(span) = page.step_at("user", place, &user.step) else { return };
    let span = span.with(user.state, |span, state| span.text("podium.user.state", state.name()));
    spans.push(match user.age.is_zero() {
        true => span,
        false => span.number("podium.user.embedding_age_s", user.age.as_secs_f64()),
    });
    let read = page.step("user_store.read", place, &user.read);
    spans.extend(read.map(|span| {
        let reading = user.reading;
        let span = span.with(user.source, |span, source| {
            span.text("podium.user_store.source", source_name(source))
        });
        let span = span.count("podium.user_store.messages", u64::from(reading.messages));
        let span = match reading.messages {
            0 => span,
            _ => span
                .side(Side::Client)
                .text("db.system.name", "redis")
                .text("db.operation.name", "PIPELINE"),
        };
        match reading.trouble {
            None => span,
            Some(Trouble::GivenUp) => span.failed("GIVEN_UP"),
            Some(Trouble::TimedOut) => span.failed("TIMED_OUT"),
            Some(Trouble::Broken) => span.failed("BROKEN"),
        }
    }));
    let encode = place.child();
    let Some(span) = page.step_at("encode", encode, &user.encode) else { return };
    let span = span.with(notes.encoder.as_ref(), |span, id| {
        span.text("podium.encoder.name", id.name.to_string())
            .count("podium.encoder.version", id.version.0)
    });
    let span = span.flag("podium.encoder.joined", user.joined.is_some());
    spans.push(span.with(user.joined.filter(|joined| joined.is_valid()), |span, joined| {
        span.link(joined, &[])
    }));
    page.trip(encode, &user.trip, spans);
}

fn source_name(source: Source) -> &'static str {
    match source {
        Source::Store => "STORE",
        Source::Local => "LOCAL",
        Source::Fallback => "FALLBACK",
    }
}
