//! The way of spans to the thread that sends them: bounded, never waited for, and what does not fit is counted.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
    mpsc,
};

use opentelemetry_sdk::trace::SpanData;
use tokio::sync::Notify;

use crate::telemetry::written_span::{Pen, WrittenSpan};

/// Something that spans are written of, on the thread that sends them.
pub trait Story: Send {
    /// Writes the spans.
    fn write(self: Box<Self>, pen: Pen, spans: &mut Vec<WrittenSpan>);
}

/// What waits to be sent.
pub(super) enum Waiting {
    /// Something that spans are yet to be written of.
    Story(Box<dyn Story>),
    /// A span that `tracing` has recorded.
    Span(Box<SpanData>),
}

/// What became of spans since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SpanCounts {
    /// Spans that the collector has taken.
    pub sent: u64,
    /// Spans that it did not take.
    pub failed: u64,
    /// Stories, such as a request with all its spans, for which there was no room.
    pub dropped: u64,
    /// Stories that wait.
    pub waiting: u64,
}

/// Where stories wait; without a collector, nowhere.
#[derive(Debug, Clone, Default)]
pub struct SpanQueue(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    sender: mpsc::Sender<Waiting>,
    limit: usize,
    waiting: AtomicUsize,
    dropped: AtomicU64,
    sent: AtomicU64,
    failed: AtomicU64,
    /// Told once when half of the room is taken: the thread need not wait any longer.
    filling: Notify,
}

impl SpanQueue {
    /// A queue with room for so many stories, and its other end.
    pub(super) fn new(limit: usize) -> (Self, SpanReceiver) {
        let (sender, receiver) = mpsc::channel();
        let inner = Arc::new(Inner {
            sender,
            limit: limit.max(1),
            waiting: AtomicUsize::new(0),
            dropped: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            filling: Notify::new(),
        });
        (Self(Some(Arc::clone(&inner))), SpanReceiver { inner, receiver })
    }

    /// Whether there is somebody to tell.
    pub fn is_open(&self) -> bool {
        self.0.is_some()
    }

    /// Has a story told; without room it is dropped, and counted. Costs an allocation at most, and waits for nothing.
    pub fn tell<S: Story + 'static>(&self, story: impl FnOnce() -> S) {
        self.push(|| Waiting::Story(Box::new(story())));
    }

    /// Has a span sent that is already written.
    pub(super) fn send(&self, span: SpanData) {
        self.push(|| Waiting::Span(Box::new(span)));
    }

    fn push(&self, waiting: impl FnOnce() -> Waiting) {
        let Some(inner) = &self.0 else { return };
        let before = inner.waiting.fetch_add(1, Ordering::AcqRel);
        if before >= inner.limit || inner.sender.send(waiting()).is_err() {
            inner.waiting.fetch_sub(1, Ordering::AcqRel);
            inner.dropped.fetch_add(1, Ordering::Relaxed);
        } else if before + 1 == inner.limit.div_ceil(2) {
            inner.filling.notify_one();
        }
    }

    /// What became of spans so far.
    pub fn counts(&self) -> SpanCounts {
        let Some(inner) = &self.0 else { return SpanCounts::default() };
        SpanCounts {
            sent: inner.sent.load(Ordering::Relaxed),
            failed: inner.failed.load(Ordering::Relaxed),
            dropped: inner.dropped.load(Ordering::Relaxed),
            waiting: inner.waiting.load(Ordering::Relaxed) as u64,
        }
    }
}

/// The other end of a [`SpanQueue`].
pub(super) struct SpanReceiver {
    inner: Arc<Inner>,
    receiver: mpsc::Receiver<Waiting>,
}

impl SpanReceiver {
    /// Waits until half of the room is taken.
    pub(super) async fn filling(&self) {
        self.inner.filling.notified().await;
    }

    /// What waits, if something does.
    pub(super) fn next(&self) -> Option<Waiting> {
        let next = self.receiver.try_recv().ok()?;
        self.inner.waiting.fetch_sub(1, Ordering::AcqRel);
        Some(next)
    }

    /// Notes what became of so many spans.
    pub(super) fn note(&self, spans: usize, was_sent: bool) {
        let counter = if was_sent { &self.inner.sent } else { &self.inner.failed };
        counter.fetch_add(spans as u64, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nothing;

    impl Story for Nothing {
        fn write(self: Box<Self>, _: Pen, _: &mut Vec<WrittenSpan>) {}
    }

    #[test]
    fn what_does_not_fit_is_counted_and_not_made() {
        let (queue, receiver) = SpanQueue::new(2);
        let mut made = 0;
        for _ in 0..5 {
            queue.tell(|| {
                made += 1;
                Nothing
            });
        }
        assert_eq!((made, queue.counts().waiting, queue.counts().dropped), (2, 2, 3));
        assert!(receiver.next().is_some());
        queue.tell(|| Nothing);
        assert_eq!((queue.counts().waiting, queue.counts().dropped), (2, 3));
        drop(receiver);
    }

    #[test]
    fn without_a_collector_nothing_is_made() {
        let queue = SpanQueue::default();
        queue.tell(|| -> Nothing { unreachable!("nobody is told") });
        assert_eq!(queue.counts(), SpanCounts::default());
    }

    #[tokio::test]
    async fn a_queue_that_fills_is_told_of() {
        let (queue, receiver) = SpanQueue::new(4);
        queue.tell(|| Nothing);
        queue.tell(|| Nothing);
        receiver.filling().await;
        receiver.note(3, true);
        receiver.note(2, false);
        assert_eq!((queue.counts().sent, queue.counts().failed), (3, 2));
    }
}
