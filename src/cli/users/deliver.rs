//! Brings a batch to the server, however often that has to be tried.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, transport::Channel};
use tonic_types::StatusExt;

use crate::{
    cli::{client::refusal, users::batches::Batch},
    transport::pb::{
        RecordEventsRequest, RecordEventsResponse, user_service_client::UserServiceClient,
    },
};

/// How often a batch is tried.
const ATTEMPTS: u32 = 10;

/// How long the server may take for a batch.
const PATIENCE: Duration = Duration::from_secs(10);

/// The waits between attempts: the first where the server names none, and the longest.
const WAITS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// A batch that the server has.
#[derive(Debug)]
pub(super) struct Delivered {
    /// The batch, without its events.
    pub(super) batch: Batch,
    /// Events that were new.
    pub(super) recorded: u64,
    /// Events that the server already had.
    pub(super) duplicates: u64,
}

/// Sends a batch, and again where the server cannot take it now; a `stop` ends the trying.
pub(super) async fn deliver(
    mut client: UserServiceClient<Channel>,
    batch: Result<Batch, String>,
    stop: CancellationToken,
) -> Result<Delivered, String> {
    let mut batch = batch?;
    let events = std::mem::take(&mut batch.events);
    if events.is_empty() {
        return Ok(Delivered { batch, recorded: 0, duplicates: 0 });
    }
    let message = RecordEventsRequest { request_id: String::new(), events };
    let mut attempt = 1;
    loop {
        let mut call = tonic::Request::new(message.clone());
        call.set_timeout(PATIENCE);
        let status = match client.record_events(call).await {
            Ok(answer) => return Ok(delivered(batch, answer.get_ref())),
            Err(status) => status,
        };
        if !passes(&status) || stop.is_cancelled() {
            return Err(refusal(&status));
        }
        if attempt == ATTEMPTS {
            return Err(format!("{}\nTried {ATTEMPTS} times", refusal(&status)));
        }
        tokio::select! {
            () = stop.cancelled() => return Err(refusal(&status)),
            () = tokio::time::sleep(wait(&status, attempt)) => attempt += 1,
        }
    }
}

fn delivered(batch: Batch, answer: &RecordEventsResponse) -> Delivered {
    let (recorded, duplicates) = (answer.recorded.into(), answer.duplicates.into());
    Delivered { batch, recorded, duplicates }
}

/// Whether trying again can help; an event that was sent twice is recorded once.
fn passes(status: &Status) -> bool {
    let broken = std::error::Error::source(status).is_some();
    let may_pass = [Code::Unavailable, Code::ResourceExhausted, Code::DeadlineExceeded];
    broken || may_pass.contains(&status.code())
}

/// How long to wait: as long as the server says, and longer each time.
fn wait(status: &Status, attempt: u32) -> Duration {
    let (shortest, longest) = WAITS;
    let told = status.get_details_retry_info().and_then(|info| info.retry_delay);
    let own = shortest * 2_u32.saturating_pow(attempt - 1);
    told.unwrap_or_default().max(own).min(longest)
}

#[cfg(test)]
mod tests {
    use tonic_types::ErrorDetails;

    use super::*;

    #[test]
    fn waits_grow_and_are_as_long_as_the_server_says() {
        let bare = Status::unavailable("");
        let waits: Vec<u128> = (1..9).map(|attempt| wait(&bare, attempt).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        let details = ErrorDetails::with_retry_info(Some(Duration::from_secs(1)));
        let told = Status::with_error_details(Code::ResourceExhausted, "", details);
        assert_eq!(wait(&told, 1), Duration::from_secs(1));
    }

    #[test]
    fn a_faulty_request_is_not_repeated() {
        assert!(passes(&Status::unavailable("")));
        assert!(!passes(&Status::invalid_argument("")));
    }
}
