//! The jobs that wait with units of one bucket of lengths.

use std::{collections::BTreeMap, sync::Arc};

use crate::batching::{
    job::{Job, Key},
    layout::Joins,
    units::Stretch,
};

/// What units have in common that may share a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LaneKey {
    /// The bound of their lengths.
    pub(super) bucket: usize,
    /// Their tensors' dims after the first, where a batch has to be of one shape.
    shapes: Vec<Vec<usize>>,
}

impl LaneKey {
    pub(super) fn of(joins: Joins, job: &Job, stretch: &Stretch) -> Self {
        let tail = |shape: &Vec<usize>| shape.get(1..).unwrap_or_default().to_vec();
        let shapes = match joins {
            Joins::SameShape => job.inputs.iter().map(|tensor| tail(&tensor.shape)).collect(),
            Joins::Padded | Joins::Alone => Vec::new(),
        };
        Self { bucket: stretch.bucket, shapes }
    }
}

/// A stretch of a job that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) job: Arc<Job>,
    stretch: usize,
    /// The first unit that no batch took yet, as a place in the job's order.
    pub(super) next: usize,
}

impl Waiting {
    fn stretch(&self) -> &Stretch {
        &self.job.units.stretches()[self.stretch]
    }

    /// Units that no batch took yet.
    pub(super) fn left(&self) -> usize {
        self.stretch().units.end - self.next
    }

    /// What each of them costs.
    pub(super) fn weight(&self) -> usize {
        self.stretch().weight
    }

    fn size(&self) -> usize {
        self.left() * self.weight()
    }
}

/// The jobs that wait with units of one bucket, in the order in which they are run.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) key: LaneKey,
    waiting: BTreeMap<Key, Waiting>,
    units: usize,
}

impl Lane {
    pub(super) fn new(key: LaneKey) -> Self {
        Self { key, waiting: BTreeMap::new(), units: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Units that wait here.
    pub(super) fn units(&self) -> usize {
        self.units
    }

    /// What is to run first.
    pub(super) fn first(&self) -> Option<&Waiting> {
        self.waiting.first_key_value().map(|(_, waiting)| waiting)
    }

    /// What waits, in the order in which it is to run.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Waiting> {
        self.waiting.values()
    }

    /// How many units of that job wait here.
    pub(super) fn left(&self, key: Key) -> usize {
        self.waiting.get(&key).map_or(0, Waiting::left)
    }

    /// What waits here before a job with that key, as a size.
    pub(super) fn size_before(&self, key: Key) -> usize {
        self.waiting.range(..key).map(|(_, waiting)| waiting.size()).sum()
    }

    /// Lets the stretch of that number of a job wait here.
    pub(super) fn insert(&mut self, job: Arc<Job>, stretch: usize) {
        let units = &job.units.stretches()[stretch].units;
        let next = units.start;
        self.units += units.len();
        self.waiting.insert(job.key, Waiting { job, stretch, next });
    }

    /// Takes a job out; returns the units that still waited here, and their size.
    pub(super) fn remove(&mut self, key: Key) -> Option<(usize, usize)> {
        let waiting = self.waiting.remove(&key)?;
        self.units -= waiting.left();
        Some((waiting.left(), waiting.size()))
    }

    /// Takes the first so many units of a job; returns the job and their size.
    pub(super) fn advance(&mut self, key: Key, count: usize) -> Option<(Arc<Job>, usize)> {
        let waiting = self.waiting.get_mut(&key)?;
        let (job, weight) = (Arc::clone(&waiting.job), waiting.weight());
        waiting.next += count;
        let gone = waiting.left() == 0;
        self.units -= count;
        if gone {
            self.waiting.remove(&key);
        }
        Some((job, count * weight))
    }
}
