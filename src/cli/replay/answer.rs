//! One answer, as it was logged or as it comes now.

use std::time::Duration;

use crate::{
    observing::{Entry, LoggedAnswer},
    transport::pb::RankResponse,
};

/// An order with its scores and times.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Answer {
    /// The positions of the candidates, best first, each with its score.
    pub(super) items: Vec<(u32, Option<f32>)>,
    /// The model and version.
    pub(super) by: String,
    /// Time in the server, in microseconds.
    pub(super) server_us: u64,
    /// Time from asking to the answer, in microseconds; none of a logged one.
    pub(super) client_us: Option<u64>,
}

/// An answer, or the reason that there is none.
pub(super) type Answered = Result<Answer, String>;

/// What was answered then.
pub(super) fn logged(entry: &Entry) -> Answered {
    match &entry.answer {
        Some(LoggedAnswer { model, version, order, scores, .. }) => Ok(Answer {
            items: order.iter().copied().zip(scores.iter().copied()).collect(),
            by: format!("{model} version {version}"),
            server_us: entry.timings_us.total,
            client_us: None,
        }),
        None => Err(match &entry.error {
            Some(error) => format!("{} {}", error.code, error.reason),
            None => entry.outcome.clone(),
        }),
    }
}

/// What is answered now.
pub(super) fn now(response: &RankResponse, took: Duration) -> Answer {
    Answer {
        items: response.items.iter().map(|item| (item.index, item.score)).collect(),
        by: format!("{} version {}", response.model_name, response.model_version),
        server_us: response.timings.as_ref().map_or(0, |timings| timings.total_us.into()),
        client_us: Some(took.as_micros() as u64),
    }
}
