//! A version that is being tried.

use tokio::sync::oneshot;

use crate::{
    app::trial::outcome::Outcome,
    repository::{Bundle, VersionLimits},
};

/// A version that is being tried; the trial ends when this goes.
pub(in crate::app) struct Trying {
    /// The version.
    pub(in crate::app) bundle: Bundle,
    /// What it may take.
    pub(in crate::app) limits: VersionLimits,
    coming: oneshot::Receiver<Outcome>,
    came: Option<Outcome>,
}

impl Trying {
    pub(super) fn new(
        bundle: Bundle,
        limits: VersionLimits,
        coming: oneshot::Receiver<Outcome>,
    ) -> Self {
        Self { bundle, limits, coming, came: None }
    }

    /// A version of which no trial is made.
    pub(in crate::app) fn untried(bundle: Bundle, limits: VersionLimits) -> Self {
        let (_, coming) = oneshot::channel();
        Self { bundle, limits, coming, came: Some(Outcome::Untried) }
    }

    /// What came of it, once; none before it has ended.
    pub(in crate::app) fn outcome(&mut self) -> Option<Outcome> {
        self.came.take().or_else(|| match self.coming.try_recv() {
            Ok(outcome) => Some(outcome),
            Err(oneshot::error::TryRecvError::Empty) => None,
            Err(oneshot::error::TryRecvError::Closed) => Some(nobody_tells()),
        })
    }

    /// Waits for its end.
    pub(in crate::app) async fn ended(&mut self) {
        if self.came.is_none() {
            let came = (&mut self.coming).await;
            self.came = Some(came.unwrap_or_else(|_| nobody_tells()));
        }
    }
}

fn nobody_tells() -> Outcome {
    Outcome::Lost("no thread can be started for it, or that thread panicked".to_owned())
}
