//! The three threads of one instance whose device runs beside the processor: one batch is joined and another taken apart while one runs.

use std::{
    io,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use crate::{
    batching::{
        running::Running,
        shared::Shared,
        stages::{Assembled, Joined, Outcome, Stages},
    },
    runtime::ModelInstance,
    tensor::Tensor,
};

/// Sets of buffers: one that is joined, one that runs, one that is taken apart.
const SETS: usize = 3;

/// The tensors of one batch, whose memory a later one uses.
struct Buffers {
    inputs: Joined,
    outputs: Vec<Tensor>,
}

/// A batch that ran, on its way to its callers.
struct Ran {
    batch: Assembled,
    outputs: Vec<Tensor>,
    /// None where its jobs were answered otherwise.
    ran: Option<(Arc<Running>, Duration)>,
}

/// Starts the threads; they end once the queue is closed and empty.
///
/// # Errors
/// That of a thread that cannot be started.
pub(super) fn start(
    name: &str,
    instance: Box<dyn ModelInstance>,
    number: usize,
    (names, shared): (Arc<[String]>, Arc<Shared>),
) -> io::Result<()> {
    let (free, spare) = mpsc::channel();
    for _ in 0..SETS {
        let inputs = Joined::of(instance.as_ref());
        free.send(Buffers { inputs, outputs: Vec::new() }).unwrap_or_default();
    }
    // No batch waits between the first two: it is closed as late as the device allows.
    let (hand_over, ready) = mpsc::sync_channel(0);
    let (answer, ran) = mpsc::sync_channel(1);
    let spawn = |role: &str, work: Box<dyn FnOnce() + Send>| {
        thread::Builder::new().name(format!("{name}{role}")).spawn(work).map(drop)
    };
    let own = (Arc::clone(&names), Arc::clone(&shared));
    spawn("-join", Box::new(move || join(number, &stages(&own, number), &spare, &hand_over)))?;
    let own = (Arc::clone(&names), Arc::clone(&shared));
    let run = move || run(instance, number, &stages(&own, number), (&ready, &answer));
    spawn("", Box::new(run))?;
    spawn("-part", Box::new(move || part(&stages(&(names, shared), number), &ran, &free)))
}

fn stages((names, shared): &(Arc<[String]>, Arc<Shared>), number: usize) -> Stages<'_> {
    Stages { names, shared, number }
}

fn join(
    number: usize,
    stages: &Stages<'_>,
    spare: &mpsc::Receiver<Buffers>,
    hand_over: &mpsc::SyncSender<(Assembled, Vec<Tensor>)>,
) {
    while let Ok(Buffers { inputs, outputs }) = spare.recv() {
        let Some(taken) = stages.shared.next_ahead(number) else { return };
        if hand_over.send((stages.assemble(taken, inputs), outputs)).is_err() {
            return;
        }
    }
}

fn run(
    mut instance: Box<dyn ModelInstance>,
    number: usize,
    stages: &Stages<'_>,
    (ready, answer): (&mpsc::Receiver<(Assembled, Vec<Tensor>)>, &mpsc::SyncSender<Ran>),
) {
    while let Ok((mut batch, mut outputs)) = ready.recv() {
        let turn = stages.shared.enter(number);
        let outcome = stages.run(instance.as_mut(), (&mut batch, turn.waited), &mut outputs);
        let (waited, size) = (turn.waited, batch.size);
        let ran = match outcome {
            Outcome::Ran(running, took) => Some((running, took)),
            Outcome::Failed(error) => {
                stages.recover(instance.as_mut(), (&batch, error), &mut outputs);
                None
            }
            Outcome::Abandoned => None,
        };
        drop(turn);
        stages.shared.finished(number, size, ran.as_ref().map(|(_, took)| (waited, *took)));
        stages.shared.wake();
        let _ = answer.send(Ran { batch, outputs, ran });
    }
}

fn part(stages: &Stages<'_>, ran: &mpsc::Receiver<Ran>, free: &mpsc::Sender<Buffers>) {
    while let Ok(Ran { batch, outputs, ran }) = ran.recv() {
        if let Some((running, took)) = &ran {
            stages.scatter(&batch, (running, *took), &outputs);
        }
        let _ = free.send(Buffers { inputs: batch.inputs, outputs });
    }
}
