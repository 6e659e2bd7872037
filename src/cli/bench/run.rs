//! The course of a bench: start, prime, measure each load between two raw runs, again and again.

use std::{
    cell::RefCell,
    rc::Rc,
    time::{Duration, Instant},
};

use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;

use crate::cli::{
    bench::{
        args::{Asked, BenchArgs},
        calls::Calls,
        contestant::{Contestant, Counted, Reading},
        cpu,
        figures::Spent,
        load::{Generator, Load},
        raw::{Raw, RawFigures},
        recorder::Recorder,
        report::{Machine, Measured, Point, Report, meanings, measured},
        server::{ChildServer, ServerFacts, ServerWatch},
        setting::Setting,
        subject::Subject,
    },
    progress::Progress,
};

/// A window that is cut short counts from this length on.
const SHORTEST: Duration = Duration::from_secs(1);

/// How long one look at the machine takes, while nothing is sent.
const LOOK: Duration = Duration::from_millis(500);

/// A machine is quiet after so many looks in a row that found it so.
const QUIET_LOOKS: usize = 4;

/// A look finds it so where no more than this share of the processors is busy.
const QUIET_SHARE: f64 = 0.06;

/// What stays the same over all repetitions.
struct Bench<'a> {
    args: &'a BenchArgs,
    stop: &'a CancellationToken,
    progress: Progress,
    subject: Subject,
    /// Threads within one run, where raw ONNX Runtime is measured.
    threads: Option<usize>,
}

/// The load of one measurement, with what it is sent to.
struct Sending<'a> {
    generator: &'a Rc<Generator>,
    contestant: &'a Contestant<'a>,
    asked: Asked,
    setting: Setting,
    seed: u64,
}

/// The server of one repetition.
struct Started {
    child: Option<ChildServer>,
    target: String,
}

impl Started {
    fn new(args: &BenchArgs) -> Result<Self, String> {
        match &args.target {
            Some(target) => Ok(Self { child: None, target: target.clone() }),
            None => {
                let child = ChildServer::start(&args.server_flags())?;
                Ok(Self { target: child.target().to_owned(), child: Some(child) })
            }
        }
    }

    /// Fails where the server was started here and has ended.
    fn check(&mut self) -> Result<(), String> {
        self.child.as_mut().map_or(Ok(()), ChildServer::check)
    }

    /// Stops the server where it was started here.
    async fn stop(self) {
        if let Some(child) = self.child {
            child.stop().await;
        }
    }

    async fn watch(&self, facts: &ServerFacts) -> Result<ServerWatch, String> {
        ServerWatch::new(self.child.as_ref(), &self.target, facts).await
    }
}

/// Measures all that is asked for, or what there is when `stop` comes.
pub(super) async fn measure(args: &BenchArgs, stop: &CancellationToken) -> Result<Report, String> {
    let before = cpu::load_average();
    let loads = args.loads();
    let progress = Progress::new(loads.len() * args.repeat);
    progress.begin("starting".to_owned());
    let started = Started::new(args)?;
    let mut subject = Subject::prepare(args, &started.target).await?;
    let mut raw = subject.raw.take();
    let threads = raw.as_ref().map(Raw::threads);
    let mut results = vec![vec![Vec::new(); 1 + subject.peers.len()]; loads.len()];
    let bench = Bench { args, stop, progress, subject, threads };
    let mut started = Some(started);
    for number in 0..args.repeat {
        if stop.is_cancelled() {
            break;
        }
        let mut server = started.take().map_or_else(|| Started::new(args), Ok)?;
        bench.repetition(number, &mut server, (&loads, &mut results), &mut raw).await?;
        server.stop().await;
    }
    Ok(bench.report(before, results))
}

/// What came of one load: of each server, what each repetition found.
type Results = Vec<Vec<Measured>>;

impl Bench<'_> {
    /// Measures every load once against one start of the server, in turns with the others.
    async fn repetition(
        &self,
        number: usize,
        server: &mut Started,
        (loads, results): (&[Asked], &mut [Results]),
        raw: &mut Option<Raw>,
    ) -> Result<(), String> {
        self.progress.begin(format!("repetition {}: warming up", number + 1));
        let own = self.generator(&server.target, &self.subject.calls).await?;
        let mut generators = vec![own];
        for (peer, calls) in &self.subject.peers {
            let generator = self.generator(&peer.url, calls).await;
            generators.push(generator.map_err(|wrong| format!("{}: {wrong}", peer.name))?);
        }
        if let Some(raw) = raw {
            raw.renew()?;
        }
        let watch = server.watch(&self.subject.facts).await?;
        let mut setting = self.setting();
        let seed = self.args.seed.wrapping_add(number as u64);
        for (&asked, results) in loads.iter().zip(results) {
            if self.stop.is_cancelled() {
                break;
            }
            self.progress.begin(format!("repetition {}: {}", number + 1, asked.name()));
            let mut found: Vec<Option<Measured>> = vec![None; generators.len()];
            for turn in 0..generators.len() {
                if self.stop.is_cancelled() {
                    break;
                }
                // Who begins changes, so that nobody always has the machine as another left it.
                let who = (turn + seed as usize) % generators.len();
                let generator = &generators[who];
                let contestant = match who.checked_sub(1) {
                    None => Contestant::Own(&watch),
                    Some(at) => Contestant::Peer(&self.subject.peers[at].0),
                };
                let contestant = &contestant;
                let sending = Sending { generator, contestant, asked, setting, seed };
                found[who] = self.point(&sending, raw).await?;
                server.check()?;
            }
            take_in(&mut setting, asked, found, results);
            self.progress.done();
        }
        Ok(())
    }

    /// Connects, and has each request answered once.
    async fn generator(&self, target: &str, calls: &Rc<Calls>) -> Result<Rc<Generator>, String> {
        let (args, stop) = (self.args, self.stop.clone());
        let (connections, calls) = (args.connections, Rc::clone(calls));
        let generator =
            Generator::connect(target, connections, calls, args.deadline(), stop).await?;
        generator.prime().await?;
        Ok(generator)
    }

    /// What loads depend on, before a capacity is known.
    fn setting(&self) -> Setting {
        let deadline = self.args.deadline();
        Setting {
            capacity: 0.0,
            warmup: self.args.warmup,
            deadline,
            objective: self.args.slo_ms.map_or(deadline, Duration::from_millis),
            candidates: self.subject.candidates,
        }
    }

    /// Measures one load, the own server's between two raw runs; none where it was cut short too early.
    async fn point(
        &self,
        sending: &Sending<'_>,
        raw: &mut Option<Raw>,
    ) -> Result<Option<Measured>, String> {
        let single = sending.asked == Asked::Callers(1);
        let mut raw = raw.as_mut().filter(|_| sending.contestant.is_own());
        self.settle().await;
        let before = self.raw(&mut raw, single).await?;
        let counted = sending.contestant.counts().await?;
        let Some(mut measured) = self.window(sending, counted).await? else {
            return Ok(None);
        };
        let after = self.raw(&mut raw, single).await?;
        if let (Some(before), Some(after)) = (before, after)
            && !self.stop.is_cancelled()
        {
            measured.beside(&before, &after);
        }
        Ok(Some(measured))
    }

    /// Waits until the machine is quiet, but no longer than asked to.
    async fn settle(&self) {
        let latest = Instant::now() + self.args.quiet;
        let mut quiet = 0;
        while quiet < QUIET_LOOKS && Instant::now() < latest && !self.stop.is_cancelled() {
            let (begun, busy) = (Instant::now(), cpu::machine_busy_us());
            self.wait_until(begun + LOOK).await;
            let busy = cpu::machine_busy_us().saturating_sub(busy) as f64;
            let all = begun.elapsed().as_secs_f64() * 1e6 * cpu::processors() as f64;
            quiet = if busy < all * QUIET_SHARE { quiet + 1 } else { 0 };
        }
    }

    /// Raw ONNX Runtime on all sessions, and on one where that is asked for.
    async fn raw(
        &self,
        raw: &mut Option<&mut Raw>,
        single: bool,
    ) -> Result<Option<RawFigures>, String> {
        match raw {
            Some(raw) => raw.measure(single, self.args.raw_duration, self.stop).await.map(Some),
            None => Ok(None),
        }
    }

    /// Sends one load and counts what falls into its window; `counted` is what the server had run before.
    async fn window(
        &self,
        sending: &Sending<'_>,
        counted: Counted,
    ) -> Result<Option<Measured>, String> {
        let Sending { contestant, asked, setting, seed, .. } = sending;
        let load = asked.load(setting)?;
        let begin = Instant::now();
        let opens = begin + setting.warmup;
        let (lasts, gauge) = match asked {
            Asked::Scenario(scenario) => (scenario.lasts(), scenario.gauge(setting, begin)),
            _ => (self.args.duration, None),
        };
        let offered = match &load {
            Load::Open(course) => Some(course.offered((setting.warmup, setting.warmup + lasts))),
            Load::Closed(_) => None,
        };
        let objective = self.args.slo_ms.map(Duration::from_millis);
        let window = (opens, opens + lasts);
        let recorder = Recorder::new(window, objective, sending.generator.items(), gauge)?;
        let recorder = Rc::new(RefCell::new(recorder));
        let sent = {
            let (generator, seed) = (Rc::clone(sending.generator), *seed);
            let recorder = Rc::clone(&recorder);
            tokio::task::spawn_local(async move {
                generator.run(load, seed, begin, recorder).await;
            })
        };
        self.wait_until(window.0).await;
        let (opened, before) = (Instant::now(), contestant.read().await?);
        self.wait_until(window.1).await;
        let (closed, after) = (Instant::now(), contestant.read().await?);
        if closed < window.1 {
            recorder.borrow_mut().window.1 = closed;
        }
        sent.await.map_err(|e| e.to_string())?;
        let seconds = closed.saturating_duration_since(opened);
        if seconds < SHORTEST.min(lasts / 2) {
            return Ok(None);
        }
        let ran = contestant.counts().await?.since(counted);
        let spent = self.spent(contestant, (&before, &after));
        let recorder = recorder.borrow();
        let (counts, candidates) = (recorder.counts.clone(), self.subject.candidates);
        let mut measured = measured(seconds.as_secs_f64(), candidates, counts, &spent);
        measured.offered_per_s = offered;
        measured.with_runs(ran.own);
        if let Some(rows) = ran.rows_a_run {
            measured.figures.insert("batch_rows", rows);
        }
        if let Some(gauge) = &recorder.gauge {
            measured.with_told(gauge.told(ran.own));
        }
        Ok(Some(measured))
    }

    fn spent(&self, contestant: &Contestant<'_>, between: (&Reading, &Reading)) -> Spent {
        let mut spent = contestant.spent(between);
        spent.besides_us = spent.besides_us.filter(|_| self.one_thread());
        spent
    }

    /// Whether a run keeps to the thread that is named after the model.
    fn one_thread(&self) -> bool {
        self.threads.is_none_or(|threads| threads == 1)
    }

    async fn wait_until(&self, moment: Instant) {
        tokio::select! {
            () = sleep_until(moment.into()) => {}
            () = self.stop.cancelled() => {}
        }
    }

    fn report(&self, load_average_before: String, results: Vec<Results>) -> Report {
        let (args, subject) = (self.args, &self.subject);
        let points: Vec<Point> = args
            .loads()
            .iter()
            .zip(results)
            .flat_map(|(asked, servers)| {
                servers.into_iter().enumerate().map(move |all| (*asked, all))
            })
            .filter(|(_, (_, all))| !all.is_empty())
            .map(|(asked, (who, all))| {
                let peer = who.checked_sub(1).map(|at| subject.peers[at].0.name.clone());
                Point::of(asked.name(), peer, all)
            })
            .collect();
        Report {
            command: std::env::args().skip(1).collect(),
            seed: args.seed,
            candidates: subject.candidates,
            requests: subject.requests,
            users: subject.users,
            deadline_ms: args.deadline_ms,
            objective_ms: args.slo_ms.unwrap_or(args.deadline_ms),
            machine: Machine {
                processor: cpu::processor(),
                processors: cpu::processors(),
                load_average_before,
                load_average_after: cpu::load_average(),
            },
            server: subject.facts.clone(),
            build: if cfg!(debug_assertions) { "debug" } else { "release" },
            intra_op_threads: self.threads,
            meanings: meanings(&points),
            points,
            cut_short: self.stop.is_cancelled(),
        }
    }
}

/// Adds what one load found, with what follows from all of its servers.
fn take_in(
    setting: &mut Setting,
    asked: Asked,
    mut found: Vec<Option<Measured>>,
    results: &mut Results,
) {
    if let Some((Some(own), peers)) = found.split_first_mut() {
        match asked {
            Asked::Callers(_) => {
                let rate = own.answers as f64 / own.seconds;
                setting.capacity = setting.capacity.max(rate);
            }
            _ => own.with_peak(setting.capacity),
        }
        peers.iter_mut().flatten().for_each(|peer| peer.against(own));
    }
    for (results, found) in results.iter_mut().zip(found) {
        results.extend(found);
    }
}
