//! Work that gives way to everything else on the machine.

use std::{io, panic::resume_unwind, thread};

use rustix::process::setpriority_process;

/// The niceness that gives way the most.
const NICEST: i32 = 19;

/// Does work on a thread of its own whose priority is low, and waits for it; a panic of the work goes on here.
///
/// The thread that asks keeps its priority, which once lowered only a privileged process may raise again. What the work starts
/// inherits the low one: threads that shall answer requests are started elsewhere.
///
/// # Errors
/// That of a thread that cannot be started.
pub fn at_low_priority<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    let span = tracing::Span::current();
    let low = || {
        let _within = span.enter();
        lower_priority();
        work()
    };
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("loading".to_owned()).spawn_scoped(scope, low)?;
        Ok(thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })
}

/// Lowers the priority of the calling thread and of those that it starts from here on, for good.
pub fn lower_priority() {
    // Linux counts niceness by thread, and none is the calling one.
    if let Err(cause) = setpriority_process(None, NICEST) {
        tracing::debug!(%cause, "the priority cannot be lowered");
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::getpriority_process;

    use super::*;

    fn niceness() -> i32 {
        getpriority_process(None).unwrap()
    }

    #[test]
    fn only_the_work_has_low_priority() {
        let before = niceness();
        assert_eq!(at_low_priority(niceness).unwrap(), NICEST);
        assert_eq!(niceness(), before);
        let beside = thread::spawn(niceness).join().unwrap();
        assert_eq!(beside, before, "a thread that is started later inherited it");
    }

    #[test]
    #[should_panic(expected = "the work's own")]
    fn a_panic_goes_on() {
        let _ = at_low_priority(|| panic!("the work's own"));
    }
}
