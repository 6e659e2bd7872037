//! One version on its way from its directory to being ready, beside what goes on: read, tried, loaded, rehearsed.

use std::{panic::AssertUnwindSafe, path::PathBuf, sync::Arc, thread};

use futures::FutureExt;
use tokio::{runtime::Handle, sync::oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, field};

use crate::{
    app::{
        ahead::EmbeddingsAhead,
        loader::{Loaded, Loader},
    },
    ids::ModelId,
    ranking::Model,
    repository::{Bundle, VersionLimits, is_plain_model},
    serving::{Lives, ServingError, State},
    telemetry::SWAP_SPANS,
};

/// What is needed on the way.
pub(super) struct Traveller {
    pub(super) id: ModelId,
    pub(super) path: PathBuf,
    pub(super) limits: VersionLimits,
    /// Whether it may still be being copied where it is not whole.
    pub(super) may_be_copied: bool,
    pub(super) loader: Arc<Loader>,
    pub(super) ahead: Arc<EmbeddingsAhead>,
    pub(super) lives: Arc<Lives>,
}

/// How it ends.
pub(super) enum Arrival {
    /// It is loaded, and can be published.
    Loaded(Box<Loaded>),
    /// It is not whole, and may be being copied; with what is wrong.
    Copying(String),
    /// It cannot be used; with the reason.
    Failed {
        reason: String,
        /// Whether another try may end otherwise after a while.
        later: bool,
    },
}

/// A version on its way; it hurries to its end when this is dropped.
pub(super) struct Journey {
    pub(super) id: ModelId,
    coming: oneshot::Receiver<Arrival>,
    came: Option<Arrival>,
    stop: CancellationToken,
}

impl Drop for Journey {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Journey {
    /// Sets out, on a thread of its own.
    pub(super) fn begin(traveller: Traveller) -> Self {
        let (sender, coming) = oneshot::channel();
        let (id, stop, runtime) =
            (traveller.id.clone(), CancellationToken::new(), Handle::current());
        let until = stop.clone();
        let span = tracing::info_span!(
            target: SWAP_SPANS,
            "version.load",
            podium.model.name = %id.name,
            podium.model.version = id.version.0 as i64,
            podium.reason = field::Empty,
            otel.status_code = field::Empty,
        );
        let started = thread::Builder::new().name("loading".to_owned()).spawn(move || {
            let travel = travel(&traveller, &until).instrument(span.clone());
            let travel = AssertUnwindSafe(travel).catch_unwind();
            let arrival = runtime.block_on(travel).unwrap_or_else(|_| {
                failed("loading it panicked; the log has the place".to_owned())
            });
            if let Arrival::Failed { reason, .. } | Arrival::Copying(reason) = &arrival {
                span.record("podium.reason", reason).record("otel.status_code", "ERROR");
            }
            drop(span);
            // Who does not wait any more does not want it any more.
            let _ = sender.send(arrival);
        });
        let came = started.err().map(|cause| failed(format!("no thread to load it: {cause}")));
        Self { id, coming, came, stop }
    }

    /// Waits until it has ended; costs nothing more once it has.
    pub(super) async fn ended(&mut self) {
        if self.came.is_none() {
            let came = (&mut self.coming).await;
            self.came = Some(came.unwrap_or_else(|_| failed("loading it ended early".to_owned())));
        }
    }

    /// How it ended, once; none before it has.
    pub(super) fn arrival(&mut self) -> Option<Arrival> {
        self.ended().now_or_never()?;
        self.came.take()
    }

    /// Has it end as soon as it can.
    pub(super) fn hurry(&self) {
        self.stop.cancel();
    }
}

fn failed(reason: String) -> Arrival {
    Arrival::Failed { reason, later: false }
}

async fn travel(traveller: &Traveller, stop: &CancellationToken) -> Arrival {
    let Traveller { id, path, limits, loader, ahead, .. } = traveller;
    // Its manifest may still be to come, and its graph may be half of one: it has to look the same for one more look.
    if traveller.may_be_copied && is_plain_model(path) {
        return Arrival::Copying("it has no manifest yet".to_owned());
    }
    let verify = tracing::info_span!(target: SWAP_SPANS, "version.verify");
    let opened = verify.in_scope(|| loader.open(path, limits));
    if let Some(fault) = fault_of(&opened).filter(|_| traveller.may_be_copied) {
        return Arrival::Copying(fault);
    }
    let bundle = match opened {
        Ok(bundle) => bundle,
        Err(error) => return failed(error.to_string()),
    };
    let mut trying = loader.begin_trial(bundle, limits);
    let trial = tracing::info_span!(target: SWAP_SPANS, "version.trial");
    let outcome = tokio::select! {
        outcome = trying.outcome().instrument(trial) => outcome,
        () = stop.cancelled() => return stopped(),
    };
    let bundle = trying.bundle;
    if let Err(refusal) = loader.admit(&bundle, outcome, limits) {
        return Arrival::Failed { reason: refusal.reason, later: refusal.later };
    }
    let loaded = match load(traveller, &bundle).await {
        Ok(loaded) => loaded,
        Err(error) => return failed(error.to_string()),
    };
    if let Model::Ranker(ranker) = &loaded.model {
        let live = loader.live(&id.name);
        let span = tracing::info_span!(target: SWAP_SPANS, "version.embeddings_ahead");
        tokio::select! {
            () = ahead.compute(ranker, live.as_deref()).instrument(span) => {}
            () = stop.cancelled() => return stopped(),
        }
    }
    Arrival::Loaded(Box::new(loaded))
}

fn stopped() -> Arrival {
    failed("the server stops".to_owned())
}

fn fault_of(opened: &Result<Bundle, crate::repository::RepositoryError>) -> Option<String> {
    match opened {
        Ok(bundle) if bundle.file_faults().is_empty() => None,
        Ok(bundle) => Some(bundle.faulty(bundle.file_faults().to_vec()).to_string()),
        Err(error) => Some(error.to_string()),
    }
}

async fn load(traveller: &Traveller, bundle: &Bundle) -> Result<Loaded, ServingError> {
    let Traveller { id, limits, loader, lives, .. } = traveller;
    lives.step(id, State::Loading, None);
    let warming = || {
        lives.step(id, State::Warming, None);
    };
    loader.load(bundle, limits, warming).await
}
