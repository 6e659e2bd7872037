//! A cause of a request's time, and what it is called.

use std::time::Duration;

use crate::ranking::Notes;

/// The cause of most of a request's time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Why {
    /// The cause, for machines, such as `USER_STORE`; `NONE` where nothing stands out.
    pub reason: &'static str,
    /// The same for people, with the figures.
    pub text: String,
}

impl Why {
    pub(super) fn new(reason: &'static str, text: impl Into<String>) -> Self {
        Self { reason, text: text.into() }
    }
}

/// A cause with the time that it cost.
pub(super) type Cause = (Duration, Why);

/// A request's candidates in words.
pub(super) fn candidates(notes: &Notes) -> String {
    match notes.candidates {
        1 => "1 candidate".to_owned(),
        many => format!("{many} candidates"),
    }
}

/// A time in milliseconds.
pub(super) fn ms(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1e3;
    match ms {
        ms if ms >= 10.0 => format!("{ms:.0} ms"),
        ms => format!("{ms:.1} ms"),
    }
}
