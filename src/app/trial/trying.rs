//! A version that is being tried.

use tokio::sync::oneshot;

use crate::{app::trial::outcome::Outcome, repository::Bundle};

/// A version that is being tried; the trial ends when this goes.
pub(in crate::app) struct Trying {
    /// The version.
    pub(in crate::app) bundle: Bundle,
    /// None where no trial is made.
    coming: Option<oneshot::Receiver<Outcome>>,
}

impl Trying {
    pub(super) fn new(bundle: Bundle, coming: oneshot::Receiver<Outcome>) -> Self {
        Self { bundle, coming: Some(coming) }
    }

    /// A version of which no trial is made.
    pub(in crate::app) fn untried(bundle: Bundle) -> Self {
        Self { bundle, coming: None }
    }

    /// Waits for what comes of it; there is nothing more to be had after that.
    pub(in crate::app) async fn outcome(&mut self) -> Outcome {
        match self.coming.as_mut() {
            None => Outcome::Untried,
            Some(coming) => coming.await.unwrap_or_else(|_| nobody_tells()),
        }
    }
}

fn nobody_tells() -> Outcome {
    Outcome::Lost("no thread can be started for it, or that thread panicked".to_owned())
}
