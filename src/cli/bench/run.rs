//! The course of a bench: start, prime, measure each load between two raw runs, again and again.

use std::{
    cell::RefCell,
    rc::Rc,
    time::{Duration, Instant},
};

use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;

use crate::{
    cli::bench::{
        args::{Asked, BenchArgs},
        cpu,
        load::{Generator, Load},
        local::LocalModel,
        progress::Progress,
        raw::{Raw, RawFigure},
        recorder::Recorder,
        report::{Machine, Measured, Point, RawPair, Report, Spent, measured},
        requests::{Ingredients, Pool},
        server::{ChildServer, ServerCpu, ServerFacts, ask},
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
    model: String,
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

    async fn cpu(&self, model: &str) -> Result<ServerCpu, String> {
        match &self.child {
            Some(child) => Ok(ServerCpu::of_child(child, model)),
            None => Ok(ServerCpu::Told(Box::new(ask(&self.target, model).await?.0))),
        }
    }
}

/// Measures all that is asked for, or what there is when `stop` comes.
pub(super) async fn measure(args: &BenchArgs, stop: &CancellationToken) -> Result<Report, String> {
    let before = cpu::load_average();
    let loads = args.loads();
    let progress = Progress::new(loads.len() * args.repeat);
    progress.begin("starting".to_owned());
    let started = Started::new(args)?;
    let (_, example, facts) = ask(&started.target, &args.model).await?;
    let local = local_model(args, &example)?;
    let (pool, users) = draw(args, example, local.as_ref())?;
    let raw = match local {
        Some(local) if !args.no_raw => Some(Raw::load(args.config()?, local.bundle, &pool).await?),
        _ => None,
    };
    let mut bench =
        Bench { args, stop, progress, pool: Rc::new(pool), raw, model: facts.model.clone() };
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
    Ok(bench.report((before, users), facts, results))
}

/// The model's directory, where there is one to read.
fn local_model(args: &BenchArgs, example: &pb::RankRequest) -> Result<Option<LocalModel>, String> {
    if args.target.is_some() && args.models.is_none() {
        return Ok(None);
    }
    let selector = example.model.clone().unwrap_or_default();
    LocalModel::read(&args.config()?.models.dir, &selector).map(Some)
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
    let pool = Pool::draw(&Ingredients {
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
        let deadline = Duration::from_millis(args.deadline_ms);
        let (pool, connections) = (Rc::clone(&self.pool), args.connections);
        let generator =
            Generator::connect(&server.target, connections, pool, deadline, stop.clone()).await?;
        generator.prime().await?;
        if let Some(raw) = &mut self.raw {
            raw.renew()?;
        }
        let cpu = server.cpu(&self.model).await?;
        let mut capacity = 0.0_f64;
        for (asked, results) in loads.iter().zip(results) {
            if stop.is_cancelled() {
                break;
            }
            self.progress.begin(format!("repetition {}: {}", number + 1, asked.name()));
            let load = asked.load(capacity)?;
            let seed = args.seed.wrapping_add(number as u64);
            if let Some(measured) = self.point(&generator, load, seed, &cpu).await? {
                if matches!(load, Load::Closed(_)) {
                    capacity = capacity.max(measured.answers as f64 / measured.seconds);
                }
                results.push(measured);
            }
            self.progress.done();
            server.check()?;
        }
        Ok(())
    }

    /// Measures one load between two raw runs; none where it was cut short too early.
    async fn point(
        &mut self,
        generator: &Rc<Generator>,
        load: Load,
        seed: u64,
        cpu: &ServerCpu,
    ) -> Result<Option<Measured>, String> {
        let single = load == Load::Closed(1);
        self.settle().await;
        let before = self.raw(single).await?;
        let Some(mut measured) = self.window(generator, load, seed, cpu).await? else {
            return Ok(None);
        };
        let after = self.raw(single).await?;
        if let (Some((before, before_single)), Some((after, after_single))) = (before, after)
            && !self.stop.is_cancelled()
        {
            let single = before_single.zip(after_single);
            let single = single.map(|(before, after)| RawPair { before, after });
            measured.beside(RawPair { before, after }, single);
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
        &mut self,
        single: bool,
    ) -> Result<Option<(RawFigure, Option<RawFigure>)>, String> {
        let Some(raw) = &mut self.raw else {
            return Ok(None);
        };
        let (duration, stop) = (self.args.raw_duration, self.stop);
        let all = raw.measure(raw.instances(), duration, stop).await?;
        let one = match single {
            true => Some(raw.measure(1, duration, stop).await?),
            false => None,
        };
        Ok(Some((all, one)))
    }

    /// Sends one load and counts what falls into its window.
    async fn window(
        &self,
        generator: &Rc<Generator>,
        load: Load,
        seed: u64,
        cpu: &ServerCpu,
    ) -> Result<Option<Measured>, String> {
        let begin = Instant::now();
        let window = (begin + self.args.warmup, begin + self.args.warmup + self.args.duration);
        let deadline = Duration::from_millis(self.args.deadline_ms);
        let recorder = Recorder::new(window, deadline, self.pool.items)?;
        let recorder = Rc::new(RefCell::new(recorder));
        let sending = {
            let (generator, recorder) = (Rc::clone(generator), Rc::clone(&recorder));
            tokio::task::spawn_local(async move {
                generator.run(load, seed, begin, recorder).await;
            })
        };
        self.wait_until(window.0).await;
        let opened = Instant::now();
        let before = (cpu.read().await?, cpu::ProcessCpu::of_self(), cpu::machine_busy_us());
        self.wait_until(window.1).await;
        let closed = Instant::now();
        let after = (cpu.read().await?, cpu::ProcessCpu::of_self(), cpu::machine_busy_us());
        if closed < window.1 {
            recorder.borrow_mut().window.1 = closed;
        }
        sending.await.map_err(|e| e.to_string())?;
        let seconds = closed.saturating_duration_since(opened);
        if seconds < SHORTEST.min(self.args.duration / 2) {
            return Ok(None);
        }
        let spent = cpu.spent(&before.0, &after.0);
        let spent = Spent {
            server_us: Some(spent.all_us).filter(|us| us.is_finite()),
            besides_us: spent.besides_us.filter(|_| self.one_thread()),
            generator_us: after.1.us_since(&before.1),
            machine_us: after.2.saturating_sub(before.2) as f64,
            processors: cpu::processors(),
        };
        let offered = match load {
            Load::Open(rate) => Some(rate),
            Load::Closed(_) => None,
        };
        let counts = recorder.borrow().counts.clone();
        Ok(Some(measured(seconds.as_secs_f64(), offered, counts, spent)))
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
        server: ServerFacts,
        results: Vec<Vec<Measured>>,
    ) -> Report {
        let (args, loads) = (self.args, self.args.loads());
        let points = loads.iter().zip(results).filter(|(_, results)| !results.is_empty());
        Report {
            command: std::env::args().skip(1).collect(),
            seed: args.seed,
            candidates: self.pool.candidates,
            requests: self.pool.requests.len(),
            users,
            deadline_ms: args.deadline_ms,
            machine: Machine {
                processor: cpu::processor(),
                processors: cpu::processors(),
                load_average_before,
                load_average_after: cpu::load_average(),
            },
            server,
            build: if cfg!(debug_assertions) { "debug" } else { "release" },
            intra_op_threads: self.raw.as_ref().map(Raw::threads),
            points: points.map(|(asked, all)| Point::of(asked.name(), all)).collect(),
            cut_short: self.stop.is_cancelled(),
        }
    }
}
