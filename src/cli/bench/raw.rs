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
    cli::bench::{cpu::ProcessCpu, requests::Pool},
    config::Config,
    deadline::Deadline,
    repository::Bundle,
    runtime::ModelInstance,
    serving::verified_instance,
    tensor::Tensor,
    transport::rank_request,
};

/// How long the first run of an encoder for one user may take here.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs before counting begins.
const WARMUP: Duration = Duration::from_millis(300);

/// The tensors of all requests of a pool, one list a request.
type Inputs = Arc<Vec<Vec<Tensor>>>;

/// The measured model outside of any server.
pub(super) struct Raw {
    app: App,
    bundle: Bundle,
    names: Vec<String>,
    inputs: Inputs,
    sessions: Vec<Box<dyn ModelInstance>>,
    instances: usize,
}

/// What raw ONNX Runtime did.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct RawFigure {
    /// Sessions, each on a thread of its own.
    pub(super) sessions: usize,
    /// Runs a second.
    pub(super) runs_per_s: f64,
    /// Processor time a run, in microseconds.
    pub(super) cpu_us: f64,
}

impl Raw {
    /// Loads the models of the configuration and builds the tensors of the requests with the server's own code.
    pub(super) async fn load(config: Config, bundle: Bundle, pool: &Pool) -> Result<Self, String> {
        let limits = config.limits.clone();
        let app = App::load(config.clone()).await.map_err(|e| e.to_string())?;
        let on_gpu = app.runtime().device().is_gpu();
        let instances = config.load_options(on_gpu).instances;
        let mut inputs = Vec::with_capacity(pool.requests.len());
        for message in &pool.requests {
            let request = rank_request(message.clone(), &limits).map_err(|e| e.to_string())?;
            let deadline = Deadline::after(Instant::now(), PATIENCE);
            let built = app.engine().inputs(&request, deadline).await;
            inputs.push(built.map_err(|e| e.to_string())?);
        }
        Ok(Self {
            names: bundle.manifest.inputs.iter().map(|input| input.name.clone()).collect(),
            inputs: Arc::new(inputs),
            sessions: Vec::new(),
            app,
            bundle,
            instances,
        })
    }

    /// Sessions that the server has of the model.
    pub(super) fn instances(&self) -> usize {
        self.instances
    }

    /// Threads within one run.
    pub(super) fn threads(&self) -> usize {
        self.app.runtime().intra_op_threads()
    }

    /// Makes the sessions anew, as a start of the server does.
    pub(super) fn renew(&mut self) -> Result<(), String> {
        self.sessions.clear();
        for _ in 0..self.instances {
            let session = verified_instance(self.app.runtime(), &self.bundle);
            self.sessions.push(session.map_err(|e| e.to_string())?);
        }
        Ok(())
    }

    /// Runs so many sessions side by side for so long; less long where `stop` comes.
    pub(super) async fn measure(
        &mut self,
        sessions: usize,
        duration: Duration,
        stop: &CancellationToken,
    ) -> Result<RawFigure, String> {
        let taken: Vec<_> = self.sessions.drain(..sessions.min(self.sessions.len())).collect();
        let (names, inputs, stop) = (self.names.clone(), Arc::clone(&self.inputs), stop.clone());
        let measured = tokio::task::spawn_blocking(move || {
            side_by_side(taken, &names, &inputs, duration, &stop)
        });
        let (taken, figure) = measured.await.map_err(|e| e.to_string())?;
        self.sessions.extend(taken);
        figure
    }
}

type Sessions = Vec<Box<dyn ModelInstance>>;

/// Counts runs, and the process's time, between two moments while all sessions run.
fn side_by_side(
    mut sessions: Sessions,
    names: &[String],
    inputs: &Inputs,
    duration: Duration,
    stop: &CancellationToken,
) -> (Sessions, Result<RawFigure, String>) {
    let (over, runs) = (AtomicBool::new(false), AtomicU64::new(0));
    let count = sessions.len();
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
        let done = (done - before.1) as f64;
        Ok(RawFigure {
            sessions: count,
            runs_per_s: done / seconds,
            cpu_us: cpu_us / done.max(1.0),
        })
    });
    (sessions, figure)
}

fn tight_loop(
    session: &mut dyn ModelInstance,
    names: &[String],
    inputs: &Inputs,
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
