//! The course of a bench: start, prime, measure each load between two raw runs, again and again.

use std::{
    cell::RefCell,
    rc::Rc,
    time::{Duration, Instant},
};

use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;

use crate::{
    cli::{
        bench::{
            args::{Asked, BenchArgs},
            cpu,
            figures::Spent,
            load::{Generator, Load},
            local::LocalModel,
            raw::{Raw, RawFigures},
            recorder::Recorder,
            report::{Machine, Measured, Point, Report, meanings, measured},
            requests::{Ingredients, Pool},
            server::{ChildServer, RunCounts, ServerFacts, ServerReading, ServerWatch, ask},
            setting::Setting,
        },
        progress::Progress,
    },
    transport::pb,
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
    pool: Rc<Pool>,
    raw: Option<Raw>,
    facts: ServerFacts,
}

/// The load of one measurement, with what it is sent to.
struct Sending<'a> {
    generator: &'a Rc<Generator>,
    watch: &'a ServerWatch,
    asked: Asked,
    setting: Setting,
    seed: u64,
}

/// The server, the bench and the machine at one moment.
struct Reading(ServerReading, cpu::ProcessCpu, u64);

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
    let (example, facts) = ask(&started.target, &args.model).await?;
    let local = local_model(args, &example).await?;
    let (pool, users) = draw(args, example, local.as_ref())?;
    let raw = match local {
        Some(local) if !args.no_raw => {
            Some(Raw::load(args.config()?, local.bundle, &pool, &args.raw_batch).await?)
        }
        _ => None,
    };
    let mut bench = Bench { args, stop, progress, pool: Rc::new(pool), raw, facts };
    let mut results: Vec<Vec<Measured>> = vec![Vec::new(); loads.len()];
    let mut started = Some(started);
    for number in 0..args.repeat {
        if stop.is_cancelled() {
            break;
        }
        let mut server = started.take().map_or_else(|| Started::new(args), Ok)?;
        bench.repetition(number, &mut server, &loads, &mut results).await?;
        server.stop().await;
    }
    Ok(bench.report((before, users), results))
}

/// The model's directory, where there is one to read.
async fn local_model(
    args: &BenchArgs,
    example: &pb::RankRequest,
) -> Result<Option<LocalModel>, String> {
    if args.target.is_some() && args.models.is_none() {
        return Ok(None);
    }
    let selector = example.model.clone().unwrap_or_default();
    LocalModel::read(&args.config()?.place_options(), &selector).await.map(Some)
}

/// The requests, and how many users they are drawn from.
fn draw(
    args: &BenchArgs,
    example: pb::RankRequest,
    local: Option<&LocalModel>,
) -> Result<(Pool, usize), String> {
    let users: Vec<String> = match &args.users {
        Some(path) => {
            let told = |e| format!("--users {}: {e}", path.display());
            let text = std::fs::read_to_string(path).map_err(told)?;
            text.split_whitespace().map(str::to_owned).collect()
        }
        None => local.map(|local| local.users.clone()).unwrap_or_default(),
    };
    let count = users.len();
    let embedding = local.map(|local| local.embedding.clone()).filter(|shape| !shape.is_empty());
    if args.inline_embedding && embedding.is_none() {
        let wrong =
            "--inline-embedding: the ranker reads none, or --models does not say where it is";
        return Err(wrong.to_owned());
    }
    let pool = Pool::draw(&Ingredients {
        embedding: embedding.filter(|_| args.inline_embedding),
        example,
        users,
        items: local.map(|local| local.items.clone()).unwrap_or_default(),
        candidates: args.candidates,
        top: args.top,
        seed: args.seed,
    })?;
    Ok((pool, count))
}

impl Bench<'_> {
    /// Measures every load once against one start of the server.
    async fn repetition(
        &mut self,
        number: usize,
        server: &mut Started,
        loads: &[Asked],
        results: &mut [Vec<Measured>],
    ) -> Result<(), String> {
        self.progress.begin(format!("repetition {}: warming up", number + 1));
        let (args, stop) = (self.args, self.stop);
        let (pool, connections) = (Rc::clone(&self.pool), args.connections);
        let (target, deadline) = (&server.target, args.deadline());
        let generator =
            Generator::connect(target, connections, pool, deadline, stop.clone()).await?;
        generator.prime().await?;
        if let Some(raw) = &mut self.raw {
            raw.renew()?;
        }
        let watch = server.watch(&self.facts).await?;
        let mut setting = self.setting();
        for (&asked, results) in loads.iter().zip(results) {
            if stop.is_cancelled() {
                break;
            }
            self.progress.begin(format!("repetition {}: {}", number + 1, asked.name()));
            let seed = args.seed.wrapping_add(number as u64);
            let sending = Sending { generator: &generator, watch: &watch, asked, setting, seed };
            if let Some(mut measured) = self.point(&sending).await? {
                match asked {
                    Asked::Callers(_) => {
                        let rate = measured.answers as f64 / measured.seconds;
                        setting.capacity = setting.capacity.max(rate);
                    }
                    _ => measured.with_peak(setting.capacity),
                }
                results.push(measured);
            }
            self.progress.done();
            server.check()?;
        }
        Ok(())
    }

    /// What loads depend on, before a capacity is known.
    fn setting(&self) -> Setting {
        let deadline = self.args.deadline();
        Setting {
            capacity: 0.0,
            warmup: self.args.warmup,
            deadline,
            objective: self.args.slo_ms.map_or(deadline, Duration::from_millis),
            candidates: self.pool.candidates,
        }
    }

    /// Measures one load between two raw runs; none where it was cut short too early.
    async fn point(&mut self, sending: &Sending<'_>) -> Result<Option<Measured>, String> {
        let single = sending.asked == Asked::Callers(1);
        self.settle().await;
        let before = self.raw(single).await?;
        let counted = sending.watch.run_counts().await?;
        let Some(mut measured) = self.window(sending, counted).await? else {
            return Ok(None);
        };
        let after = self.raw(single).await?;
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
    async fn raw(&mut self, single: bool) -> Result<Option<RawFigures>, String> {
        match &mut self.raw {
            Some(raw) => raw.measure(single, self.args.raw_duration, self.stop).await.map(Some),
            None => Ok(None),
        }
    }

    /// Sends one load and counts what falls into its window; `counted` is what the server ran before.
    async fn window(
        &self,
        sending: &Sending<'_>,
        counted: Option<RunCounts>,
    ) -> Result<Option<Measured>, String> {
        let Sending { watch, asked, setting, seed, .. } = sending;
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
        let recorder = Recorder::new(window, objective, self.pool.items, gauge)?;
        let recorder = Rc::new(RefCell::new(recorder));
        let sent = {
            let (generator, seed) = (Rc::clone(sending.generator), *seed);
            let recorder = Rc::clone(&recorder);
            tokio::task::spawn_local(async move {
                generator.run(load, seed, begin, recorder).await;
            })
        };
        self.wait_until(window.0).await;
        let (opened, before) = (Instant::now(), self.read(watch).await?);
        self.wait_until(window.1).await;
        let (closed, after) = (Instant::now(), self.read(watch).await?);
        if closed < window.1 {
            recorder.borrow_mut().window.1 = closed;
        }
        sent.await.map_err(|e| e.to_string())?;
        let seconds = closed.saturating_duration_since(opened);
        if seconds < SHORTEST.min(lasts / 2) {
            return Ok(None);
        }
        let ran = watch.run_counts().await?.zip(counted).map(|(now, then)| now.since(then));
        let spent = self.spent(watch, &before, &after);
        let recorder = recorder.borrow();
        let (counts, candidates) = (recorder.counts.clone(), self.pool.candidates);
        let mut measured = measured(seconds.as_secs_f64(), candidates, counts, &spent);
        measured.offered_per_s = offered;
        measured.with_runs(ran);
        if let Some(gauge) = &recorder.gauge {
            measured.with_told(gauge.told(ran));
        }
        Ok(Some(measured))
    }

    async fn read(&self, watch: &ServerWatch) -> Result<Reading, String> {
        Ok(Reading(watch.read().await?, cpu::ProcessCpu::of_self(), cpu::machine_busy_us()))
    }

    fn spent(&self, watch: &ServerWatch, before: &Reading, after: &Reading) -> Spent {
        let server = watch.spent(&before.0, &after.0);
        Spent {
            server_us: Some(server.all_us).filter(|us| us.is_finite()),
            besides_us: server.besides_us.filter(|_| self.one_thread()),
            generator_us: after.1.us_since(&before.1),
            machine_us: after.2.saturating_sub(before.2) as f64,
            processors: cpu::processors(),
            memory_bytes: server.memory_bytes,
        }
    }

    /// Whether a run keeps to the thread that is named after the model.
    fn one_thread(&self) -> bool {
        self.raw.as_ref().is_none_or(|raw| raw.threads() == 1)
    }

    async fn wait_until(&self, moment: Instant) {
        tokio::select! {
            () = sleep_until(moment.into()) => {}
            () = self.stop.cancelled() => {}
        }
    }

    fn report(
        &self,
        (load_average_before, users): (String, usize),
        results: Vec<Vec<Measured>>,
    ) -> Report {
        let (args, loads) = (self.args, self.args.loads());
        let points = loads.iter().zip(results).filter(|(_, results)| !results.is_empty());
        let points: Vec<Point> = points.map(|(asked, all)| Point::of(asked.name(), all)).collect();
        Report {
            command: std::env::args().skip(1).collect(),
            seed: args.seed,
            candidates: self.pool.candidates,
            requests: self.pool.requests.len(),
            users,
            deadline_ms: args.deadline_ms,
            objective_ms: args.slo_ms.unwrap_or(args.deadline_ms),
            machine: Machine {
                processor: cpu::processor(),
                processors: cpu::processors(),
                load_average_before,
                load_average_after: cpu::load_average(),
            },
            server: self.facts.clone(),
            build: if cfg!(debug_assertions) { "debug" } else { "release" },
            intra_op_threads: self.raw.as_ref().map(Raw::threads),
            meanings: meanings(&points),
            points,
            cut_short: self.stop.is_cancelled(),
        }
    }
}
