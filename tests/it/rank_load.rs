//! A load of Rank calls that goes on while things break, and judges every answer.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use podium::transport::pb::{User, UserState};
use rand::{Rng, seq::IndexedRandom};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{
    judge::{Redis, Verdict, judge},
    replica::Replica,
    shop::Shop,
    shoppers::{Shopper, inline, request, scores},
};

/// Tasks that ask, each one request after another.
const ASKERS: usize = 4;
/// How long each rests behind an answer.
const REST: Duration = Duration::from_millis(25);
/// How long the one who records rests.
const BETWEEN_EVENTS: Duration = Duration::from_millis(250);
/// The share of answers that may say that Redis was too slow while it is well.
const BUSY: f64 = 0.02;
/// How soon after Redis is healthy answers have to be.
pub const HEALING: Duration = Duration::from_secs(2);

/// One answer to a request for a known user.
#[derive(Debug, Clone, Copy)]
pub struct Judged {
    pub asked: Instant,
    pub took: Duration,
    pub verdict: Verdict,
}

/// What came of a load.
#[derive(Default)]
pub struct Outcome {
    /// Answers for known users, in the order in which they came.
    pub answers: Vec<Judged>,
    /// Answers of any kind.
    pub count: usize,
    /// Calls that failed, and answers that were wrong.
    pub faults: Vec<String>,
    /// Calls to record an event that failed, and so were repeated.
    pub refused_events: usize,
}

/// A load under way.
pub struct Load {
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
    outcome: Arc<Mutex<Outcome>>,
}

impl Load {
    /// Begins to ask all servers for all kinds of users, and to record further events through them.
    pub fn with_events(shop: &Shop, redis: Redis) -> Self {
        let load = Self::start(shop, redis);
        let recorder = tokio::spawn(keep_recording(
            shop.clone(),
            Arc::clone(&load.outcome),
            load.stop.clone(),
        ));
        let tasks = load.tasks.into_iter().chain([recorder]).collect();
        Self { tasks, ..load }
    }

    /// Begins to ask all servers for all kinds of users.
    pub fn start(shop: &Shop, redis: Redis) -> Self {
        let (stop, outcome) = (CancellationToken::new(), Arc::<Mutex<Outcome>>::default());
        let ask =
            |_| tokio::spawn(keep_asking(shop.clone(), redis, Arc::clone(&outcome), stop.clone()));
        Self { tasks: (0..ASKERS).map(ask).collect(), stop, outcome }
    }

    /// Lets it go on for a while.
    pub async fn go_on(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    /// Ends it; panics where a call failed or an answer was wrong.
    #[track_caller]
    pub fn finish(self) -> impl Future<Output = Outcome> {
        let place = std::panic::Location::caller();
        async move {
            self.stop.cancel();
            for task in self.tasks {
                task.await.unwrap();
            }
            let outcome = std::mem::take(&mut *self.outcome.lock().unwrap());
            let (wrong, first) =
                (outcome.faults.len(), &outcome.faults[..outcome.faults.len().min(10)]);
            assert!(
                wrong == 0,
                "{place}: {wrong} of {} answers are wrong: {first:#?}",
                outcome.count
            );
            assert!(outcome.count > 50, "{place}: {} answers are no load", outcome.count);
            outcome
        }
    }
}

impl Outcome {
    /// Answers to requests that were sent between two times.
    pub fn between(&self, from: Instant, to: Instant) -> impl Iterator<Item = &Judged> {
        self.answers.iter().filter(move |answer| answer.asked >= from && answer.asked < to)
    }

    /// Checks that trouble was told of between two times.
    #[track_caller]
    pub fn assert_told(&self, from: Instant, to: Instant) {
        let told = self.between(from, to).filter(|answer| !answer.verdict.is_healthy()).count();
        assert!(told > 0, "nobody was told of the trouble: {}", self.summary(from, to));
    }

    /// Checks that every answer was healthy to requests that were sent [`HEALING`] after `healthy` or later.
    #[track_caller]
    pub fn assert_healed(&self, healthy: Instant) {
        let (from, to) = (healthy + HEALING, Instant::now());
        self.assert_healthy(from, to);
    }

    /// Checks that every answer was healthy between two times.
    #[track_caller]
    pub fn assert_healthy(&self, from: Instant, to: Instant) {
        let ill = self.between(from, to).filter(|answer| !answer.verdict.is_healthy()).count();
        let all = self.between(from, to).count();
        assert!(all > 10, "{all} answers tell nothing");
        // On a busy machine Redis takes longer now and then than a Rank waits, and then an answer has to say so.
        let few = ill as f64 <= (all as f64 * BUSY).ceil();
        assert!(few, "{ill} of {all} answers are not healthy: {}", self.summary(from, to));
    }

    /// How many answers there were of each state, and how long they took.
    pub fn summary(&self, from: Instant, to: Instant) -> String {
        let states = [
            UserState::Cached,
            UserState::Local,
            UserState::Computed,
            UserState::Stale,
            UserState::Default,
        ];
        let mut text = String::new();
        for state in states {
            for degraded in [false, true] {
                let of = |answer: &&Judged| {
                    answer.verdict.state == state && answer.verdict.degraded == degraded
                };
                let count = self.between(from, to).filter(of).count();
                if count > 0 {
                    let but = if degraded { " degraded" } else { "" };
                    text.push_str(&format!("{count} {state:?}{but}, "));
                }
            }
        }
        let mut took: Vec<Duration> = self.between(from, to).map(|answer| answer.took).collect();
        took.sort();
        let at = |share: f64| {
            took.get((took.len() as f64 * share) as usize).copied().unwrap_or_default()
        };
        format!("{text}median {:?}, p99 {:?}", at(0.5), at(0.99))
    }
}

async fn keep_asking(
    shop: Shop,
    redis: Redis,
    outcome: Arc<Mutex<Outcome>>,
    stop: CancellationToken,
) {
    while !stop.is_cancelled() {
        let result = ask_once(&shop, redis).await;
        {
            let mut outcome = outcome.lock().unwrap();
            outcome.count += 1;
            match result {
                Ok(Some(judged)) => outcome.answers.push(judged),
                Ok(None) => {}
                Err(fault) => outcome.faults.push(fault),
            }
        }
        tokio::time::sleep(REST).await;
    }
}

/// Asks one server for one user.
///
/// # Errors
/// What is wrong with the answer.
async fn ask_once(shop: &Shop, redis: Redis) -> Result<Option<Judged>, String> {
    let (server, kind) = {
        let mut random = rand::rng();
        (shop.replicas.choose(&mut random).unwrap(), random.random_range(0..10))
    };
    match kind {
        0 if shop.has_strangers => stranger(shop, server, redis).await.map(|()| None),
        1 => brought(shop, server).await.map(|()| None),
        2 => known(&shop.shipped, server, redis).await.map(Some),
        _ => {
            let shopper = shop.known.choose(&mut rand::rng()).unwrap();
            known(shopper, server, redis).await.map(Some)
        }
    }
}

/// Asks one server for one user of whom it should know.
///
/// # Errors
/// What is wrong with the answer.
pub async fn known(shopper: &Shopper, server: &Replica, redis: Redis) -> Result<Judged, String> {
    let asked = Instant::now();
    let answer = server.rank(shopper.request()).await;
    let took = asked.elapsed();
    let answer = answer.map_err(|error| format!("{shopper:?} after {took:?}: {error}"))?;
    let verdict = judge(shopper, &answer, asked, redis)?;
    Ok(Judged { asked, took, verdict })
}

/// Asks for somebody of whom nobody ever heard.
async fn stranger(shop: &Shop, server: &Replica, redis: Redis) -> Result<(), String> {
    let id = format!("stranger-{}", rand::rng().random_range(0..1_000_000));
    let asked = Instant::now();
    let answer = server.rank(request(User { id, ..User::default() })).await;
    let answer = answer.map_err(|error| format!("a stranger: {error}"))?;
    let verdict = judge(&shop.stranger, &answer, asked, redis)?;
    match verdict.state {
        UserState::Default => Ok(()),
        other => Err(format!("a stranger is {other:?}")),
    }
}

/// Asks for a known user whose history the request brings: nothing of the store may be in the answer.
async fn brought(shop: &Shop, server: &Replica) -> Result<(), String> {
    let (shopper, count) = {
        let mut random = rand::rng();
        let shopper = shop.known.choose(&mut random).unwrap();
        (shopper, random.random_range(1..=shopper.events.len()))
    };
    let user = User {
        id: shopper.id.clone(),
        history: inline(&shopper.events[..count]),
        ..User::default()
    };
    let answer = server.rank(request(user)).await;
    let answer = answer.map_err(|error| format!("an inline history: {error}"))?;
    let right = shopper.events_in(&answer) == Some(count) && answer.degraded.is_empty();
    match answer.user_state() {
        UserState::Inline if right && answer.user_state_age_ms == 0 => Ok(()),
        state => Err(format!("an inline history: {state:?} {:?}", scores(&answer))),
    }
}

/// Records an event now and then, each until it is acknowledged.
async fn keep_recording(shop: Shop, outcome: Arc<Mutex<Outcome>>, stop: CancellationToken) {
    let mut turn = 0;
    while !stop.is_cancelled() {
        let shopper = &shop.known[turn % shop.known.len()];
        let server = &shop.replicas[turn % shop.replicas.len()];
        match shopper.act(server).await {
            Ok(_) => turn += 1,
            Err(_) => outcome.lock().unwrap().refused_events += 1,
        }
        tokio::time::sleep(BETWEEN_EVENTS).await;
    }
}
