//! How the requests of an open loop come: when, with which deadline, and who leaves before the answer.

use std::{
    thread,
    time::{Duration, Instant},
};

use rand::{Rng, SeedableRng, rngs::StdRng};
use rand_distr::{Distribution, Exp};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// A Poisson process whose rate may change, and what its requests have in common.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Course {
    /// One rate after another.
    pub(super) pieces: Vec<Piece>,
    /// The deadlines, of which each request gets one by chance.
    pub(super) deadlines: Vec<Duration>,
    /// The share of callers who leave at a random moment before their deadline.
    pub(super) leaving: f64,
}

/// A time with one rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Piece {
    /// How long it lasts.
    pub(super) lasts: Duration,
    /// Requests a second.
    pub(super) rate: f64,
}

impl Course {
    /// One rate and one deadline, and nobody leaves.
    pub(super) fn steady(rate: f64, deadline: Duration) -> Self {
        let pieces = vec![Piece { lasts: Duration::MAX, rate }];
        Self { pieces, deadlines: vec![deadline], leaving: 0.0 }
    }

    /// The requests a second that are meant to come in a window of the course, on average.
    pub(super) fn offered(&self, (from, until): (Duration, Duration)) -> f64 {
        let (mut begin, mut requests) = (Duration::ZERO, 0.0);
        for piece in &self.pieces {
            let end = begin.saturating_add(piece.lasts);
            let within = end.min(until).saturating_sub(begin.max(from));
            requests += piece.rate * within.as_secs_f64();
            begin = end;
        }
        requests / until.saturating_sub(from).as_secs_f64()
    }

    /// How long the caller of one request stays; none to the end.
    pub(super) fn patience(&self, deadline: Duration, random: &mut StdRng) -> Option<Duration> {
        let leaves = self.leaving > 0.0 && random.random_bool(self.leaving.min(1.0));
        leaves.then(|| deadline.mul_f64(random.random()))
    }

    /// The moments of the process, each sent when it comes.
    ///
    /// A thread of its own keeps the time: tokio's timer has steps of a millisecond.
    pub(super) fn arrivals(
        &self,
        seed: u64,
        (begin, end): (Instant, Instant),
        stop: CancellationToken,
    ) -> mpsc::UnboundedReceiver<Instant> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let pieces = self.pieces.clone();
        thread::spawn(move || {
            let mut random = StdRng::seed_from_u64(seed);
            let mut next = begin;
            for piece in pieces {
                let Ok(gaps) = Exp::new(piece.rate) else { return };
                let over = next.checked_add(piece.lasts).map_or(end, |over| over.min(end));
                loop {
                    next += Duration::from_secs_f64(gaps.sample(&mut random).min(1e6));
                    if next >= over {
                        // The process has no memory: it begins anew with the next rate.
                        next = over;
                        break;
                    }
                    if stop.is_cancelled() {
                        return;
                    }
                    thread::sleep(next.saturating_duration_since(Instant::now()));
                    if sender.send(next).is_err() {
                        return;
                    }
                }
            }
        });
        receiver
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    async fn take(course: &Course, seed: u64, begin: Instant, lasts: Duration) -> Vec<Instant> {
        let mut all = Vec::new();
        let window = (begin, begin + lasts);
        let mut arriving = course.arrivals(seed, window, CancellationToken::new());
        while let Some(arrival) = arriving.recv().await {
            all.push(arrival);
        }
        all
    }

    #[tokio::test]
    async fn arrivals_come_at_their_rate_and_repeat_with_their_seed() {
        let (begin, course) = (Instant::now(), Course::steady(2000.0, MS(10)));
        let first = take(&course, 7, begin, MS(300)).await;
        assert!((450..750).contains(&first.len()), "{}", first.len());
        assert_eq!(first, take(&course, 7, begin, MS(300)).await);
        assert_ne!(first, take(&course, 8, begin, MS(300)).await);
    }

    #[tokio::test]
    async fn a_rate_may_change() {
        let piece = |rate| Piece { lasts: MS(100), rate };
        let pieces = vec![piece(500.0), piece(5000.0), piece(500.0)];
        let course = Course { pieces, ..Course::steady(1.0, MS(10)) };
        let begin = Instant::now();
        let all = take(&course, 1, begin, MS(300)).await;
        let within = |from: u64| {
            let slot = begin + MS(from)..begin + MS(from + 100);
            all.iter().filter(|moment| slot.contains(*moment)).count()
        };
        let counts = [within(0), within(100), within(200)];
        assert!(counts[1] > 4 * counts[0].max(counts[2]), "{counts:?}");
        assert!((course.offered((MS(0), MS(300))) - 2000.0).abs() < 1.0);
        assert!((course.offered((MS(50), MS(150))) - 2750.0).abs() < 1.0);
    }

    #[test]
    fn only_leavers_have_a_patience() {
        let mut random = StdRng::seed_from_u64(1);
        let steady = Course::steady(1.0, MS(10));
        assert_eq!(steady.patience(MS(10), &mut random), None);
        let all = Course { leaving: 1.0, ..steady };
        assert!((0..100).all(|_| all.patience(MS(10), &mut random).unwrap() < MS(10)));
    }
}
