//! The bounded queue in front of a model's instances.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Instant,
};

use crossbeam_channel::{Sender, TrySendError};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::{
    batching::{
        error::BatchError,
        work::{Ran, Work},
        worker,
    },
    deadline::Deadline,
    runtime::ModelInstance,
    tensor::Tensor,
};

/// Limits of a model's queue.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueueOptions {
    /// Requests that may wait for a model; one more is refused.
    pub max_queue_size: usize,
}

impl Default for QueueOptions {
    fn default() -> Self {
        Self { max_queue_size: 1024 }
    }
}

/// A model's instances and the queue in front of them; dropping it ends their threads once the queue is empty.
#[derive(Debug)]
pub struct ModelQueue {
    model: Arc<str>,
    sender: Sender<Work>,
    limit: usize,
    instances: usize,
}

impl ModelQueue {
    /// Starts one thread for each instance.
    ///
    /// `model` names the threads and errors; `inputs` are the graph's names in the order in which [`Self::run`] is
    /// given tensors.
    pub fn start(
        model: &str,
        inputs: &[&str],
        instances: Vec<Box<dyn ModelInstance>>,
        options: &QueueOptions,
    ) -> std::io::Result<Self> {
        let (sender, receiver) = crossbeam_channel::bounded(options.max_queue_size.max(1));
        let names: Arc<[String]> = inputs.iter().map(|name| (*name).to_owned()).collect();
        let count = instances.len();
        for (number, instance) in instances.into_iter().enumerate() {
            let (names, receiver) = (Arc::clone(&names), receiver.clone());
            thread::Builder::new()
                .name(format!("{model}-{number}"))
                .spawn(move || worker::serve(instance, &names, &receiver))?;
        }
        Ok(Self {
            model: model.into(),
            sender,
            limit: options.max_queue_size.max(1),
            instances: count,
        })
    }

    /// How many instances run the model.
    pub fn instances(&self) -> usize {
        self.instances
    }

    /// Runs the model once on `inputs`, in the order of the names given at the start; waits for its turn.
    ///
    /// Dropping the future takes the work out of the queue.
    ///
    /// # Errors
    /// [`BatchError`]: full, expired in the queue or in the run, stopping, or failed.
    pub async fn run(&self, inputs: Vec<Tensor>, deadline: Deadline) -> Result<Ran, BatchError> {
        let (reply, answer) = oneshot::channel();
        let started = Arc::new(AtomicBool::new(false));
        let work = Work {
            inputs,
            deadline,
            enqueued: Instant::now(),
            started: Arc::clone(&started),
            reply,
        };
        self.sender.try_send(work).map_err(|error| match error {
            TrySendError::Full(_) => {
                BatchError::QueueFull { model: self.model.to_string(), limit: self.limit }
            }
            TrySendError::Disconnected(_) => BatchError::Stopped,
        })?;
        match tokio::time::timeout_at(deadline.at().into(), answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(BatchError::Stopped),
            Err(_) if started.load(Ordering::Acquire) => Err(BatchError::ExpiredInRun),
            Err(_) => Err(BatchError::ExpiredInQueue),
        }
    }
}
