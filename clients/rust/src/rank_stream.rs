//! The answers of a stream of Rank requests.

use std::time::{Duration, Instant};

use tokio::time::timeout;
use tonic::Streaming;

use crate::{error::Error, pb::RankResponse};

/// The answers of a stream of Rank requests, in the order in which they come; `request_id` says whose each is.
#[derive(Debug)]
pub struct RankAnswers {
    answers: Streaming<RankResponse>,
    begun: Instant,
    deadline: Duration,
}

impl RankAnswers {
    pub(crate) fn new(
        answers: Streaming<RankResponse>,
        begun: Instant,
        deadline: Duration,
    ) -> Self {
        Self { answers, begun, deadline }
    }

    /// The next answer, or why a request has none; nothing once all have come. An error without a request's id ended the stream.
    pub async fn next(&mut self) -> Option<Result<RankResponse, Error>> {
        let left = self.deadline.saturating_sub(self.begun.elapsed());
        match timeout(left, self.answers.message()).await {
            Err(_) => Some(Err(Error::late())),
            Ok(Err(status)) => Some(Err(status.into())),
            Ok(Ok(None)) => None,
            Ok(Ok(Some(mut answer))) => Some(match answer.error.take() {
                Some(error) => Err(Error::of_stream(error, answer.request_id)),
                None => Ok(answer),
            }),
        }
    }
}
