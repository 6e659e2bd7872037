//! Before a model moves to another encoder: embeddings of those users who were active last are computed for it.

use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::StreamExt;
use tokio_util::task::AbortOnDropHandle;

use crate::{
    batching::Turns,
    ids::ModelId,
    ranking::{Engine, RankError, Ranker, WarmProgress, WhomToWarm},
    serving::Lives,
};

/// How often the progress is told at most.
const TOLD_EVERY: Duration = Duration::from_millis(200);

/// How long the next user waits at most while models wait for the device.
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// How often it is asked meanwhile whether they still do.
const LOOK: Duration = Duration::from_millis(2);

/// Computes embeddings ahead.
pub(super) struct EmbeddingsAhead {
    /// None as long as the server starts: who waits for its first answer is not kept waiting.
    pub(super) engine: Option<Arc<Engine>>,
    /// Users whose embeddings are computed.
    pub(super) users: usize,
    pub(super) timeout: Duration,
    /// The turns of all models on each device.
    pub(super) turns: Vec<Arc<Turns>>,
    pub(super) lives: Arc<Lives>,
}

/// What is being done for one ranker; it ends when this is dropped.
pub(super) struct Computing(AbortOnDropHandle<()>);

impl Computing {
    pub(super) fn is_over(&self) -> bool {
        self.0.is_finished()
    }
}

impl EmbeddingsAhead {
    /// Begins to compute, where a ranker needs another encoder than the version that is live; none where there is nothing to do.
    pub(super) fn begin(&self, ranker: &Arc<Ranker>, live: Option<&Ranker>) -> Option<Computing> {
        let engine = Arc::clone(self.engine.as_ref()?);
        let encoder = ranker.encoder()?.id().clone();
        let before = live?.encoder().map(|encoder| encoder.id().clone());
        if self.users == 0 || before.as_ref() == Some(&encoder) {
            return None;
        }
        let job = Job {
            engine,
            ranker: Arc::clone(ranker),
            encoder,
            users: self.users,
            turns: self.turns.clone(),
            lives: Arc::clone(&self.lives),
        };
        Some(Computing(AbortOnDropHandle::new(tokio::spawn(job.run(self.timeout)))))
    }
}

struct Job {
    engine: Arc<Engine>,
    ranker: Arc<Ranker>,
    encoder: ModelId,
    users: usize,
    turns: Vec<Arc<Turns>>,
    lives: Arc<Lives>,
}

impl Job {
    async fn run(self, timeout: Duration) {
        let (begun, mut last) = (Instant::now(), WarmProgress::default());
        let ended = tokio::time::timeout(timeout, self.compute(&mut last)).await;
        let (model, encoder) = (self.ranker.id(), &self.encoder);
        let WarmProgress { total, computed, fresh, unknown, failed } = last;
        let took_ms = begun.elapsed().as_millis() as u64;
        match ended {
            Ok(Ok(())) => {
                tracing::info!(%model, %encoder, total, computed, fresh, unknown, failed, took_ms, "embeddings are there ahead of the move");
            }
            Ok(Err(error)) => {
                tracing::warn!(%model, %encoder, %error, "no embeddings are computed ahead: the active users cannot be had");
            }
            Err(_) => {
                tracing::warn!(%model, %encoder, total, computed, fresh, unknown, failed, took_ms, "models.warm_users_timeout passed before all embeddings were there; the rest are computed when they are asked for");
            }
        }
    }

    async fn compute(&self, last: &mut WarmProgress) -> Result<(), RankError> {
        let whom = WhomToWarm::MostActive(self.users);
        let (total, progress) = self.engine.warm_for(&self.ranker, whom).await?;
        last.total = total;
        self.tell(last);
        let (mut progress, mut told) = (pin!(progress), Instant::now());
        while let Some(next) = progress.next().await {
            *last = next;
            if told.elapsed() >= TOLD_EVERY || next.done() == total {
                self.tell(last);
                told = Instant::now();
            }
            self.wait_for_spare_capacity().await;
        }
        Ok(())
    }

    fn tell(&self, progress: &WarmProgress) {
        let (there, total) = (grouped(progress.computed + progress.fresh), grouped(progress.total));
        let told = format!("{there} of {total} users have embeddings of {}", self.encoder);
        self.lives.tell(self.ranker.id(), &told);
    }

    /// Lets those go first who wait for the device now.
    async fn wait_for_spare_capacity(&self) {
        let until = Instant::now() + LONGEST_PAUSE;
        while self.turns.iter().any(|turns| turns.is_sought()) && Instant::now() < until {
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// A number with a comma before each three digits.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(number: usize, want: &str) {
        assert_eq!(grouped(number), want);
    }

    #[test]
    fn thousands_are_set_apart() {
        check(0, "0");
        check(999, "999");
        check(1000, "1,000");
        check(10_000, "10,000");
        check(1_234_567, "1,234,567");
    }
}
