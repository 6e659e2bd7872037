//! Long work beside what goes on.

use std::{io, thread};

use tokio::{runtime::Handle, sync::oneshot};

/// Does work on a thread of its own; the receiver fails where the work panics.
///
/// # Errors
/// That of a thread that cannot be started.
pub(super) fn aside<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> io::Result<oneshot::Receiver<T>> {
    let (sender, receiver) = oneshot::channel();
    let runtime = Handle::current();
    thread::Builder::new().name("loading".to_owned()).spawn(move || {
        // Who does not wait any more does not want it any more.
        let _ = sender.send(runtime.block_on(work));
    })?;
    Ok(receiver)
}
