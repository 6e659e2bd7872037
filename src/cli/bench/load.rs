//! Sends requests: as a closed loop of callers that wait, or as an open loop that does not.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    thread,
    time::{Duration, Instant},
};

use http::uri::PathAndQuery;
use rand::{Rng, SeedableRng, rngs::StdRng};
use rand_distr::{Distribution, Exp};
use tokio::{sync::mpsc, task::spawn_local};
use tokio_util::sync::CancellationToken;
use tonic::{
    Code, Request, Status,
    client::Grpc,
    transport::{Channel, Endpoint},
};

use crate::cli::bench::{
    codec::{Answer, BenchCodec},
    recorder::{Outcome, Recorder},
    requests::Pool,
};

/// Most requests that an open loop has on their way; one more is missed.
const MOST_IN_FLIGHT: usize = 4096;

/// A send that is later than this after its time is counted as late.
const LATE: Duration = Duration::from_millis(1);

/// Wait after a failure, so that a dead server is not asked in a tight loop.
const PAUSE: Duration = Duration::from_millis(1);

/// Largest answer that is taken, in bytes.
const LARGEST_ANSWER: usize = 256 << 20;

/// How requests come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Load {
    /// So many callers, each sending its next request when it has the answer to the last.
    Closed(usize),
    /// So many a second, at random moments, whether or not answers have come.
    Open(f64),
}

/// Sends requests of a pool over a few connections.
pub(super) struct Generator {
    connections: Vec<Grpc<Channel>>,
    pool: Rc<Pool>,
    path: PathAndQuery,
    deadline: Duration,
    in_flight: Cell<usize>,
    stop: CancellationToken,
}

impl Generator {
    /// Opens the connections.
    pub(super) async fn connect(
        target: &str,
        connections: usize,
        pool: Rc<Pool>,
        deadline: Duration,
        stop: CancellationToken,
    ) -> Result<Rc<Self>, String> {
        let endpoint = Endpoint::from_shared(target.to_owned()).map_err(|e| e.to_string())?;
        let mut opened = Vec::new();
        for _ in 0..connections.max(1) {
            let channel = endpoint.connect().await.map_err(|e| format!("{target}: {e}"))?;
            opened.push(Grpc::new(channel).max_decoding_message_size(LARGEST_ANSWER));
        }
        Ok(Rc::new(Self {
            connections: opened,
            pool,
            path: PathAndQuery::from_static("/podium.v1.RankService/Rank"),
            deadline,
            in_flight: Cell::new(0),
            stop,
        }))
    }

    /// Sends each request of the pool once, so that the server has every user's embedding.
    pub(super) async fn prime(&self) -> Result<(), String> {
        for number in 0..self.pool.encoded.len() {
            if self.stop.is_cancelled() {
                break;
            }
            let patience = self.deadline.max(Duration::from_secs(30));
            let answer = self.send(number, 0, patience).await;
            let answer = answer.map_err(|s| crate::cli::client::refusal(&s))?;
            if answer.items.len() != self.pool.items {
                let (got, want) = (answer.items.len(), self.pool.items);
                return Err(format!("an answer has {got} items, and {want} were to come"));
            }
        }
        Ok(())
    }

    async fn send(
        &self,
        number: usize,
        connection: usize,
        deadline: Duration,
    ) -> Result<Answer, Status> {
        let mut grpc = self.connections[connection % self.connections.len()].clone();
        let ready = grpc.ready().await;
        ready.map_err(|e| Status::unavailable(e.to_string()))?;
        let mut request = Request::new(self.pool.encoded[number].clone());
        request.set_timeout(deadline);
        let answer = grpc.unary(request, self.path.clone(), BenchCodec).await?;
        Ok(answer.into_inner())
    }

    /// Sends from `begin` to the end of the recorder's window, and waits for what is on its way.
    pub(super) async fn run(
        self: &Rc<Self>,
        load: Load,
        seed: u64,
        begin: Instant,
        recorder: Rc<RefCell<Recorder>>,
    ) {
        let end = recorder.borrow().window.1;
        match load {
            Load::Closed(callers) => {
                for caller in 0..callers {
                    let (own, recorder) = (Rc::clone(self), Rc::clone(&recorder));
                    let random = StdRng::seed_from_u64(seed ^ (caller as u64) << 32);
                    self.in_flight.update(|count| count + 1);
                    spawn_local(async move {
                        own.call(caller, random, end, &recorder).await;
                        own.in_flight.update(|count| count - 1);
                    });
                }
            }
            Load::Open(rate) => self.arrive(rate, seed, begin, recorder).await,
        }
        self.settle(end).await;
    }

    /// One caller of a closed loop.
    async fn call(
        &self,
        caller: usize,
        mut random: StdRng,
        end: Instant,
        recorder: &RefCell<Recorder>,
    ) {
        while Instant::now() < end && !self.stop.is_cancelled() {
            let number = random.random_range(0..self.pool.encoded.len());
            let begun = Instant::now();
            let outcome = named(self.send(number, caller, self.deadline).await);
            let done = Instant::now();
            recorder.borrow_mut().record(done, done - begun, &outcome);
            if outcome.is_err() {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Sends what an arrival process demands; the latency of each counts from its arrival.
    async fn arrive(
        self: &Rc<Self>,
        rate: f64,
        seed: u64,
        begin: Instant,
        recorder: Rc<RefCell<Recorder>>,
    ) {
        let mut random = StdRng::seed_from_u64(!seed);
        let mut arrivals =
            arrivals(rate, seed, (begin, recorder.borrow().window.1), self.stop.clone());
        let mut sent = 0;
        while let Some(arrival) = arrivals.recv().await {
            if self.in_flight.get() >= MOST_IN_FLIGHT {
                recorder.borrow_mut().miss(arrival);
                continue;
            }
            if arrival.elapsed() > LATE {
                recorder.borrow_mut().late(arrival);
            }
            let number = random.random_range(0..self.pool.encoded.len());
            sent += 1;
            self.in_flight.update(|count| count + 1);
            let (own, recorder) = (Rc::clone(self), Rc::clone(&recorder));
            spawn_local(async move {
                let outcome = named(own.send(number, sent, own.deadline).await);
                recorder.borrow_mut().record(arrival, arrival.elapsed(), &outcome);
                own.in_flight.update(|count| count - 1);
            });
        }
    }

    /// Waits until no request is on its way, and no longer than the deadline allows.
    async fn settle(&self, end: Instant) {
        let latest = end + self.deadline + Duration::from_secs(2);
        let mut stopped_at = None;
        while self.in_flight.get() > 0 && Instant::now() < latest {
            tokio::time::sleep(Duration::from_millis(2)).await;
            if self.stop.is_cancelled() {
                let since: &mut Instant = stopped_at.get_or_insert_with(Instant::now);
                if since.elapsed() > Duration::from_secs(1) {
                    break;
                }
            }
        }
    }
}

/// The moments of a Poisson process, each sent when it comes.
///
/// A thread of its own keeps the time: tokio's timer has steps of a millisecond.
fn arrivals(
    rate: f64,
    seed: u64,
    (begin, end): (Instant, Instant),
    stop: CancellationToken,
) -> mpsc::UnboundedReceiver<Instant> {
    let (sender, receiver) = mpsc::unbounded_channel();
    thread::spawn(move || {
        let mut random = StdRng::seed_from_u64(seed);
        let Ok(gaps) = Exp::new(rate) else { return };
        let mut next = begin;
        loop {
            next += Duration::from_secs_f64(gaps.sample(&mut random).min(1e6));
            if next >= end || stop.is_cancelled() {
                return;
            }
            thread::sleep(next.saturating_duration_since(Instant::now()));
            if sender.send(next).is_err() {
                return;
            }
        }
    });
    receiver
}

/// The failure's code as gRPC spells it; what the generator gave up on itself is told apart.
fn named(result: Result<Answer, Status>) -> Outcome {
    result.map_err(|status| match status.code() {
        Code::Cancelled if status.message().contains("Timeout") => "CLIENT_DEADLINE".to_owned(),
        code => screaming(&format!("{code:?}")),
    })
}

/// `ResourceExhausted` to `RESOURCE_EXHAUSTED`.
fn screaming(name: &str) -> String {
    let mut text = String::new();
    for (at, letter) in name.chars().enumerate() {
        if at > 0 && letter.is_uppercase() {
            text.push('_');
        }
        text.extend(letter.to_uppercase());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_grpc_names() {
        assert_eq!(screaming("ResourceExhausted"), "RESOURCE_EXHAUSTED");
        assert_eq!(screaming("Ok"), "OK");
    }

    #[tokio::test]
    async fn arrivals_come_at_their_rate_and_repeat_with_their_seed() {
        let begin = Instant::now();
        let window = (begin, begin + Duration::from_millis(300));
        let take = async |seed| {
            let mut all = Vec::new();
            let mut arriving = arrivals(2000.0, seed, window, CancellationToken::new());
            while let Some(arrival) = arriving.recv().await {
                all.push(arrival);
            }
            all
        };
        let first = take(7).await;
        assert!((450..750).contains(&first.len()), "{}", first.len());
        assert_eq!(first, take(7).await);
        assert_ne!(first, take(8).await);
    }
}
