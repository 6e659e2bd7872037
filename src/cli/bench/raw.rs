//! Raw ONNX Runtime: the tensors of the same requests, in a tight loop, with nothing around it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::{
    app::App,
    batching::{BatchLayout, join},
    cli::bench::{cpu::ProcessCpu, rows::Rows},
    repository::{Bundle, Sharing},
    runtime::ModelInstance,
    serving::{settled, verified_instance},
    tensor::Tensor,
};

/// Runs before counting begins.
const WARMUP: Duration = Duration::from_millis(300);

/// The tensors of all requests of a pool, joined to runs.
#[derive(Debug, Clone)]
struct Runs {
    /// One list of tensors a run.
    inputs: Arc<Vec<Vec<Tensor>>>,
    /// Requests in each.
    requests: usize,
    /// Rows in each.
    rows: usize,
}

/// The measured model outside of any server.
pub(super) struct Raw {
    app: App,
    bundle: Bundle,
    names: Vec<String>,
    runs: Vec<Runs>,
    sessions: Vec<Box<dyn ModelInstance>>,
    instances: usize,
}

/// What raw ONNX Runtime did.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct RawFigure {
    /// Sessions, each on a thread of its own.
    pub(super) sessions: usize,
    /// Rows of each run.
    pub(super) rows: usize,
    /// Requests a second, of which a run may hold several.
    pub(super) requests_per_s: f64,
    /// Processor time a request, in microseconds.
    pub(super) cpu_us: f64,
}

/// Raw ONNX Runtime at one moment: runs of each size on all sessions, and the smallest on one session where that was asked for.
#[derive(Debug, Clone, Serialize)]
pub(super) struct RawFigures {
    pub(super) all: Vec<RawFigure>,
    pub(super) single: Option<RawFigure>,
}

/// Raw ONNX Runtime before and after one measurement of the server.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct RawPair {
    pub(super) before: RawFigure,
    pub(super) after: RawFigure,
}

impl RawPair {
    /// The mean rate, in requests a second.
    pub(super) fn rate(&self) -> f64 {
        f64::midpoint(self.before.requests_per_s, self.after.requests_per_s)
    }

    /// The mean processor time of a request.
    pub(super) fn cpu_us(&self) -> f64 {
        f64::midpoint(self.before.cpu_us, self.after.cpu_us)
    }

    /// The difference of the two rates as a percentage of their mean.
    pub(super) fn drift(&self) -> f64 {
        let difference = self.after.requests_per_s - self.before.requests_per_s;
        difference.abs() / self.rate() * 100.0
    }
}

impl Raw {
    /// Joins the tensors of requests to runs: of each size, so many requests as have that many rows. Has as many sessions as the server.
    pub(super) fn load(
        rows: Rows,
        (candidates, instances): (usize, usize),
        batches: &[usize],
    ) -> Result<Self, String> {
        let Rows { app, bundle, inputs } = rows;
        let layout = layout(&app, &bundle, batches)?;
        let runs = batches.iter().map(|&rows| joined(&layout, &inputs, candidates, rows));
        Ok(Self {
            names: bundle.manifest.inputs.iter().map(|input| input.name.clone()).collect(),
            runs: runs.collect(),
            sessions: Vec::new(),
            app,
            bundle,
            instances,
        })
    }

    /// Threads within one run.
    pub(super) fn threads(&self) -> usize {
        self.app.runtime().intra_op_threads()
    }

    /// Makes the sessions anew, as a start of the server does.
    pub(super) fn renew(&mut self) -> Result<(), String> {
        self.sessions.clear();
        let runtime = self.app.runtime();
        let first = verified_instance(runtime, &self.bundle).map_err(|e| e.to_string())?;
        self.sessions.push(first);
        let outputs = self.bundle.manifest.output_names();
        for number in 1..self.instances {
            let session = runtime.instance_on(number, &self.bundle.graph, &outputs);
            self.sessions.push(session.map_err(|e| e.to_string())?);
        }
        Ok(())
    }

    /// Runs each size on all sessions for so long, and the first size on one session where `single` asks for it.
    pub(super) async fn measure(
        &mut self,
        single: bool,
        duration: Duration,
        stop: &CancellationToken,
    ) -> Result<RawFigures, String> {
        let mut all = Vec::new();
        for runs in self.runs.clone() {
            all.push(self.side_by_side(runs, self.instances, duration, stop).await?);
        }
        let single = match self.runs.first().filter(|_| single).cloned() {
            Some(runs) => Some(self.side_by_side(runs, 1, duration, stop).await?),
            None => None,
        };
        Ok(RawFigures { all, single })
    }

    /// Runs so many sessions side by side for so long; less long where `stop` comes.
    async fn side_by_side(
        &mut self,
        runs: Runs,
        sessions: usize,
        duration: Duration,
        stop: &CancellationToken,
    ) -> Result<RawFigure, String> {
        let taken: Vec<_> = self.sessions.drain(..sessions.min(self.sessions.len())).collect();
        let (names, stop) = (self.names.clone(), stop.clone());
        let measured = tokio::task::spawn_blocking(move || {
            side_by_side(taken, &names, &runs, duration, &stop)
        });
        let (taken, figure) = measured.await.map_err(|e| e.to_string())?;
        self.sessions.extend(taken);
        figure
    }
}

/// How requests are joined; tries it where nobody has described the model.
fn layout(app: &App, bundle: &Bundle, batches: &[usize]) -> Result<BatchLayout, String> {
    let mut first = verified_instance(app.runtime(), bundle).map_err(|e| e.to_string())?;
    let (manifest, layout) = settled(first.as_mut(), bundle);
    if manifest.sharing == Some(Sharing::Whole) && batches.iter().any(|rows| *rows > 1) {
        let wrong = "--raw-batch: each request to this model is a run of its own; leave it out";
        return Err(wrong.to_owned());
    }
    Ok(layout)
}

/// Joins requests to runs of at least so many rows; a request of more is a run by itself.
fn joined(layout: &BatchLayout, inputs: &[Vec<Tensor>], candidates: usize, rows: usize) -> Runs {
    let requests = rows.div_ceil(candidates.max(1)).clamp(1, inputs.len().max(1));
    let runs = (0..inputs.len().div_ceil(requests)).map(|run| {
        let around = inputs.iter().cycle().skip(run * requests).take(requests);
        let jobs: Vec<&[Tensor]> = around.map(Vec::as_slice).collect();
        match jobs.as_slice() {
            [one] => one.to_vec(),
            _ => join(layout, &jobs),
        }
    });
    Runs { inputs: Arc::new(runs.collect()), requests, rows: requests * candidates }
}

type Sessions = Vec<Box<dyn ModelInstance>>;

/// Counts runs, and the process's time, between two moments while all sessions run.
fn side_by_side(
    mut sessions: Sessions,
    names: &[String],
    joined: &Runs,
    duration: Duration,
    stop: &CancellationToken,
) -> (Sessions, Result<RawFigure, String>) {
    let (over, runs) = (AtomicBool::new(false), AtomicU64::new(0));
    let (inputs, count) = (joined.inputs.as_slice(), sessions.len());
    let figure = thread::scope(|scope| {
        let loops: Vec<_> = sessions
            .iter_mut()
            .enumerate()
            .map(|(at, session)| {
                let first = at * inputs.len() / count.max(1);
                let (over, runs) = (&over, &runs);
                scope
                    .spawn(move || tight_loop(session.as_mut(), names, inputs, first, (over, runs)))
            })
            .collect();
        thread::sleep(WARMUP);
        let before = (Instant::now(), runs.load(Ordering::Relaxed), ProcessCpu::of_self());
        while before.0.elapsed() < duration && !stop.is_cancelled() {
            let left = duration.saturating_sub(before.0.elapsed());
            thread::sleep(left.min(Duration::from_millis(50)));
        }
        let (seconds, done) = (before.0.elapsed().as_secs_f64(), runs.load(Ordering::Relaxed));
        let cpu_us = ProcessCpu::of_self().us_since(&before.2);
        over.store(true, Ordering::Relaxed);
        for handle in loops {
            handle.join().map_err(|_| "a raw run panicked".to_owned())??;
        }
        let done = ((done - before.1) * joined.requests as u64) as f64;
        Ok(RawFigure {
            sessions: count,
            rows: joined.rows,
            requests_per_s: done / seconds,
            cpu_us: cpu_us / done.max(1.0),
        })
    });
    (sessions, figure)
}

fn tight_loop(
    session: &mut dyn ModelInstance,
    names: &[String],
    inputs: &[Vec<Tensor>],
    first: usize,
    (over, runs): (&AtomicBool, &AtomicU64),
) -> Result<(), String> {
    let named: Vec<Vec<(&str, &Tensor)>> = inputs
        .iter()
        .map(|tensors| names.iter().map(String::as_str).zip(tensors).collect())
        .collect();
    for at in (0..named.len()).cycle().skip(first) {
        if over.load(Ordering::Relaxed) {
            break;
        }
        session.run(&named[at]).map_err(|e| e.to_string())?;
        runs.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}
