//! The jobs that wait, in the order in which they are run.

use std::{collections::BTreeMap, ops::Range, sync::Arc, time::Instant};

use crate::batching::{
    job::{Job, Key},
    layout::Joins,
};

/// Some units of a job.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) job: Arc<Job>,
    pub(super) units: Range<usize>,
}

#[derive(Debug)]
struct Waiting {
    job: Arc<Job>,
    /// The first unit that no batch took yet.
    next: usize,
}

impl Waiting {
    fn left(&self) -> usize {
        self.job.units - self.next
    }
}

/// How a job may be cut.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    /// Smaller pieces waste the device on what each run costs whatever its size.
    pub(super) least: usize,
    /// Larger pieces are never run.
    pub(super) longest: usize,
}

impl Cut {
    /// Whether both pieces are large enough.
    fn pays(&self, left: usize, room: usize) -> bool {
        room >= self.least && left - room >= self.least
    }
}

/// The jobs that wait, in the order in which they are run; nothing in it reads a clock.
#[derive(Debug)]
pub(super) struct Pending {
    joins: Joins,
    waiting: BTreeMap<Key, Waiting>,
    units: usize,
    size: usize,
}

impl Pending {
    pub(super) fn new(joins: Joins) -> Self {
        Self { joins, waiting: BTreeMap::new(), units: 0, size: 0 }
    }

    /// Jobs that wait.
    pub(super) fn jobs(&self) -> usize {
        self.waiting.len()
    }

    /// Units that wait.
    pub(super) fn units(&self) -> usize {
        self.units
    }

    /// Units times the lengths that they are padded to.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// What waits before a job with that key, as a size; looks at every job before it.
    pub(super) fn size_before(&self, key: Key) -> usize {
        self.waiting.range(..key).map(|(_, waiting)| waiting.left() * waiting.job.length).sum()
    }

    /// The job that is to run first.
    pub(super) fn first(&self) -> Option<&Arc<Job>> {
        self.waiting.first_key_value().map(|(_, waiting)| &waiting.job)
    }

    pub(super) fn insert(&mut self, job: Arc<Job>) {
        self.units += job.units;
        self.size += job.units * job.length;
        self.waiting.insert(job.key, Waiting { job, next: 0 });
    }

    /// Takes a job out; says whether it still waited.
    pub(super) fn remove(&mut self, key: Key) -> bool {
        let removed = self.waiting.remove(&key);
        if let Some(waiting) = &removed {
            self.forget(waiting.left(), waiting.job.length);
        }
        removed.is_some()
    }

    fn forget(&mut self, units: usize, length: usize) {
        self.units -= units;
        self.size -= units * length;
    }

    /// How many units could share a batch with the first job, counted up to `most`.
    pub(super) fn joinable(&self, most: usize) -> usize {
        let Some(first) = self.first() else { return 0 };
        let mut units = 0;
        for waiting in self.waiting.values() {
            if self.joins_with(first, &waiting.job) {
                units += waiting.left();
            }
            if units >= most {
                return most;
            }
        }
        units
    }

    /// Whether two jobs may share a batch: never, with the same shapes, or with lengths of one power of two.
    fn joins_with(&self, first: &Arc<Job>, other: &Arc<Job>) -> bool {
        if Arc::ptr_eq(first, other) {
            return true;
        }
        match self.joins {
            Joins::Alone => false,
            Joins::Padded => first.length.next_power_of_two() == other.length.next_power_of_two(),
            Joins::SameShape => first
                .inputs
                .iter()
                .zip(&other.inputs)
                .all(|(a, b)| a.shape.get(1..) == b.shape.get(1..)),
        }
    }

    /// Takes up to `most` units that may share a batch, the first ones first.
    ///
    /// The last job is cut where `cut` allows it; one that is larger than `most` and may not be cut there is taken alone. Jobs that
    /// `late` says cannot be in time any more are taken out and returned.
    pub(super) fn take(
        &mut self,
        most: usize,
        cut: Option<Cut>,
        late: impl Fn(&Job) -> bool,
    ) -> (Vec<Piece>, Vec<Arc<Job>>) {
        let (mut pieces, mut missed): (Vec<Piece>, Vec<(Arc<Job>, usize)>) = Default::default();
        let mut room = most.max(1);
        let mut done = Vec::new();
        for (key, waiting) in &self.waiting {
            if late(&waiting.job) {
                missed.push((Arc::clone(&waiting.job), waiting.left()));
                done.push(*key);
                continue;
            }
            if pieces.first().is_some_and(|first| !self.joins_with(&first.job, &waiting.job)) {
                continue;
            }
            let count = match cut {
                _ if waiting.left() <= room => waiting.left(),
                Some(cut) if cut.pays(waiting.left(), room) => room,
                _ if !pieces.is_empty() => break,
                Some(cut) => waiting.left().min(cut.longest),
                None => waiting.left(),
            };
            let units = waiting.next..waiting.next + count;
            pieces.push(Piece { job: Arc::clone(&waiting.job), units });
            if count == waiting.left() {
                done.push(*key);
            }
            room = room.saturating_sub(count);
            if room == 0 {
                break;
            }
        }
        for (job, left) in &missed {
            self.forget(*left, job.length);
        }
        for piece in &pieces {
            self.forget(piece.units.len(), piece.job.length);
            if let Some(waiting) = self.waiting.get_mut(&piece.job.key) {
                waiting.next = piece.units.end;
            }
        }
        for key in done {
            self.waiting.remove(&key);
        }
        (pieces, missed.into_iter().map(|(job, _)| job).collect())
    }

    /// When the first job came, and when it has to be answered.
    pub(super) fn first_times(&self) -> Option<(Instant, Instant)> {
        self.first().map(|job| (job.came, job.deadline.at()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use tokio::sync::oneshot;

    use crate::{
        batching::job::{Priority, Work},
        deadline::Deadline,
        tensor::Tensor,
    };

    use super::*;

    fn job(then: Instant, number: u64, units: usize, (due_ms, priority): (u64, u8)) -> Arc<Job> {
        let work = Work {
            inputs: vec![Tensor::floats(vec![units], vec![0.0; units])],
            deadline: Deadline::after(then, Duration::from_millis(due_ms)),
            priority: Priority(priority),
        };
        Arc::new(Job::new(work, number, then, (units, 1), oneshot::channel().0))
    }

    fn filled(jobs: &[Arc<Job>], joins: Joins) -> Pending {
        let mut pending = Pending::new(joins);
        jobs.iter().for_each(|job| pending.insert(Arc::clone(job)));
        pending
    }

    fn in_time(_: &Job) -> bool {
        false
    }

    /// The units that each job has in the next batch, in its order.
    fn taken(pending: &mut Pending, most: usize, cuts: bool) -> Vec<(u64, Range<usize>)> {
        let cut = cuts.then_some(Cut { least: 1, longest: most });
        let (pieces, _) = pending.take(most, cut, in_time);
        pieces.into_iter().map(|piece| (piece.job.key.number(), piece.units)).collect()
    }

    #[test]
    fn the_earliest_deadline_is_run_first_and_a_large_job_is_cut() {
        let then = Instant::now();
        let jobs = [job(then, 1, 5, (90, 1)), job(then, 2, 2, (30, 1)), job(then, 3, 4, (60, 1))];
        let mut pending = filled(&jobs, Joins::Padded);
        assert_eq!(taken(&mut pending, 4, true), [(2, 0..2), (3, 0..2)]);
        assert_eq!(taken(&mut pending, 4, true), [(3, 2..4), (1, 0..2)]);
        assert_eq!(taken(&mut pending, 4, true), [(1, 2..5)]);
        assert_eq!((pending.jobs(), pending.units(), pending.size()), (0, 0, 0));
    }

    #[test]
    fn a_job_is_not_cut_into_pieces_that_are_too_small() {
        let then = Instant::now();
        let cut = Some(Cut { least: 4, longest: 10 });
        let sizes = |left: usize, most: usize| -> Vec<usize> {
            let mut pending = filled(&[job(then, 1, left, (90, 1))], Joins::Padded);
            let mut sizes = Vec::new();
            while pending.jobs() > 0 {
                sizes.push(pending.take(most, cut, in_time).0[0].units.len());
            }
            sizes
        };
        assert_eq!(sizes(6, 3), [6], "cutting it does not pay");
        assert_eq!(sizes(8, 4), [4, 4]);
        assert_eq!(sizes(23, 3), [10, 10, 3], "it is longer than a batch may be");
    }

    #[test]
    fn a_level_below_waits_a_second_longer_and_no_more() {
        let then = Instant::now();
        let jobs =
            [job(then, 1, 1, (100, 2)), job(then, 2, 1, (1050, 1)), job(then, 3, 1, (1200, 1))];
        let mut pending = filled(&jobs, Joins::Alone);
        let order: Vec<u64> = (0..3).map(|_| taken(&mut pending, 9, true)[0].0).collect();
        assert_eq!(order, [2, 1, 3]);
    }

    #[test]
    fn what_may_not_share_a_batch_does_not() {
        let then = Instant::now();
        let jobs = [job(then, 1, 2, (10, 1)), job(then, 2, 3, (20, 1)), job(then, 3, 2, (30, 1))];
        assert_eq!(taken(&mut filled(&jobs, Joins::Alone), 9, true), [(1, 0..2)]);
        let whole = taken(&mut filled(&jobs, Joins::Padded), 4, false);
        assert_eq!(whole, [(1, 0..2)], "an uncut job waits until there is room for all of it");
    }

    #[test]
    fn what_is_late_or_left_is_taken_out() {
        let then = Instant::now();
        let jobs = [job(then, 1, 2, (10, 1)), job(then, 2, 3, (20, 1)), job(then, 3, 2, (30, 1))];
        let mut pending = filled(&jobs, Joins::Padded);
        assert!(pending.remove(jobs[2].key) && !pending.remove(jobs[2].key));
        let late = |job: &Job| job.deadline.expired(then + Duration::from_millis(15));
        let (pieces, missed) = pending.take(9, None, late);
        assert_eq!((pieces.len(), missed.len(), missed[0].key.number()), (1, 1, 1));
        assert_eq!((pending.jobs(), pending.units()), (0, 0));
    }

    proptest! {
        /// Each unit of each job that stays is taken once, in its job's order; none of one that left after that.
        #[test]
        fn no_unit_is_lost_or_doubled(
            arrivals in prop::collection::vec((1usize..40, 0u64..2000, 1u8..4, prop::bool::ANY), 1..40),
            sizes in prop::collection::vec(1usize..30, 1..8),
            cuts in prop::bool::ANY,
        ) {
            let then = Instant::now();
            let mut pending = Pending::new(Joins::Padded);
            let mut seen: BTreeMap<u64, usize> = BTreeMap::new();
            let mut sizes = sizes.into_iter().cycle();
            let mut jobs = Vec::new();
            let mut note = |batch: Vec<(u64, Range<usize>)>| {
                for (number, units) in batch {
                    let next = seen.entry(number).or_default();
                    prop_assert_eq!(*next, units.start, "job {}", number);
                    *next = units.end;
                }
                Ok(())
            };
            for (number, (units, due, priority, leaves)) in arrivals.into_iter().enumerate() {
                let job = job(then, number as u64, units, (due, priority));
                pending.insert(Arc::clone(&job));
                note(taken(&mut pending, sizes.next().unwrap_or(1), cuts))?;
                let left = leaves && pending.remove(job.key);
                jobs.push((job, left));
            }
            while pending.jobs() > 0 {
                note(taken(&mut pending, sizes.next().unwrap_or(1), cuts))?;
            }
            prop_assert_eq!((pending.units(), pending.size()), (0, 0));
            for (job, left) in jobs {
                let done = seen.get(&job.key.number()).copied().unwrap_or(0);
                prop_assert_eq!(done < job.units, left);
            }
        }
    }
}
