//! When a batch is closed, and how large it is: a pure rule.

use std::time::{Duration, Instant};

/// Bounds of a model's batches. Sizes are units times the length that they are padded to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BatchBounds {
    /// A batch of that size is good enough: larger ones hardly use the device better.
    pub(super) preferred: usize,
    /// How long an idle instance waits for company: a part of what a run costs whatever its size.
    pub(super) linger: Duration,
    /// How long a job waits for company at most, once an instance is free.
    pub(super) max_queue_delay: Duration,
    /// How long before the instance is free a batch is closed, so that its tensors are joined by then.
    pub(super) lead: Duration,
}

/// What the rule looks at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Situation {
    /// The present.
    pub(super) now: Instant,
    /// The size of all that waits.
    pub(super) waiting: usize,
    /// The size of all that runs.
    pub(super) running: usize,
    /// The model's instances.
    pub(super) instances: usize,
    /// Since when this instance is free, or when it will be.
    pub(super) free_at: Instant,
    /// When the first waiting job came.
    pub(super) came: Instant,
    /// When the first waiting job has to start to be in time.
    pub(super) latest_start: Instant,
    /// The expected time until the next job comes; none where nothing is known.
    pub(super) next_arrival: Option<Duration>,
}

/// Why a batch was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// It holds as much as the device gains from.
    Full,
    /// It holds this instance's share of all that waits and runs.
    Share,
    /// Its first job may wait no longer for its deadline.
    Slack,
    /// Nobody came while waiting still paid.
    NoCompany,
    /// Its first job waited for `max_queue_delay`.
    Delay,
}

impl Closed {
    /// A word for machines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "FULL",
            Self::Share => "SHARE",
            Self::Slack => "SLACK",
            Self::NoCompany => "NO_COMPANY",
            Self::Delay => "DELAY",
        }
    }
}

/// What an instance does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// Sleeps until something comes.
    Sleep,
    /// Waits for company until then, or until something comes.
    Wait(Instant),
    /// Runs a batch of that size.
    Run(usize, Closed),
}

/// Says what an instance does next.
///
/// An instance takes its share of all that waits and runs, so that no other idles behind it (no convoy), and never more
/// than what the device gains from. It waits for company only while less than its share waits and somebody is expected
/// while waiting still pays: a lone job finds its share complete and runs at once.
pub(super) fn decide(at: &Situation, bounds: &BatchBounds) -> Decision {
    if at.waiting == 0 {
        return Decision::Sleep;
    }
    let preferred = bounds.preferred.max(1);
    let share = (at.waiting + at.running).div_ceil(at.instances.max(1)).min(preferred);
    if at.waiting >= preferred {
        return Decision::Run(share, if share == preferred { Closed::Full } else { Closed::Share });
    }
    let busy_until = at.free_at.checked_sub(bounds.lead).unwrap_or(at.free_at);
    if at.now < busy_until {
        return Decision::Wait(busy_until);
    }
    if at.waiting >= share {
        return Decision::Run(share, Closed::Share);
    }
    let all = |why| Decision::Run(at.waiting, why);
    // Waiting for a busy instance is no waiting for company: who has waited for one is joined by those that its last run set free.
    let begun = at.free_at.max(at.came);
    let latest = begun + bounds.max_queue_delay;
    let linger = begun + bounds.linger;
    match at.now {
        now if now >= at.latest_start => all(Closed::Slack),
        now if now >= latest => all(Closed::Delay),
        now if now >= linger => all(Closed::NoCompany),
        now if at.next_arrival.is_some_and(|gap| now + gap > linger) => all(Closed::NoCompany),
        _ => Decision::Wait(linger.min(latest).min(at.latest_start)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: BatchBounds = BatchBounds {
        preferred: 8,
        linger: Duration::from_micros(200),
        max_queue_delay: Duration::from_millis(2),
        lead: Duration::from_micros(50),
    };

    /// A situation on two instances, some microseconds after this one became idle and the first job came.
    fn after(us: u64, waiting: usize, running: usize) -> (Situation, Instant) {
        let then = Instant::now();
        let situation = Situation {
            now: then + Duration::from_micros(us),
            waiting,
            running,
            instances: 2,
            free_at: then,
            came: then,
            latest_start: then + Duration::from_secs(1),
            next_arrival: Some(Duration::from_micros(20)),
        };
        (situation, then)
    }

    #[track_caller]
    fn check(us: u64, waiting: usize, running: usize, want: Decision) {
        assert_eq!(decide(&after(us, waiting, running).0, &BOUNDS), want);
    }

    #[test]
    fn a_lone_job_never_waits() {
        check(0, 0, 0, Decision::Sleep);
        check(0, 1, 0, Decision::Run(1, Closed::Share));
        check(0, 1, 1, Decision::Run(1, Closed::Share));
    }

    #[test]
    fn waiting_jobs_are_spread_over_the_instances() {
        check(0, 8, 0, Decision::Run(4, Closed::Share));
        check(0, 4, 4, Decision::Run(4, Closed::Share));
        check(0, 5, 0, Decision::Run(3, Closed::Share));
        check(0, 64, 0, Decision::Run(8, Closed::Full));
        check(0, 9, 100, Decision::Run(8, Closed::Full));
    }

    #[test]
    fn less_than_a_share_waits_for_company_as_long_as_it_pays() {
        let (situation, then) = after(10, 2, 6);
        let until = then + Duration::from_micros(200);
        assert_eq!(decide(&situation, &BOUNDS), Decision::Wait(until));
        check(200, 2, 6, Decision::Run(2, Closed::NoCompany));
        check(5000, 2, 6, Decision::Run(2, Closed::Delay));
    }

    #[test]
    fn an_instance_that_was_busy_waits_from_when_it_is_idle() {
        let (mut situation, then) = after(9500, 2, 6);
        situation.free_at = then + Duration::from_micros(9400);
        let until = then + Duration::from_micros(9600);
        assert_eq!(decide(&situation, &BOUNDS), Decision::Wait(until));
    }

    #[test]
    fn nobody_waits_for_company_that_is_not_coming() {
        let (mut situation, _) = after(10, 2, 6);
        situation.next_arrival = Some(Duration::from_micros(191));
        assert_eq!(decide(&situation, &BOUNDS), Decision::Run(2, Closed::NoCompany));
        situation.next_arrival = None;
        assert!(matches!(decide(&situation, &BOUNDS), Decision::Wait(_)));
    }

    #[test]
    fn a_batch_for_a_busy_instance_is_closed_when_full_or_when_it_is_about_to_be_free() {
        let (mut situation, then) = after(100, 7, 1);
        situation.free_at = then + Duration::from_micros(400);
        let until = then + Duration::from_micros(350);
        assert_eq!(decide(&situation, &BOUNDS), Decision::Wait(until));
        situation.now = until;
        assert_eq!(decide(&situation, &BOUNDS), Decision::Run(4, Closed::Share));
        let (mut full, then) = after(100, 16, 8);
        full.free_at = then + Duration::from_micros(400);
        assert_eq!(decide(&full, &BOUNDS), Decision::Run(8, Closed::Full));
    }

    #[test]
    fn a_deadline_ends_the_wait() {
        let (mut situation, then) = after(100, 2, 6);
        situation.latest_start = then + Duration::from_micros(100);
        assert_eq!(decide(&situation, &BOUNDS), Decision::Run(2, Closed::Slack));
        situation.latest_start = then + Duration::from_micros(150);
        assert_eq!(decide(&situation, &BOUNDS), Decision::Wait(situation.latest_start));
    }
}
