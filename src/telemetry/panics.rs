//! Panics in the log: where they were, and their messages without values.

use std::{
    any::Any,
    backtrace::{Backtrace, BacktraceStatus},
    panic::set_hook,
    thread,
};

use crate::telemetry::masked::without_values;

/// Has panics logged from now on as lines like others, and not written out as they are: a slice of a text that is cut within a character
/// quotes the text, which may be what a shopper searched for.
pub fn log_panics() {
    set_hook(Box::new(|info| {
        let place = info.location().map_or_else(String::new, ToString::to_string);
        let message = panic_message(info.payload());
        let thread = thread::current();
        let thread = thread.name().unwrap_or("unnamed");
        let backtrace = Backtrace::capture();
        match backtrace.status() {
            BacktraceStatus::Captured => {
                tracing::error!(place, thread, %backtrace, "panicked: {message}");
            }
            _ => tracing::error!(place, thread, "panicked: {message}"),
        }
    }));
}

/// What a panic says: a text of the program as it is, one that was made of values up to its first quote, and without numbers.
pub fn panic_message(payload: &(dyn Any + Send)) -> String {
    match (payload.downcast_ref::<&'static str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (None, Some(text)) => made(text),
        (None, None) => "no message".to_owned(),
    }
}

/// A text that was made of values, without them.
fn made(message: &str) -> String {
    let end = message.find(['`', '\'', '"', '{', '[', '(']);
    let kept = without_values(&message[..end.unwrap_or(message.len())]);
    if end.is_some() { kept + "…" } else { kept }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(message: &str, want: &str) {
        assert_eq!(made(message), want);
    }

    #[test]
    fn what_was_made_of_values_is_cut() {
        check(
            "byte index 1 is not a char boundary; it is inside 'ü' (bytes 0..2) of `über`",
            "byte index # is not a char boundary; it is inside …",
        );
        check(
            "index out of bounds: the len is 3 but the index is 31337",
            "index out of bounds: the len is # but the index is #",
        );
        check("plain", "plain");
    }
}
