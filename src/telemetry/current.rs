//! Which request is being handled here: what logs a line while it is does not have to be told.

use tokio::task::futures::TaskLocalFuture;

use crate::telemetry::trace_context::TraceContext;

tokio::task_local! {
    static CURRENT: TraceContext;
}

/// Does work as part of the request that is traced as such: lines that are logged meanwhile carry its ids.
pub fn within<F: Future>(trace: TraceContext, work: F) -> TaskLocalFuture<TraceContext, F> {
    CURRENT.scope(trace, work)
}

/// As [`within`], for work that does not wait.
pub fn within_sync<T>(trace: TraceContext, work: impl FnOnce() -> T) -> T {
    CURRENT.sync_scope(trace, work)
}

/// The place in a trace of the request that is being handled here; none where none is.
pub fn current_trace() -> Option<TraceContext> {
    CURRENT.try_with(|trace| *trace).ok().filter(TraceContext::is_valid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_within_a_request_knows_it_and_nothing_else_does() {
        let (one, other) = (TraceContext::root(true), TraceContext::root(false));
        let inner = within(one, async {
            tokio::task::yield_now().await;
            let nested = within_sync(other, current_trace);
            (current_trace(), nested, tokio::spawn(async { current_trace() }).await.unwrap())
        });
        assert_eq!(inner.await, (Some(one), Some(other), None));
        assert_eq!(current_trace(), None);
        assert_eq!(within(TraceContext::default(), async { current_trace() }).await, None);
    }
}
