//! Tells a caller how far the warming of users is, until it is done or the caller leaves.

use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{Stream, StreamExt};
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval},
};
use tonic::Status;

use crate::{
    deadline::Deadline,
    ranking::{Engine, ModelChoice, RankError, Stage, WarmProgress, WhomToWarm},
    transport::{
        convert::warm_response,
        flow::Flow,
        pb::WarmUsersResponse,
        status::{expired, status_of},
    },
};

/// How often the progress is told at most.
const TOLD_EVERY: Duration = Duration::from_millis(100);

type Teller = mpsc::Sender<Result<WarmUsersResponse, Status>>;

/// One call to warm users.
pub(super) struct Warming {
    pub(super) engine: Arc<Engine>,
    pub(super) flow: Flow,
    pub(super) model: ModelChoice,
    pub(super) whom: WhomToWarm,
    /// The deadline that the caller set for all of it.
    pub(super) until: Option<Deadline>,
}

impl Warming {
    /// Warms until all is done, the caller leaves, the deadline passes, or the server drains.
    pub(super) async fn go_on(self, answers: Teller) {
        let _admitted = match self.flow.admit() {
            Ok(place) => place,
            Err(error) => return end(&answers, status_of(&error, "")).await,
        };
        let over = async {
            match self.until {
                Some(until) => tokio::time::sleep_until(until.at().into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = answers.closed() => {}
            () = self.flow.draining.cancelled() => end(&answers, status_of(&RankError::Draining, "")).await,
            () = over => end(&answers, expired(Stage::User)).await,
            told = self.tell(&answers) => {
                if let Err(error) = told {
                    end(&answers, status_of(&error, "")).await;
                }
            }
        }
    }

    async fn tell(&self, answers: &Teller) -> Result<(), RankError> {
        let patience = Deadline::after(Instant::now(), self.flow.options.max_deadline);
        let begun = self.engine.warm(&self.model, self.whom.clone());
        let (total, progress) = tokio::time::timeout_at(patience.at().into(), begun)
            .await
            .unwrap_or(Err(RankError::Expired(Stage::Store)))?;
        let first = WarmProgress { total, ..WarmProgress::default() };
        tell_now_and_then(first, progress, answers).await;
        Ok(())
    }
}

/// Sends what is first, what there is at each tick, and what is last.
async fn tell_now_and_then(
    first: WarmProgress,
    progress: impl Stream<Item = WarmProgress>,
    answers: &Teller,
) {
    let mut progress = pin!(progress);
    let mut ticks = interval(TOLD_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut now, mut told) = (first, None);
    loop {
        tokio::select! {
            biased;
            _ = ticks.tick(), if told != Some(now) => {
                told = Some(now);
                if answers.send(Ok(warm_response(now))).await.is_err() {
                    return;
                }
            }
            next = progress.next() => match next {
                Some(next) => now = next,
                None => break,
            },
        }
    }
    if told != Some(now) {
        let _ = answers.send(Ok(warm_response(now))).await;
    }
}

async fn end(answers: &Teller, status: Status) {
    let _ = answers.send(Err(status)).await;
}
