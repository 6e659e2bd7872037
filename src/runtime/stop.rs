//! Ends runs of a session from another thread.

use std::{fmt, sync::Arc};

use ort::session::RunOptions;

use crate::runtime::instance::Stop;

/// Ends the runs that were started with these options.
pub(super) struct StopRun(pub(super) Arc<RunOptions>);

impl fmt::Debug for StopRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StopRun")
    }
}

impl Stop for StopRun {
    fn stop(&self) {
        // It cannot fail: it sets a flag.
        let _ = self.0.terminate();
    }
}
