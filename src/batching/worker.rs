//! The loop of one instance: take a batch, join its tensors, run it, give the outputs back.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    batching::{
        error::BatchError,
        job::{BatchFacts, RanBatch},
        pack::{Packed, Part, check_outputs, pack, scatter},
        pending::Piece,
        running::Running,
        shared::{Shared, Taken},
    },
    runtime::ModelInstance,
    tensor::Tensor,
};

/// Serves batches until the queue is closed and empty.
pub(super) fn serve(
    instance: Box<dyn ModelInstance>,
    number: usize,
    names: &[String],
    shared: &Shared,
) {
    let mut worker = Worker { instance, names, shared, buffers: Vec::new() };
    while let Some(taken) = shared.next(number) {
        worker.run_batch(taken);
    }
}

struct Worker<'a> {
    instance: Box<dyn ModelInstance>,
    names: &'a [String],
    shared: &'a Shared,
    /// The tensors of the last batch, whose memory the next one uses.
    buffers: Vec<Tensor>,
}

impl Worker<'_> {
    fn run_batch(&mut self, taken: Taken) {
        let Taken { mut pieces, closed, preferred } = taken;
        pieces.retain(|piece| piece.job.wanted());
        if pieces.is_empty() {
            return;
        }
        let units = pieces.iter().map(|piece| piece.units.len()).sum::<usize>();
        let facts = BatchFacts {
            units,
            jobs: pieces.len(),
            fill: units as f32 / preferred.max(1) as f32,
            padding: 0.0,
            closed,
        };
        match self.run_pieces(&pieces, facts) {
            Err(BatchError::Runtime(_)) if pieces.len() > 1 => {
                // One of them may have spoilt it for all: each is tried by itself.
                for piece in pieces.iter().filter(|piece| piece.job.wanted()) {
                    let alone = BatchFacts { units: piece.units.len(), jobs: 1, ..facts };
                    if let Err(error) = self.run_pieces(std::slice::from_ref(piece), alone) {
                        piece.job.fail(error);
                    }
                }
            }
            Err(error) => pieces.iter().for_each(|piece| piece.job.fail(error.clone())),
            Ok(()) => {}
        }
    }

    /// Runs pieces as one batch and answers those whose last piece it was.
    fn run_pieces(&mut self, pieces: &[Piece], mut facts: BatchFacts) -> Result<(), BatchError> {
        let begun = Instant::now();
        let running = Arc::new(Running::new(pieces.len(), self.instance.stopper()));
        for piece in pieces {
            piece.job.start(begun, &running);
        }
        let parts: Vec<Part<'_>> = pieces
            .iter()
            .map(|piece| Part { inputs: &piece.job.inputs, units: piece.units.clone() })
            .collect();
        let whole = match pieces {
            [piece] if piece.units == (0..piece.job.units) => Some(&piece.job),
            _ => None,
        };
        let Packed { elements, padding } = match whole {
            Some(_) => Packed::default(),
            None => pack(&self.shared.layout, &parts, &mut self.buffers),
        };
        facts.padding = padding as f32 / elements.max(1) as f32;
        let inputs = whole.map_or(self.buffers.as_slice(), |job| job.inputs.as_slice());
        let assembled = Instant::now();
        let result = match running.abandoned() {
            true => Ok(None),
            false => run(self.instance.as_mut(), self.names, inputs).map(Some),
        };
        let ran = assembled.elapsed();
        running.over();
        let Some(mut outputs) = result? else { return Ok(()) };
        self.learn(pieces, facts.units, ran);
        check_outputs(&self.shared.layout, &parts, &outputs).map_err(BatchError::from)?;
        let batch = RanBatch { assembled: assembled - begun, ran, facts };
        for (which, piece) in pieces.iter().enumerate() {
            let job = &piece.job;
            job.finish(&piece.units, &running, &batch, |into| match whole {
                Some(_) => std::mem::swap(into, &mut outputs),
                None => scatter(&self.shared.layout, &parts, which, &outputs, (job.units, into)),
            });
        }
        Ok(())
    }

    fn learn(&self, pieces: &[Piece], units: usize, ran: Duration) {
        let longest = pieces.iter().map(|piece| piece.job.length).max().unwrap_or(1);
        self.shared.observe(units * longest, ran);
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
