//! Sends requests: as a closed loop of callers that wait, or as an open loop that does not.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::{Duration, Instant},
};

use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::{
    task::spawn_local,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::cli::{
    bench::{
        calls::Calls,
        codec::Answer,
        event::{Event, Outcome},
        recorder::Recorder,
        wire::{Deadline, Failure, Wire},
    },
    course::Course,
};

/// Most requests that an open loop has on their way; one more is missed.
const MOST_IN_FLIGHT: usize = 4096;

/// A send that is later than this after its time is counted as late.
const LATE: Duration = Duration::from_millis(1);

/// Wait after a failure, so that a dead server is not asked in a tight loop.
const PAUSE: Duration = Duration::from_millis(1);

/// How requests come.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Load {
    /// So many callers, each sending its next request when it has the answer to the last.
    Closed(usize),
    /// At random moments, whether or not answers have come.
    Open(Course),
}

/// Sends requests of one method over a few connections.
pub(super) struct Generator {
    connections: Vec<Wire>,
    calls: Rc<Calls>,
    deadline: Deadline,
    in_flight: Cell<usize>,
    stop: CancellationToken,
}

/// A request that is due.
struct Due {
    number: usize,
    at: Instant,
    deadline: Deadline,
    /// How long its caller stays, where it leaves.
    patience: Option<Duration>,
}

impl Generator {
    /// Opens the connections.
    pub(super) async fn connect(
        target: &str,
        connections: usize,
        calls: Rc<Calls>,
        deadline: Duration,
        stop: CancellationToken,
    ) -> Result<Rc<Self>, String> {
        let mut opened = Vec::new();
        for _ in 0..connections.max(1) {
            opened.push(Wire::connect(target, calls.path).await?);
        }
        Ok(Rc::new(Self {
            connections: opened,
            calls,
            deadline: Deadline::new(deadline),
            in_flight: Cell::new(0),
            stop,
        }))
    }

    /// Sends each request once, so that the server has every user's embedding.
    pub(super) async fn prime(&self) -> Result<(), String> {
        let patience = Deadline::new(self.deadline.time.max(Duration::from_secs(30)));
        for number in 0..self.calls.framed.len() {
            if self.stop.is_cancelled() {
                break;
            }
            let answer = self.ask_once(number, 0, &patience).await;
            let answer = answer.map_err(|failure| format!("{}: {}", failure.name, failure.message));
            let (answer, want) = (answer?, self.calls.items);
            if !answer.is_whole(want) {
                let want = want.map_or_else(|| "some".to_owned(), |want| want.to_string());
                let got = answer.items;
                return Err(format!("an answer has {got} items or rows, and {want} were to come"));
            }
        }
        Ok(())
    }

    /// Items or rows that a whole answer has; none where any is one.
    pub(super) fn items(&self) -> Option<usize> {
        self.calls.items
    }

    async fn ask_once(
        &self,
        number: usize,
        connection: usize,
        deadline: &Deadline,
    ) -> Result<Answer, Failure> {
        let wire = &self.connections[connection % self.connections.len()];
        let whole = wire.call(self.calls.framed[number].clone(), deadline).await?;
        (self.calls.read)(&whole).map_err(Failure::unreadable)
    }

    async fn send(&self, number: usize, connection: usize, deadline: &Deadline) -> Outcome {
        match self.ask_once(number, connection, deadline).await {
            Ok(answer) => Outcome::Answered(answer),
            Err(failure) => Outcome::Failed(failure.name),
        }
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
            Load::Open(course) => self.arrive(&course, seed, begin, recorder).await,
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
        let deadline = self.deadline.clone();
        while Instant::now() < end && !self.stop.is_cancelled() {
            let number = random.random_range(0..self.calls.framed.len());
            let sent = Instant::now();
            let outcome = self.send(number, caller, &deadline).await;
            let done = Instant::now();
            let failed = matches!(outcome, Outcome::Failed(_));
            let event = Event { at: done, due: sent, sent, done, deadline: deadline.time, outcome };
            recorder.borrow_mut().record(&event);
            if failed {
                sleep(PAUSE).await;
            }
        }
    }

    /// Sends what an arrival process demands; the latency of each counts from its arrival.
    async fn arrive(
        self: &Rc<Self>,
        course: &Course,
        seed: u64,
        begin: Instant,
        recorder: Rc<RefCell<Recorder>>,
    ) {
        let mut random = StdRng::seed_from_u64(!seed);
        let deadlines: Vec<Deadline> =
            course.deadlines.iter().copied().map(Deadline::new).collect();
        let window = (begin, recorder.borrow().window.1);
        let mut arrivals = course.arrivals(seed, window, self.stop.clone());
        let mut sent = 0;
        while let Some(at) = arrivals.recv().await {
            if self.in_flight.get() >= MOST_IN_FLIGHT {
                recorder.borrow_mut().miss(at);
                continue;
            }
            if at.elapsed() > LATE {
                recorder.borrow_mut().late(at);
            }
            let number = random.random_range(0..self.calls.framed.len());
            let deadline = deadlines[random.random_range(0..deadlines.len())].clone();
            let patience = course.patience(deadline.time, &mut random);
            sent += 1;
            self.in_flight.update(|count| count + 1);
            let (own, recorder) = (Rc::clone(self), Rc::clone(&recorder));
            spawn_local(async move {
                let event = own.ask(Due { number, at, deadline, patience }, sent).await;
                recorder.borrow_mut().record(&event);
                own.in_flight.update(|count| count - 1);
            });
        }
    }

    /// Asks what is due, for as long as the caller stays.
    async fn ask(&self, due: Due, connection: usize) -> Event {
        let sent = Instant::now();
        let answer = self.send(due.number, connection, &due.deadline);
        let outcome = match due.patience {
            None => answer.await,
            Some(patience) => timeout(patience, answer).await.unwrap_or(Outcome::Left),
        };
        let (done, deadline) = (Instant::now(), due.deadline.time);
        Event { at: due.at, due: due.at, sent, done, deadline, outcome }
    }

    /// Waits until no request is on its way, and no longer than the deadline allows.
    async fn settle(&self, end: Instant) {
        let latest = end + self.deadline.time + Duration::from_secs(2);
        let mut stopped_at = None;
        while self.in_flight.get() > 0 && Instant::now() < latest {
            sleep(Duration::from_millis(2)).await;
            if self.stop.is_cancelled() {
                let since: &mut Instant = stopped_at.get_or_insert_with(Instant::now);
                if since.elapsed() > Duration::from_secs(1) {
                    break;
                }
            }
        }
    }
}
