//! The face of the batcher: one queue in front of a model's instances.

use std::{collections::HashSet, sync::Arc, thread, time::Instant};

use tokio::sync::oneshot;

use crate::{
    batching::{
        cost::CostTable,
        counters::BatchCounts,
        error::BatchError,
        job::{Job, Priority, Trip, Work},
        layout::BatchLayout,
        metrics::{Backlog, BatchMetrics},
        options::BatchOptions,
        outlook::Outlook,
        pipeline,
        schedule::Asked,
        shared::Shared,
        turns::Turns,
        units::Units,
        worker,
    },
    deadline::Deadline,
    ids::CallerName,
    runtime::ModelInstance,
    telemetry::SpanQueue,
    tensor::Tensor,
};

/// What a queue is started with beside its instances.
#[derive(Debug)]
pub struct QueueSetup<'a> {
    /// Names the threads and errors.
    pub model: &'a str,
    /// Where the instances run, such as `cpu` or `cuda:0`.
    pub device: &'a str,
    /// Where batches are told of that somebody who is traced was in.
    pub spans: SpanQueue,
    /// The graph's inputs in the order in which [`ModelQueue::run`] is given tensors.
    pub inputs: &'a [&'a str],
    /// How jobs lie in a batch, inputs in the same order.
    pub layout: BatchLayout,
    /// How jobs are batched.
    pub options: &'a BatchOptions,
    /// What runs cost.
    pub cost: CostTable,
    /// The lengths that each instance has run batches of.
    pub warm: Vec<HashSet<usize>>,
    /// Whether the next batch's tensors are joined while one runs.
    pub pipelined: bool,
}

/// A model's instances and the queue in front of them; dropping it ends their threads once the queue is empty.
#[derive(Debug)]
pub struct ModelQueue {
    shared: Arc<Shared>,
    instances: usize,
}

impl ModelQueue {
    /// Starts the threads of each instance: one, or three where batches are pipelined; the instances go round over the devices, each of
    /// which has turns of its own.
    ///
    /// # Errors
    /// That of a thread that cannot be started.
    pub fn start(
        setup: QueueSetup<'_>,
        instances: Vec<Box<dyn ModelInstance>>,
        turns: &[Arc<Turns>],
    ) -> std::io::Result<Self> {
        let QueueSetup { model, device, spans, inputs, layout, options, cost, mut warm, pipelined } =
            setup;
        let count = instances.len();
        warm.resize(count, HashSet::new());
        let shared =
            Arc::new(Shared::new((model, device, spans), layout, options, cost, (warm, turns)));
        let names: Arc<[String]> = inputs.iter().map(|name| (*name).to_owned()).collect();
        let queue = Self { shared: Arc::clone(&shared), instances: count };
        for (number, instance) in instances.into_iter().enumerate() {
            let (names, shared) = (Arc::clone(&names), Arc::clone(&shared));
            let thread = format!("{model}-{number}");
            if pipelined {
                pipeline::start(&thread, instance, number, (names, shared))?;
                continue;
            }
            thread::Builder::new()
                .name(thread)
                .spawn(move || worker::serve(instance, number, &names, &shared))?;
        }
        Ok(queue)
    }

    /// How many instances run the model.
    pub fn instances(&self) -> usize {
        self.instances
    }

    /// What runs cost as far as is known.
    pub fn cost(&self) -> CostTable {
        self.shared.cost()
    }

    /// The size of a job as costs count it: its units times what each costs.
    pub fn size_of(&self, inputs: &[Tensor]) -> usize {
        let mut units = Units::of(&self.shared.layout, inputs, &self.shared.buckets);
        let cost = self.cost();
        units.weigh(|length| cost.weight(length));
        units.size()
    }

    /// What has become of rows so far.
    pub fn counts(&self) -> BatchCounts {
        self.shared.counters.read()
    }

    /// When a batch last ran, in milliseconds since 1970 in UTC; 0 where none did.
    pub fn last_run_ms(&self) -> u64 {
        self.shared.counters.last_run_ms()
    }

    /// What is counted of its batches.
    pub fn metrics(&self) -> &BatchMetrics {
        &self.shared.metrics
    }

    /// What waits and runs now.
    pub fn backlog(&self) -> Backlog {
        self.shared.backlog()
    }

    /// Whether nothing waits, and an instance has nothing to run.
    pub fn has_spare_capacity(&self) -> bool {
        self.shared.is_idle()
    }

    /// What would become of a request for so many rows that came now; costs a look at what waits, and builds nothing.
    pub fn outlook(
        &self,
        rows: usize,
        deadline: Deadline,
        (priority, caller): (Option<Priority>, &CallerName),
    ) -> Outlook {
        self.shared.outlook(Instant::now(), &Asked { rows, deadline, priority, caller })
    }

    /// Runs work in whichever batches take it; waits for the last of its units, and gives the outputs in the order of the manifest.
    ///
    /// Dropping the future takes the work out of the queue, and ends the runs that nobody else waits for.
    ///
    /// # Errors
    /// [`BatchError`]: full, too late, expired in the queue or in the run, stopping, or failed.
    pub async fn run(&self, work: Work) -> Result<Vec<Tensor>, BatchError> {
        self.run_noted(work, &mut Trip::default()).await
    }

    /// The same; `trip` tells what the work went through, whatever comes of it.
    ///
    /// # Errors
    /// Those of [`Self::run`].
    pub async fn run_noted(&self, work: Work, trip: &mut Trip) -> Result<Vec<Tensor>, BatchError> {
        let outputs = self.run_queued(work, trip).await;
        outputs.inspect_err(|error| self.shared.metrics.failed(error))
    }

    async fn run_queued(&self, work: Work, trip: &mut Trip) -> Result<Vec<Tensor>, BatchError> {
        let (reply, answer) = oneshot::channel();
        let now = Instant::now();
        let (deadline, priority) = (work.deadline, work.priority);
        let units = Units::of(&self.shared.layout, &work.inputs, &self.shared.buckets);
        let job = self.shared.admit(now, Job::new(work, units, now, reply), priority)?;
        let mut caller = Caller { shared: &self.shared, job: &job, waits: true, trip };
        match tokio::time::timeout_at(deadline.at().into(), answer).await {
            Ok(result) => {
                caller.waits = false;
                result.unwrap_or(Err(BatchError::Stopped))
            }
            Err(_) if caller.leave() => Err(BatchError::ExpiredInRun),
            Err(_) => Err(BatchError::ExpiredInQueue),
        }
    }
}

impl Drop for ModelQueue {
    fn drop(&mut self) {
        self.shared.close();
    }
}

/// One who waits; leaving frees what they held.
struct Caller<'a> {
    shared: &'a Shared,
    job: &'a Job,
    waits: bool,
    trip: &'a mut Trip,
}

impl Caller<'_> {
    /// Leaves; says whether a run of the job had been started.
    fn leave(&mut self) -> bool {
        self.waits = false;
        self.shared.forget(self.job);
        self.job.leave()
    }
}

impl Drop for Caller<'_> {
    fn drop(&mut self) {
        if self.waits {
            self.leave();
        }
        *self.trip = self.job.take_trip();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::future::join_all;

    use crate::{
        batching::{
            cost::CostPoint,
            layout::{InputAxes, Joins, Lead, OutputAxes},
            options::Pipeline,
        },
        runtime::{RuntimeError, Signature},
    };

    use super::*;

    /// Doubles each row; a row of -1 panics, of -2 fails, of -3 answers one row too few, another sleeps for that many ms.
    struct Double(Signature, Arc<Ended>);

    /// Ends a sleep.
    #[derive(Debug, Default)]
    struct Ended(std::sync::atomic::AtomicBool);

    impl crate::runtime::Stop for Ended {
        fn stop(&self) {
            self.0.store(true, std::sync::atomic::Ordering::Release);
        }
    }

    impl ModelInstance for Double {
        fn signature(&self) -> &Signature {
            &self.0
        }

        fn stopper(&self) -> Option<Arc<dyn crate::runtime::Stop>> {
            Some(Arc::clone(&self.1) as Arc<dyn crate::runtime::Stop>)
        }

        fn run_into(
            &mut self,
            inputs: &[(&str, &Tensor)],
            outputs: &mut Vec<Tensor>,
        ) -> Result<(), RuntimeError> {
            let mut rows = inputs[0].1.to_floats();
            if rows.contains(&-1.0) {
                panic!("seeded");
            }
            if rows.contains(&-2.0) {
                return Err(RuntimeError::Run("seeded".to_owned()));
            }
            if rows.contains(&-3.0) {
                rows.pop();
            }
            let until = Instant::now() + Duration::from_millis(rows.iter().sum::<f32>() as u64);
            while Instant::now() < until {
                if self.1.0.swap(false, std::sync::atomic::Ordering::AcqRel) {
                    return Err(RuntimeError::Run("ended".to_owned()));
                }
                thread::sleep(Duration::from_micros(200));
            }
            let doubled = rows.iter().map(|row| row * 2.0).collect();
            *outputs = vec![Tensor::floats(vec![rows.len()], doubled)];
            Ok(())
        }
    }

    /// A queue of one instance, whose runs are said to take so many ms a row.
    fn queue(options: BatchOptions, ms_a_row: f64) -> std::io::Result<ModelQueue> {
        queue_of(options, ms_a_row, (1, &[Turns::new(1)]))
    }

    fn queue_of(
        options: BatchOptions,
        ms_a_row: f64,
        (instances, turns): (usize, &[Arc<Turns>]),
    ) -> std::io::Result<ModelQueue> {
        let layout = BatchLayout {
            unit: Lead::Rows,
            inputs: vec![InputAxes::of(Lead::Rows)],
            outputs: vec![OutputAxes { lead: Lead::Rows, as_long_as: None }],
            joins: Joins::Padded,
        };
        let point = CostPoint { size: 1, run_us: ms_a_row * 1e3 };
        let cost = CostTable::new(if ms_a_row > 0.0 { vec![point] } else { Vec::new() });
        let instance = |_| Box::new(Double(Signature::default(), Arc::default())) as Box<_>;
        let setup = QueueSetup {
            model: "double",
            device: "cpu",
            spans: SpanQueue::default(),
            inputs: &["x"],
            layout,
            options: &options,
            cost,
            warm: Vec::new(),
            pipelined: options.pipeline == Pipeline::On,
        };
        ModelQueue::start(setup, (0..instances).map(instance).collect(), turns)
    }

    fn rows(values: &[f32], ms: u64) -> Work {
        let deadline = Deadline::after(Instant::now(), Duration::from_millis(ms));
        Work::new(vec![Tensor::floats(vec![values.len()], values.to_vec())], deadline)
    }

    fn answered(result: Result<Vec<Tensor>, BatchError>) -> Vec<f32> {
        result.map(|outputs| outputs[0].to_floats()).unwrap_or_default()
    }

    /// One thread an instance, and three.
    fn both_ways() -> [BatchOptions; 2] {
        [Pipeline::Off, Pipeline::On]
            .map(|pipeline| BatchOptions { pipeline, ..Default::default() })
    }

    #[tokio::test]
    async fn rows_of_many_requests_share_batches_and_come_back_in_order() -> std::io::Result<()> {
        for options in both_ways() {
            share_and_come_back(BatchOptions { max_batch_rows: 3, ..options }).await?;
        }
        Ok(())
    }

    async fn share_and_come_back(options: BatchOptions) -> std::io::Result<()> {
        let queue = queue(options, 0.0)?;
        let works: Vec<Vec<f32>> = (0..20u8)
            .map(|n| (0..n % 5 + 1).map(|row| f32::from(n * 10 + row) / 1e3).collect())
            .collect();
        let results = join_all(works.iter().map(|values| queue.run(rows(values, 5000)))).await;
        for (values, result) in works.iter().zip(results) {
            let wanted: Vec<f32> = values.iter().map(|value| value * 2.0).collect();
            assert_eq!(answered(result), wanted);
        }
        Ok(())
    }

    #[tokio::test]
    async fn a_spoilt_batch_spares_its_neighbours_and_the_next() -> std::io::Result<()> {
        for options in both_ways() {
            spare_neighbours(options).await?;
        }
        Ok(())
    }

    async fn spare_neighbours(options: BatchOptions) -> std::io::Result<()> {
        let queue = queue(options, 0.0)?;
        for (spoilt, told) in [(-2.0, "seeded"), (-1.0, "panicked"), (-3.0, "entries")] {
            let busy = rows(&[30.0], 5000);
            let (_, bad, good) = tokio::join!(
                queue.run(busy),
                queue.run(rows(&[spoilt, 0.0], 5000)),
                queue.run(rows(&[0.5], 5000))
            );
            let wrong = bad.map_err(|error| error.to_string());
            assert!(wrong.as_ref().is_err_and(|wrong| wrong.contains(told)), "{told}: {wrong:?}");
            if spoilt == -2.0 {
                assert_eq!(answered(good), [1.0]);
            }
            assert_eq!(answered(queue.run(rows(&[0.25], 5000)).await), [0.5]);
        }
        Ok(())
    }

    #[tokio::test]
    async fn what_cannot_be_in_time_is_refused_at_the_door() -> std::io::Result<()> {
        let queue = queue(BatchOptions::default(), 20.0)?;
        let refused = queue.run(rows(&[20.0; 9], 100)).await;
        assert!(matches!(refused, Err(BatchError::TooLate { .. })), "{refused:?}");
        let first = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            queue.run(rows(&[20.0], 20)).await
        };
        let (long, behind) = tokio::join!(queue.run(rows(&[20.0; 9], 1000)), first);
        assert!(long.is_ok(), "{long:?}");
        assert!(matches!(behind, Err(BatchError::TooLate { .. })), "{behind:?}");
        assert!(behind.err().and_then(|error| error.retry_after()).is_some());
        Ok(())
    }

    #[tokio::test]
    async fn an_expired_request_says_where_it_expired() -> std::io::Result<()> {
        for options in both_ways() {
            say_where(options).await?;
        }
        Ok(())
    }

    async fn say_where(options: BatchOptions) -> std::io::Result<()> {
        let queue = queue(options, 0.0)?;
        let (run, wait) = tokio::join!(queue.run(rows(&[300.0], 50)), async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            queue.run(rows(&[0.0], 20)).await
        });
        assert!(matches!(run, Err(BatchError::ExpiredInRun)), "{run:?}");
        assert!(matches!(wait, Err(BatchError::ExpiredInQueue)), "{wait:?}");
        let begun = Instant::now();
        let next = queue.run(rows(&[0.0], 5000)).await;
        assert!(next.is_ok(), "{next:?}");
        assert!(begun.elapsed() < Duration::from_millis(150), "the abandoned run was ended");
        Ok(())
    }

    #[tokio::test]
    async fn models_that_share_a_device_never_hold_it_asleep() -> std::io::Result<()> {
        let turns = [Turns::new(1)];
        let start = || queue_of(BatchOptions::default(), 0.0, (2, &turns));
        let queues = [start()?, start()?];
        for round in 0..100 {
            let works = (0..8).map(|n| queues[(round + n) % 2].run(rows(&[1.0], 2000)));
            assert!(join_all(works).await.iter().all(Result::is_ok), "round {round}");
        }
        Ok(())
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once() -> std::io::Result<()> {
        let options = BatchOptions { max_queue_size: 1, ..Default::default() };
        let queue = queue(options, 0.0)?;
        let attempts = (0..4).map(|_| queue.run(rows(&[50.0], 5000)));
        let results = join_all(attempts).await;
        let refused = |r: &&Result<Vec<Tensor>, _>| matches!(r, Err(BatchError::QueueFull { .. }));
        assert!(results.iter().filter(refused).count() >= 2, "{results:?}");
        assert!(results.iter().any(Result::is_ok));
        Ok(())
    }
}
