//! The loop of one instance: take work, run it, answer.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::Ordering,
    time::Instant,
};

use crossbeam_channel::Receiver;

use crate::{
    batching::{
        error::BatchError,
        work::{Ran, Work},
    },
    runtime::ModelInstance,
    tensor::Tensor,
};

/// Serves work until the queue is closed and empty.
pub(super) fn serve(
    mut instance: Box<dyn ModelInstance>,
    names: &[String],
    queue: &Receiver<Work>,
) {
    while let Ok(work) = queue.recv() {
        if work.reply.is_closed() {
            continue;
        }
        let begun = Instant::now();
        if work.deadline.expired(begun) {
            let _ = work.reply.send(Err(BatchError::ExpiredInQueue));
            continue;
        }
        work.started.store(true, Ordering::Release);
        let result = run(instance.as_mut(), names, &work.inputs).map(|outputs| Ran {
            outputs,
            queued: begun - work.enqueued,
            ran: begun.elapsed(),
        });
        let _ = work.reply.send(result);
    }
}

fn run(
    instance: &mut dyn ModelInstance,
    names: &[String],
    inputs: &[Tensor],
) -> Result<Vec<Tensor>, BatchError> {
    let named: Vec<(&str, &Tensor)> = names.iter().map(String::as_str).zip(inputs).collect();
    match catch_unwind(AssertUnwindSafe(|| instance.run(&named))) {
        Ok(result) => Ok(result?),
        Err(panic) => Err(BatchError::Panicked(message_of(panic.as_ref()))),
    }
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
        .to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::{
        batching::queue::{ModelQueue, QueueOptions},
        deadline::Deadline,
        runtime::{RuntimeError, Signature},
    };

    use super::*;

    /// Returns its input; sleeps for the first value in milliseconds; panics or fails on a negative one.
    struct Echo(Signature);

    impl ModelInstance for Echo {
        fn signature(&self) -> &Signature {
            &self.0
        }

        fn run(&mut self, inputs: &[(&str, &Tensor)]) -> Result<Vec<Tensor>, RuntimeError> {
            match inputs[0].1.to_floats()[0] {
                -1.0 => panic!("seeded"),
                -2.0 => Err(RuntimeError::Run("seeded".to_owned())),
                ms => {
                    std::thread::sleep(Duration::from_millis(ms as u64));
                    Ok(vec![inputs[0].1.clone()])
                }
            }
        }
    }

    fn queue(limit: usize) -> std::io::Result<ModelQueue> {
        let options = QueueOptions { max_queue_size: limit };
        ModelQueue::start("echo", &["x"], vec![Box::new(Echo(Signature::default()))], &options)
    }

    fn one(value: f32) -> Vec<Tensor> {
        vec![Tensor::floats(vec![1], vec![value])]
    }

    fn within(ms: u64) -> Deadline {
        Deadline::after(Instant::now(), Duration::from_millis(ms))
    }

    #[tokio::test]
    async fn a_failed_or_panicked_run_spares_the_next() -> std::io::Result<()> {
        let queue = queue(4)?;
        assert!(matches!(queue.run(one(-1.0), within(5000)).await, Err(BatchError::Panicked(_))));
        assert!(matches!(queue.run(one(-2.0), within(5000)).await, Err(BatchError::Runtime(_))));
        assert!(queue.run(one(0.0), within(5000)).await.is_ok());
        Ok(())
    }

    #[tokio::test]
    async fn an_expired_request_says_where_it_expired() -> std::io::Result<()> {
        let queue = queue(4)?;
        let (run, wait) = tokio::join!(queue.run(one(300.0), within(50)), async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            queue.run(one(0.0), within(50)).await
        });
        assert!(matches!(run, Err(BatchError::ExpiredInRun)), "{run:?}");
        assert!(matches!(wait, Err(BatchError::ExpiredInQueue)), "{wait:?}");
        Ok(())
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once() -> std::io::Result<()> {
        let queue = queue(1)?;
        let attempts = (0..3).map(|_| queue.run(one(100.0), within(5000)));
        let results = futures::future::join_all(attempts).await;
        let refused =
            results.iter().filter(|r| matches!(r, Err(BatchError::QueueFull { .. }))).count();
        assert!(refused >= 1, "{results:?}");
        Ok(())
    }
}
