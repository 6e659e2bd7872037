//! Before a model moves to another encoder: embeddings of those users who were active last are computed for it.

use std::{
    pin::pin,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use crate::{
    batching::Turns,
    ids::ModelId,
    ranking::{Engine, RankError, Ranker, WarmProgress, WhomToWarm},
    serving::Lives,
};
use futures::StreamExt;

/// How often the progress is told at most.
const TOLD_EVERY: Duration = Duration::from_millis(200);

/// How long the next user waits at most while models wait for the device.
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// How often it is asked meanwhile whether they still do.
const LOOK: Duration = Duration::from_millis(2);

/// Computes embeddings ahead.
pub(super) struct EmbeddingsAhead {
    engine: OnceLock<Arc<Engine>>,
    /// Users whose embeddings are computed.
    users: usize,
    timeout: Duration,
    /// The turns of all models on each device.
    turns: Vec<Arc<Turns>>,
    lives: Arc<Lives>,
}

impl EmbeddingsAhead {
    /// Computes those of so many users for so long at most, and none before there is an engine: who waits for a server's first answer is not
    /// kept waiting.
    pub(super) fn new(
        (users, timeout): (usize, Duration),
        turns: Vec<Arc<Turns>>,
        lives: Arc<Lives>,
    ) -> Self {
        Self { engine: OnceLock::new(), users, timeout, turns, lives }
    }

    /// Has embeddings computed from now on, as requests have them computed.
    pub(super) fn serve_with(&self, engine: &Arc<Engine>) {
        self.engine.get_or_init(|| Arc::clone(engine));
    }

    /// Computes them, where a ranker needs another encoder than the version that is live.
    pub(super) async fn compute(&self, ranker: &Arc<Ranker>, live: Option<&Ranker>) {
        let (Some(engine), Some(encoder), Some(live)) = (self.engine.get(), ranker.encoder(), live)
        else {
            return;
        };
        let before = live.encoder().map(|encoder| encoder.id());
        if self.users == 0 || before == Some(encoder.id()) {
            return;
        }
        let job = Job {
            engine: Arc::clone(engine),
            ranker: Arc::clone(ranker),
            encoder: encoder.id().clone(),
            users: self.users,
            turns: self.turns.clone(),
            lives: Arc::clone(&self.lives),
        };
        job.run(self.timeout).await;
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
