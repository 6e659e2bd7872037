//! The jobs that wait, in the order in which they are run.

use std::{ops::Range, sync::Arc, time::Instant};

use crate::{
    batching::{
        callers::Callers,
        cost::CostTable,
        job::{Job, Key},
        lane::{Lane, LaneKey, Waiting},
        layout::Joins,
    },
    deadline::Deadline,
    ids::CallerName,
};

/// Some units of a job, as places in its order.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    pub(super) job: Arc<Job>,
    pub(super) units: Range<usize>,
}

/// How a job may be cut. Sizes are units times what each costs, which is its length where nothing else was measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    /// Smaller pieces waste the device on what each run costs whatever its size.
    pub(super) least: usize,
    /// Larger pieces are never run.
    pub(super) longest: usize,
}

impl Cut {
    /// Whether both pieces of so many units of a weight are large enough.
    fn pays(&self, left: usize, room: usize, weight: usize) -> bool {
        room > 0 && room * weight >= self.least && (left - room) * weight >= self.least
    }
}

/// What a batch may hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Take<'a> {
    /// The present.
    pub(super) now: Instant,
    /// Its size.
    pub(super) size: usize,
    /// How its jobs may be cut; none where they may not.
    pub(super) cut: Option<Cut>,
    /// Where so much waits, jobs are dropped that have no time for a whole batch: a small one for them would cost others their turn.
    pub(super) saturated: usize,
    /// What runs cost.
    pub(super) cost: &'a CostTable,
}

impl Take<'_> {
    /// How many of the units that are left of a job make a batch of their own.
    fn alone(&self, left: usize, weight: usize) -> usize {
        let room = (self.size / weight).max(1);
        match self.cut {
            _ if left <= room => left,
            Some(cut) if cut.pays(left, room, weight) => room,
            Some(cut) => left.min((cut.longest / weight).max(1)),
            None => left,
        }
    }
}

/// What was taken for one batch.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) pieces: Vec<Piece>,
    /// Jobs that cannot be in time any more; they are out of the queue.
    pub(super) missed: Vec<Arc<Job>>,
    pub(super) units: usize,
    /// The length that all units are padded to.
    pub(super) length: usize,
    /// What each of them costs.
    weight: usize,
    /// The first deadline of its jobs.
    due: Option<Deadline>,
    /// Whether it would have been larger, had that deadline left more time.
    pub(super) hurried: bool,
}

impl Batch {
    /// Its units times what each costs.
    pub(super) fn size(&self) -> usize {
        self.units * self.weight
    }

    /// How many units of a weight, of a job with that deadline, may still join; and whether more could, were there more time.
    fn room(&self, take: &Take<'_>, weight: usize, deadline: Deadline) -> (usize, bool) {
        let weight = self.weight.max(weight);
        let due = self.due.map_or(deadline, |due| due.min(deadline));
        let in_time = take.cost.size_within(due.remaining(take.now));
        ((take.size.min(in_time) / weight).saturating_sub(self.units), in_time < take.size)
    }

    fn push(&mut self, job: &Arc<Job>, units: Range<usize>, cost: &CostTable) {
        self.units += units.len();
        self.length = self.length.max(job.units.longest(&units));
        self.weight = cost.weight(self.length);
        self.due = Some(self.due.map_or(job.deadline, |due| due.min(job.deadline)));
        self.pieces.push(Piece { job: Arc::clone(job), units });
    }
}

/// The jobs that wait: one lane for each bucket of lengths, each in the order of keys. Nothing in it reads a clock.
#[derive(Debug)]
pub(super) struct Pending {
    joins: Joins,
    lanes: Vec<Lane>,
    callers: Callers,
    jobs: usize,
    units: usize,
    size: usize,
}

impl Pending {
    pub(super) fn new(joins: Joins) -> Self {
        let callers = Callers::default();
        Self { joins, lanes: Vec::new(), callers, jobs: 0, units: 0, size: 0 }
    }

    /// Jobs that wait, wholly or in part.
    pub(super) fn jobs(&self) -> usize {
        self.jobs
    }

    /// Units that wait.
    pub(super) fn units(&self) -> usize {
        self.units
    }

    /// Units times what each costs.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// What each caller has waiting.
    pub(super) fn callers(&self) -> &Callers {
        &self.callers
    }

    /// What waits before a job with that key, as a size; looks at every job before it.
    pub(super) fn size_before(&self, key: Key) -> usize {
        self.lanes.iter().map(|lane| lane.size_before(key)).sum()
    }

    /// What is to run first.
    pub(super) fn first(&self) -> Option<&Waiting> {
        self.lanes.get(self.first_lane()?)?.first()
    }

    fn first_lane(&self) -> Option<usize> {
        let keys = self.lanes.iter().enumerate();
        let keys = keys.filter_map(|(at, lane)| Some((lane.first()?.job.key, at)));
        keys.min().map(|(_, at)| at)
    }

    pub(super) fn insert(&mut self, job: &Arc<Job>) {
        self.jobs += 1;
        self.units += job.units.count();
        self.size += job.units.size();
        self.callers.add(&job.caller, job.units.size());
        for (at, stretch) in job.units.stretches().iter().enumerate() {
            let key = LaneKey::of(self.joins, job, stretch);
            let lane = match self.lanes.iter_mut().position(|lane| lane.key == key) {
                Some(found) => &mut self.lanes[found],
                None => {
                    self.lanes.retain(|lane| !lane.is_empty());
                    self.lanes.push(Lane::new(key));
                    let last = self.lanes.len() - 1;
                    &mut self.lanes[last]
                }
            };
            lane.insert(Arc::clone(job), at);
        }
    }

    /// Takes a job out, as much of it as waits.
    pub(super) fn remove(&mut self, job: &Job) {
        let removed: Vec<(usize, usize)> =
            self.lanes.iter_mut().filter_map(|lane| lane.remove(job.key)).collect();
        self.jobs -= usize::from(!removed.is_empty());
        removed.into_iter().for_each(|(units, size)| self.forget(&job.caller, units, size));
    }

    fn forget(&mut self, caller: &CallerName, units: usize, size: usize) {
        self.units -= units;
        self.size -= size;
        self.callers.take(caller, size);
    }

    /// The last job of the caller who waits for most, of which no part was taken yet; looks at every job.
    pub(super) fn most_dispensable(&self) -> Option<Arc<Job>> {
        let caller = self.callers.greediest()?;
        let whole = |job: &&Arc<Job>| {
            let waiting = self.lanes.iter().map(|lane| lane.left(job.key)).sum::<usize>();
            &job.caller == caller && waiting == job.units.count()
        };
        let jobs = self.lanes.iter().flat_map(Lane::iter).map(|waiting| &waiting.job);
        jobs.filter(whole).max_by_key(|job| job.key).cloned()
    }

    /// Takes what one batch may hold, the first ones first, from the lane of the first job; then from other lanes what makes one
    /// run of two where that is no slower.
    ///
    /// The last job is cut where that is allowed; one that is larger than the batch and may not be cut there is taken alone.
    pub(super) fn take(&mut self, take: &Take<'_>) -> Batch {
        let mut batch = Batch::default();
        while let (true, Some(lane)) = (batch.pieces.is_empty(), self.first_lane()) {
            self.fill(&mut batch, lane, take);
        }
        if self.joins == Joins::Padded {
            self.top_up(&mut batch, take);
        }
        self.lanes.retain(|lane| !lane.is_empty());
        batch
    }

    /// Takes from one lane; always something, if only what cannot be in time.
    fn fill(&mut self, batch: &mut Batch, lane: usize, take: &Take<'_>) {
        let one_job = self.joins == Joins::Alone;
        let least = if self.size >= take.saturated { take.size } else { 0 };
        let (mut taken, mut missed) = (Vec::new(), Vec::new());
        for waiting in self.lanes[lane].iter() {
            let (job, left, weight) = (&waiting.job, waiting.left(), waiting.weight());
            let alone = take.alone(left, weight);
            let ends = take.now + take.cost.predict((alone * weight).max(least));
            if !job.is_trial && job.deadline.at() < ends {
                missed.push(Arc::clone(job));
                continue;
            }
            let (room, hurried) = batch.room(take, weight, job.deadline);
            let count = match take.cut {
                _ if one_job && !batch.pieces.is_empty() => break,
                _ if left <= room => left,
                Some(cut) if cut.pays(left, room, weight) => room,
                _ if !batch.pieces.is_empty() => {
                    batch.hurried |= hurried;
                    break;
                }
                _ => alone,
            };
            batch.hurried |= hurried && count < left;
            batch.push(job, waiting.next..waiting.next + count, take.cost);
            taken.push((job.key, count));
        }
        for (key, count) in taken {
            if let Some((job, size)) = self.lanes[lane].advance(key, count) {
                self.forget(&job.caller, count, size);
                self.jobs -= usize::from(self.lanes.iter().all(|lane| lane.left(key) == 0));
            }
        }
        missed.iter().for_each(|job| self.remove(job));
        batch.missed.extend(missed);
    }

    /// Fills what is left of a batch from lanes of other lengths, the nearest first, where the run that this saves is worth the padding.
    fn top_up(&mut self, batch: &mut Batch, take: &Take<'_>) {
        let mut lanes: Vec<usize> = (0..self.lanes.len()).collect();
        lanes.sort_by_key(|&lane| self.lanes[lane].key.bucket.abs_diff(batch.length));
        for lane in lanes {
            let Some(own) = self.lanes[lane].first().map(Waiting::weight) else { continue };
            let weight = own.max(batch.weight);
            let room = (take.size / weight).saturating_sub(batch.units);
            let more = self.lanes[lane].units().min(room);
            let together = take.cost.predict((batch.units + more) * weight);
            let apart = take.cost.predict(batch.size()) + take.cost.predict(more * own);
            if more > 0 && together <= apart {
                self.fill(batch, lane, take);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::oneshot;

    use crate::{
        batching::{buckets::Buckets, cost::CostPoint, job::Work, units::Units},
        tensor::Tensor,
    };

    use super::*;

    const CUTS: Option<Cut> = Some(Cut { least: 1, longest: 100 });

    /// A job of so many rows of a length, due after so many ms.
    fn job(then: Instant, number: u64, (units, length): (usize, usize), due_ms: u64) -> Arc<Job> {
        let deadline = Deadline::after(then, Duration::from_millis(due_ms));
        let work = Work::new(vec![Tensor::floats(vec![units], vec![0.0; units])], deadline);
        let units = Units::alike(units, length, &Buckets::new(&[1, 8, 16]));
        let mut job = Job::new(work, units, then, oneshot::channel().0);
        job.key = Key::new(deadline.at(), number);
        Arc::new(job)
    }

    fn filled(jobs: &[Arc<Job>], joins: Joins) -> Pending {
        let mut pending = Pending::new(joins);
        jobs.iter().for_each(|job| pending.insert(job));
        pending
    }

    /// The units that each job has in the next batch, in its order; runs cost `us` and nothing by size, or nothing at all.
    fn taken(
        pending: &mut Pending,
        now: Instant,
        (size, cut): (usize, Option<Cut>),
    ) -> Vec<(u64, Range<usize>)> {
        let batch = pending.take(&Take {
            now,
            size,
            cut,
            saturated: usize::MAX,
            cost: &CostTable::default(),
        });
        batch.pieces.into_iter().map(|piece| (piece.job.key.number(), piece.units)).collect()
    }

    #[test]
    fn the_earliest_deadline_is_run_first_and_a_large_job_is_cut() {
        let then = Instant::now();
        let jobs = [(5, 90), (2, 30), (4, 60)];
        let jobs: Vec<_> =
            (1..).zip(jobs).map(|(n, (units, due))| job(then, n, (units, 1), due)).collect();
        let mut pending = filled(&jobs, Joins::Padded);
        assert_eq!(pending.size_before(jobs[0].key), 6);
        assert_eq!(taken(&mut pending, then, (4, CUTS)), [(2, 0..2), (3, 0..2)]);
        assert_eq!(taken(&mut pending, then, (4, CUTS)), [(3, 2..4), (1, 0..2)]);
        assert_eq!(taken(&mut pending, then, (4, CUTS)), [(1, 2..5)]);
        assert_eq!((pending.jobs(), pending.units(), pending.size()), (0, 0, 0));
    }

    #[test]
    fn a_job_is_not_cut_into_pieces_that_are_too_small() {
        let then = Instant::now();
        let cut = Some(Cut { least: 4, longest: 10 });
        let sizes = |left: usize, most: usize| -> Vec<usize> {
            let mut pending = filled(&[job(then, 1, (left, 1), 90)], Joins::Padded);
            let mut sizes = Vec::new();
            while pending.jobs() > 0 {
                sizes.push(taken(&mut pending, then, (most, cut))[0].1.len());
            }
            sizes
        };
        assert_eq!(sizes(6, 3), [6], "cutting it does not pay");
        assert_eq!(sizes(9, 5), [5, 4]);
        assert_eq!(sizes(25, 3), [10, 10, 5], "no piece is larger than what a device gains from");
    }

    #[test]
    fn what_may_not_be_cut_is_run_whole() {
        let then = Instant::now();
        let mut pending =
            filled(&[job(then, 1, (9, 1), 90), job(then, 2, (3, 1), 95)], Joins::Padded);
        assert_eq!(taken(&mut pending, then, (4, None)), [(1, 0..9)]);
        assert_eq!(taken(&mut pending, then, (4, None)), [(2, 0..3)]);
    }

    #[test]
    fn jobs_that_share_no_batch_are_run_alone() {
        let then = Instant::now();
        let jobs = [job(then, 1, (1, 1), 90), job(then, 2, (1, 1), 95)];
        let mut pending = filled(&jobs, Joins::Alone);
        assert_eq!(taken(&mut pending, then, (4, CUTS)), [(1, 0..1)]);
        assert_eq!(taken(&mut pending, then, (4, CUTS)), [(2, 0..1)]);
    }

    #[test]
    fn lengths_share_a_batch_where_the_run_saved_is_worth_the_padding() {
        let then = Instant::now();
        let jobs = || [job(then, 1, (2, 8), 90), job(then, 2, (2, 16), 95)];
        let numbers = |points: [(usize, f64); 2]| -> Vec<u64> {
            let points = points.map(|(size, run_us)| CostPoint { size, run_us });
            let cost = CostTable::new(points.into());
            let mut pending = filled(&jobs(), Joins::Padded);
            let batch = pending.take(&Take {
                now: then,
                size: 640,
                cut: CUTS,
                saturated: usize::MAX,
                cost: &cost,
            });
            batch.pieces.iter().map(|piece| piece.job.key.number()).collect()
        };
        assert_eq!(numbers([(8, 100.0), (640, 110.0)]), [1, 2], "a run costs more than padding");
        assert_eq!(numbers([(8, 8.0), (640, 640.0)]), [1], "padding costs more than a run");
    }

    #[test]
    fn a_batch_is_no_larger_than_its_first_deadline_allows() {
        let then = Instant::now();
        let points = [(1, 1e3), (100, 100e3)].map(|(size, run_us)| CostPoint { size, run_us });
        let cost = CostTable::new(points.into());
        let jobs = [job(then, 1, (3, 1), 10), job(then, 2, (20, 1), 90), job(then, 3, (2, 1), 1)];
        let mut pending = filled(&jobs, Joins::Padded);
        let batch = pending.take(&Take {
            now: then,
            size: 50,
            cut: CUTS,
            saturated: usize::MAX,
            cost: &cost,
        });
        assert_eq!((batch.size(), batch.hurried), (10, true), "10 ms are left for the first");
        assert_eq!(batch.missed.len(), 1, "two rows need 2 ms, and 1 ms is left");
        assert_eq!((pending.jobs(), pending.units()), (1, 13));
    }

    #[test]
    fn who_leaves_takes_all_along() {
        let then = Instant::now();
        let jobs = [job(then, 1, (2, 8), 90), job(then, 2, (3, 16), 95)];
        let mut pending = filled(&jobs, Joins::Padded);
        assert!(pending.most_dispensable().is_some_and(|job| job.key.number() == 2));
        pending.remove(&jobs[1]);
        pending.remove(&jobs[1]);
        assert_eq!((pending.jobs(), pending.units(), pending.size()), (1, 2, 16));
        assert_eq!(taken(&mut pending, then, (64, CUTS)), [(1, 0..2)]);
    }
}
