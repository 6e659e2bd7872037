//! The signals that ask a command to stop.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// SIGINT and SIGTERM.
pub(super) struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignals {
    /// Takes the signals over from the system.
    pub(super) fn listen() -> Result<Self, String> {
        let on = |kind| signal(kind).map_err(|e| e.to_string());
        Ok(Self {
            interrupt: on(SignalKind::interrupt())?,
            terminate: on(SignalKind::terminate())?,
        })
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Has the next signal cancel what is measured; what there is by then is printed.
pub(super) fn cancel_on_next(stop: &CancellationToken) -> Result<(), String> {
    let mut signals = StopSignals::listen()?;
    let stop = stop.clone();
    tokio::spawn(async move {
        signals.next().await;
        stop.cancel();
    });
    Ok(())
}

/// Does a command's work, which the first signal asks to end in good order.
pub(super) fn until_signal(
    work: impl AsyncFnOnce(CancellationToken) -> Result<(), String>,
) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| e.to_string())?;
    runtime.block_on(async {
        let stop = CancellationToken::new();
        cancel_on_next(&stop)?;
        work(stop).await
    })
}
