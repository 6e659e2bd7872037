//! The loop of one instance that takes each batch through all stages on one thread.

use crate::{
    batching::{
        shared::Shared,
        stages::{Joined, Outcome, Stages},
    },
    runtime::ModelInstance,
};

/// Serves batches until the queue is closed and empty.
pub(super) fn serve(
    mut instance: Box<dyn ModelInstance>,
    number: usize,
    names: &[String],
    shared: &Shared,
) {
    let stages = Stages { names, shared, number };
    // The tensors of the last batch, whose memory the next one uses.
    let (mut inputs, mut outputs) = (Joined::of(instance.as_ref()), Vec::new());
    while let Some((taken, turn)) = shared.next(number) {
        let mut batch = stages.assemble(taken, inputs);
        let outcome = stages.run(instance.as_mut(), (&mut batch, turn.waited), &mut outputs);
        let ran = outcome.ran().map(|ran| (turn.waited, ran));
        match outcome {
            Outcome::Ran(running, ran) => stages.scatter(&batch, (&running, ran), &outputs),
            Outcome::Failed(error) => {
                stages.recover(instance.as_mut(), (&batch, error), &mut outputs);
            }
            Outcome::Abandoned => {}
        }
        drop(turn);
        shared.finished(number, batch.size, ran);
        inputs = batch.inputs;
    }
}
