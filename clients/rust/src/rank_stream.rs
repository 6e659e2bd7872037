//! The answers of a stream of Rank requests.

use tonic::Streaming;

use crate::{error::Error, pb::RankResponse};

/// The answers of a stream of Rank requests, in the order in which they come; `request_id` says whose each is.
#[derive(Debug)]
pub struct RankAnswers(Streaming<RankResponse>);

impl RankAnswers {
    pub(crate) fn new(answers: Streaming<RankResponse>) -> Self {
        Self(answers)
    }

    /// The next answer, or why a request has none; nothing once all have come. An error without a request's id ended the stream.
    pub async fn next(&mut self) -> Option<Result<RankResponse, Error>> {
        match self.0.message().await {
            Ok(None) => None,
            Ok(Some(mut answer)) => Some(match answer.error.take() {
                Some(error) => Err(Error::of_stream(error, answer.request_id)),
                None => Ok(answer),
            }),
            Err(status) => Some(Err(status.into())),
        }
    }
}
