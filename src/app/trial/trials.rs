//! Begins trials, and knows those that were made before.

use std::{sync::Arc, thread, time::Instant};

use tokio::sync::oneshot;

use crate::{
    app::trial::{
        message::Request,
        outcome::Outcome,
        passed::{Passed, sum, sum_of},
        trying::Trying,
        watch::try_in,
    },
    config::{Config, own_program},
    repository::{Bundle, VersionLimits},
    runtime::Runtime,
};

/// The command that makes the program a child.
const COMMAND: &str = "trial";

/// Tries versions, one after the other.
pub(in crate::app) struct Trials {
    config: Config,
    /// What else a trial depends on: this program, ONNX Runtime, the device.
    conditions: String,
    passed: Arc<Passed>,
}

impl Trials {
    /// Trials as this server would load versions; none where the configuration wants none.
    pub(in crate::app) fn new(config: &Config, runtime: &Runtime) -> Option<Self> {
        let device = runtime.device();
        let conditions = format!("{} {} {device}", env!("CARGO_PKG_VERSION"), runtime.build_info());
        config.models.trial.then(|| Self {
            config: config.for_trials(device.is_gpu()),
            conditions,
            passed: Arc::new(Passed::new(config.cache_dir().join("trials"))),
        })
    }

    /// Begins to try a version on a thread of its own, and tells what came of it; who no longer waits for that ends the trial.
    pub(in crate::app) fn begin(&self, bundle: Bundle, limits: &VersionLimits) -> Trying {
        let (tell, coming) = oneshot::channel();
        let (sum, id) = (sum_of(&bundle), bundle.id.clone());
        let request = Request {
            path: bundle.path.clone(),
            config: self.config.clone(),
            limits: limits.clone(),
        };
        let key = self.key(&sum, &request);
        if let Some(report) = self.passed.get(&key) {
            tracing::debug!(model = %id, "it was tried before");
            let _ = tell.send(Outcome::Passed(report));
            return Trying::new(bundle, coming);
        }
        let passed = Arc::clone(&self.passed);
        let trial = move || {
            let begun = Instant::now();
            let mut command = own_program();
            command.arg(COMMAND).arg(&request.path);
            let outcome = match try_in(command, &request, || !tell.is_closed()) {
                Outcome::Passed(report) if report.bundle != sum => {
                    Outcome::Lost("its files changed meanwhile".to_owned())
                }
                outcome => outcome,
            };
            if let Outcome::Passed(report) = &outcome {
                passed.put(&key, report);
                let (took_ms, memory_mib) = (begun.elapsed().as_millis(), report.memory >> 20);
                tracing::info!(model = %id, took_ms, memory_mib, "tried in a process of its own");
            }
            let _ = tell.send(outcome);
        };
        // Where there is no thread, who waits hears that nobody will tell.
        let _ = thread::Builder::new().name("trial".to_owned()).spawn(trial);
        Trying::new(bundle, coming)
    }

    /// Under which a trial is remembered: the sum of all that its outcome depends on. Where the bundle lies is none of it.
    fn key(&self, bundle: &str, request: &Request) -> String {
        let mut like = request.clone();
        like.path.clear();
        like.config.models.cache_dir.clear();
        let like = serde_json::to_string(&like).unwrap_or_default();
        sum(&format!("{bundle}\n{}\n{like}", self.conditions))
    }
}
