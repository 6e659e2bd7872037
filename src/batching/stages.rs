//! What a batch goes through: its tensors are joined, run, and taken apart.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    batching::{
        batch_span::end_batch,
        counters::BatchCounts,
        error::BatchError,
        job::RanBatch,
        note::{BatchEnd, BatchFacts, BatchNote, Ending, Member},
        pack::{Packed, Part, pack},
        pending::Piece,
        running::Running,
        scatter::{check_outputs, scatter},
        schedule::Taken,
        shared::Shared,
    },
    runtime::{InputBlocks, ModelInstance},
    telemetry::panic_message,
    tensor::Tensor,
};

/// What a batch's inputs are joined in, whose memory is used again.
#[derive(Default)]
pub(super) struct Joined {
    /// The joined tensors.
    tensors: Vec<Tensor>,
    /// The blocks in which they travel to the device, where the instance has such.
    blocks: Option<InputBlocks>,
}

impl Joined {
    /// Memory for the inputs of an instance's batches.
    pub(super) fn of(instance: &dyn ModelInstance) -> Self {
        Self { tensors: Vec::new(), blocks: instance.input_blocks() }
    }
}

/// A batch whose tensors are joined.
pub(super) struct Assembled {
    pieces: Vec<Piece>,
    /// The joined tensors; those of another batch where its only job runs as it came.
    pub(super) inputs: Joined,
    /// Its units times the length that they are padded to.
    pub(super) size: usize,
    length: usize,
    expected: Duration,
    facts: BatchFacts,
    packed: Packed,
    took: Duration,
}

/// What came of a batch.
pub(super) enum Outcome {
    /// It ran for so long.
    Ran(Arc<Running>, Duration),
    /// Nobody waited for it any more, or could get it in time: it did not run.
    Abandoned,
    /// It failed, or answered too little.
    Failed(BatchError),
}

impl Outcome {
    /// How that is noted.
    fn end(&self) -> BatchEnd {
        match self {
            Self::Ran(..) => BatchEnd::Ran,
            Self::Abandoned => BatchEnd::Abandoned,
            Self::Failed(error) => BatchEnd::Failed(error.kind()),
        }
    }

    /// How long it ran.
    pub(super) fn ran(&self) -> Option<Duration> {
        match self {
            Self::Ran(_, ran) => Some(*ran),
            _ => None,
        }
    }
}

/// One instance's way of taking batches through their stages.
pub(super) struct Stages<'a> {
    /// The graph's inputs in the order of the layout.
    pub(super) names: &'a [String],
    pub(super) shared: &'a Shared,
    /// Which of the model's instances it is.
    pub(super) number: usize,
}

impl Stages<'_> {
    /// Joins the tensors of a batch in `inputs`; jobs whose callers left are dropped.
    pub(super) fn assemble(&self, taken: Taken, inputs: Joined) -> Assembled {
        let begun = Instant::now();
        let Taken { mut pieces, closed, length, size, fill, expected } = taken;
        pieces.retain(|piece| piece.job.wanted());
        let units = pieces.iter().map(|piece| piece.units.len()).sum();
        let facts = BatchFacts { units, jobs: pieces.len(), fill, padding: 0.0, closed };
        let (packed, took) = (Packed::default(), Duration::ZERO);
        let mut batch = Assembled { pieces, inputs, size, length, expected, facts, packed, took };
        let layout = &self.shared.layout;
        batch.packed = match as_it_came(&batch.pieces) {
            Some(inputs) => Packed::of(layout, inputs),
            None => pack(layout, &parts_of(&batch.pieces), length, &mut batch.inputs.tensors),
        };
        let Assembled { pieces, inputs: Joined { tensors, blocks }, .. } = &mut batch;
        if let Some(blocks) = blocks {
            let inputs = as_it_came(pieces).unwrap_or(tensors);
            if pieces.is_empty() {
                blocks.clear();
            } else if let Err(error) = blocks.fill(&named(self.names, inputs)) {
                // The run, which tries it again, tells the callers.
                tracing::debug!(%error, "a batch cannot be packed");
            }
        }
        batch.facts.padding = batch.packed.padding as f32 / batch.packed.elements.max(1) as f32;
        batch.took = begun.elapsed();
        batch
    }

    /// Runs a batch that waited so long for its turn; `outputs` are written over.
    pub(super) fn run(
        &self,
        instance: &mut dyn ModelInstance,
        (batch, waited): (&mut Assembled, Duration),
        outputs: &mut Vec<Tensor>,
    ) -> Outcome {
        let begun = Instant::now();
        let running = Arc::new(Running::new(batch.pieces.len()));
        let note = self.note(batch, waited, begun);
        for Piece { job, .. } in &batch.pieces {
            if job.deadline.expired(begun) {
                job.fail(BatchError::ExpiredInQueue);
            }
            if !job.start(begun.checked_sub(batch.took).unwrap_or(begun), &running, &note) {
                running.leave();
            }
        }
        let result = running.begin(instance.stopper()).then(|| {
            let Joined { tensors, blocks } = &mut batch.inputs;
            let inputs = as_it_came(&batch.pieces).unwrap_or(tensors);
            guarded(instance, &named(self.names, inputs), blocks.as_mut(), outputs)
        });
        running.over();
        let outcome = match result {
            None => Outcome::Abandoned,
            Some(Err(error)) => Outcome::Failed(error),
            Some(Ok(())) => {
                let ran = begun.elapsed();
                self.count(batch);
                match check_outputs(&self.shared.layout, &parts_of(&batch.pieces), outputs) {
                    Ok(()) => Outcome::Ran(running, ran),
                    Err(wrong) => Outcome::Failed(wrong.into()),
                }
            }
        };
        end_batch(&note, outcome.end(), &self.shared.spans);
        self.shared.metrics.over(&note);
        outcome
    }

    fn note(&self, batch: &Assembled, waited: Duration, begun: Instant) -> Arc<BatchNote> {
        let member = |Piece { job, units }: &Piece| Member {
            trace: job.trace,
            units: units.len(),
            length: job.units.longest(units),
        };
        let copied = batch.inputs.blocks.is_some() || as_it_came(&batch.pieces).is_none();
        let members: Vec<Member> = batch.pieces.iter().map(member).collect();
        Arc::new(BatchNote {
            trace: BatchNote::trace_of(&members),
            model: Arc::clone(&self.shared.model),
            number: self.shared.counters.read().batches,
            device: Arc::clone(&self.shared.device),
            instance: self.number,
            facts: batch.facts,
            length: batch.length,
            size: batch.size,
            copies: if copied { self.names.len() } else { 0 },
            members,
            waited,
            assembled: batch.took,
            begun,
            expected: batch.expected,
            is_cold: self.shared.is_first_of_length(self.number, batch.length),
            ending: Ending::default(),
        })
    }

    fn count(&self, batch: &Assembled) {
        let left = batch.pieces.iter().filter(|piece| !piece.job.wanted());
        self.shared.counters.add(&BatchCounts {
            batches: 1,
            rows: batch.facts.units as u64,
            abandoned_rows: left.map(|piece| piece.units.len() as u64).sum(),
            elements: batch.packed.elements as u64,
            padding: batch.packed.padding as u64,
        });
    }

    /// Gives the outputs back; jobs whose last piece it was are answered.
    pub(super) fn scatter(
        &self,
        batch: &Assembled,
        (running, ran): (&Arc<Running>, Duration),
        outputs: &[Tensor],
    ) {
        let parts = parts_of(&batch.pieces);
        let told = RanBatch { assembled: batch.took, ran, facts: batch.facts };
        for (which, Piece { job, units }) in batch.pieces.iter().enumerate() {
            job.finish(units.len(), running, &told, |into| {
                scatter(&self.shared.layout, &parts, which, outputs, (job.units.count(), into));
            });
        }
    }

    /// Answers for a batch that failed: where one job's values may have spoilt it for all, each is tried by itself.
    pub(super) fn recover(
        &self,
        instance: &mut dyn ModelInstance,
        (batch, error): (&Assembled, BatchError),
        outputs: &mut Vec<Tensor>,
    ) {
        if batch.pieces.len() == 1 || !matches!(error, BatchError::Runtime(_)) {
            batch.pieces.iter().for_each(|piece| piece.job.fail(error.clone()));
            return;
        }
        for piece in batch.pieces.iter().filter(|piece| piece.job.wanted()) {
            let length = piece.job.units.longest(&piece.units);
            let BatchFacts { closed, fill, .. } = batch.facts;
            let size = piece.units.len() * length;
            let pieces = vec![piece.clone()];
            let taken = Taken { pieces, closed, length, size, fill, expected: Duration::ZERO };
            let mut alone = self.assemble(taken, Joined::default());
            match self.run(instance, (&mut alone, Duration::ZERO), outputs) {
                Outcome::Ran(running, ran) => self.scatter(&alone, (&running, ran), outputs),
                Outcome::Failed(error) => piece.job.fail(error),
                Outcome::Abandoned => {}
            }
        }
    }
}

fn parts_of(pieces: &[Piece]) -> Vec<Part<'_>> {
    pieces
        .iter()
        .map(|Piece { job, units }| Part {
            inputs: &job.inputs,
            order: &job.units,
            units: units.clone(),
        })
        .collect()
}

/// The tensors of a batch's only job, where all of it is run and nothing of it is moved.
fn as_it_came(pieces: &[Piece]) -> Option<&[Tensor]> {
    match pieces {
        [Piece { job, units }] if units.len() == job.units.count() && job.units.as_they_came() => {
            Some(&job.inputs)
        }
        _ => None,
    }
}

fn named<'a>(names: &'a [String], inputs: &'a [Tensor]) -> Vec<(&'a str, &'a Tensor)> {
    names.iter().map(String::as_str).zip(inputs).collect()
}

fn guarded(
    instance: &mut dyn ModelInstance,
    inputs: &[(&str, &Tensor)],
    blocks: Option<&mut InputBlocks>,
    outputs: &mut Vec<Tensor>,
) -> Result<(), BatchError> {
    let run = || match blocks {
        Some(blocks) => instance.run_blocks(blocks, inputs, outputs),
        None => instance.run_into(inputs, outputs),
    };
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(result) => Ok(result?),
        Err(panic) => Err(BatchError::Panicked(panic_message(panic.as_ref()))),
    }
}
