//! Says what a request's time went to: the one cause that weighs most, out of what was noted on its way.

use std::time::{Duration, Instant};

use crate::{
    batching::{BatchNote, Closed, Trip},
    observing::finished::{Finished, Outcome},
    ranking::{Notes, Step, UserNotes},
    telemetry::TraceContext,
};

/// A cause counts from this share of the whole time on; below it nothing stands out.
const STANDS_OUT: f64 = 0.3;

/// A run is slow from so many times what was expected of it on.
const SLOW: f64 = 2.0;

/// Neighbours are long from so many times a request's own length on.
const LONG: usize = 2;

/// The cause of most of a request's time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Why {
    /// The cause, for machines, such as `USER_STORE`; `NONE` where nothing stands out.
    pub reason: &'static str,
    /// The same for people, with the figures.
    pub text: String,
}

impl Why {
    fn new(reason: &'static str, text: impl Into<String>) -> Self {
        Self { reason, text: text.into() }
    }
}

/// Names the cause that weighs most; what was cut off counts until the request's end.
pub fn why(finished: &Finished) -> Why {
    if let Outcome::Failed { reason, .. } = &finished.outcome {
        match *reason {
            "QUEUE_FULL" => return Why::new("QUEUE_FULL", "the model's queue was full"),
            "DEADLINE_TOO_SHORT" => {
                return Why::new("QUEUE_FULL", "too much waited for the model to be in time");
            }
            _ => {}
        }
    }
    let total = finished.ended.saturating_duration_since(finished.arrival);
    let causes = causes(finished);
    let dominant = causes.into_iter().max_by_key(|(weight, _)| *weight);
    match dominant {
        Some((weight, why)) if weight.as_secs_f64() >= total.as_secs_f64() * STANDS_OUT => why,
        _ => nothing(finished, total),
    }
}

type Cause = (Duration, Why);

/// All causes, each with the time that it cost.
fn causes(finished: &Finished) -> Vec<Cause> {
    let (notes, ended) = (&finished.notes, finished.ended);
    let mut all = vec![receiving(finished), store(&notes.user, ended), encoder(notes, ended)];
    let features = length(&notes.features, ended);
    let text = format!("building the inputs of {} took {}", candidates(notes), ms(features));
    all.push((features, Why::new("FEATURES", text)));
    let select = length(&notes.select, ended);
    let text = format!("sorting {} took {}", candidates(notes), ms(select));
    all.push((select, Why::new("SELECT", text)));
    all.extend(waits(&notes.trip, ended));
    all.extend(runs(notes));
    all.extend(waking(notes, ended));
    all.retain(|(weight, _)| !weight.is_zero());
    all
}

fn receiving(finished: &Finished) -> Cause {
    let begun = finished.validate.begun.unwrap_or(finished.ended);
    let took = begun.saturating_duration_since(finished.arrival);
    let text = format!("it took {} until the whole request had been received", ms(took));
    (took, Why::new("RECEIVING", text))
}

fn store(user: &UserNotes, ended: Instant) -> Cause {
    let took = length(&user.read, ended);
    let text = format!("reading the user store took {}", ms(took));
    (took, Why::new("USER_STORE", text))
}

fn encoder(notes: &Notes, ended: Instant) -> Cause {
    let user = &notes.user;
    let took = length(&user.encode, ended);
    let detail = match (&user.joined, user.trip.notes.first()) {
        (Some(other), _) => format!("of a run that trace {:032x} had begun", other.trace_id),
        (None, Some(note)) if note.is_cold => format!(
            "the first batch of its shape ran {}, {} was expected",
            ms(note.ran()),
            ms(note.expected)
        ),
        (None, Some(note)) => {
            format!("{} in its queue, {} in its run", ms(user.trip.queued), ms(note.ran()))
        }
        (None, None) => "no run of it began here".to_owned(),
    };
    (took, Why::new("ENCODER", format!("waiting for the user encoder took {}: {detail}", ms(took))))
}

/// What the wait for the first batch was for: its turn on the device, or the batches before it.
fn waits(trip: &Trip, ended: Instant) -> Vec<Cause> {
    let Some(came) = trip.came else { return Vec::new() };
    let Some(first) = trip.notes.first() else {
        let queued = ended.saturating_duration_since(came);
        let text = format!("it waited {} in the model's queue, and no batch took it", ms(queued));
        return vec![(queued, Why::new("QUEUE", text))];
    };
    let device = first.waited.min(trip.queued);
    let queued = trip.queued.saturating_sub(device);
    let text = format!("its batch waited {} until other models left the device free", ms(device));
    let device = (device, Why::new("DEVICE_BUSY", text));
    let company = match first.facts.closed {
        Closed::Delay | Closed::NoCompany => ", the last of it for company",
        _ => "",
    };
    let ahead = match trip.ahead {
        0 => String::new(),
        1 => ", in which one batch ran".to_owned(),
        many => format!(", in which {many} batches ran"),
    };
    let text = format!("it waited {} in the model's queue{ahead}{company}", ms(queued));
    vec![device, (queued, Why::new("QUEUE", text))]
}

/// What passed between the end of its last run and the sorting of its answer.
fn waking(notes: &Notes, ended: Instant) -> Option<Cause> {
    let over = notes.trip.notes.iter().filter_map(|note| Some(note.end()?.0)).max()?;
    let until = notes.select.begun.unwrap_or(ended);
    let took = until.saturating_duration_since(over);
    let text = format!(
        "it took {} until its answer was sorted after its run: the processors were busy with other work",
        ms(took)
    );
    Some((took, Why::new("SCHEDULING", text)))
}

/// Why its runs took long, where they did for a reason of their own.
fn runs(notes: &Notes) -> Vec<Cause> {
    let trip = &notes.trip;
    let mut all: Vec<Cause> = trip.notes.iter().filter_map(|note| slow_run(note)).collect();
    let neighbours = trip.notes.iter().filter_map(|note| long_neighbour(note, &notes.trace));
    all.extend(neighbours);
    if trip.batches > 1 {
        let took = all_runs(trip);
        let text = format!(
            "its {} were cut over {} batches, which took {}",
            candidates(notes),
            trip.batches,
            ms(took)
        );
        // What one batch would have taken anyway has other causes.
        let longest = trip.notes.iter().map(|note| note.ran()).max().unwrap_or_default();
        all.push((took.saturating_sub(longest), Why::new("LARGE", text)));
    }
    all
}

/// A run that took far longer than expected weighs what it took beyond that.
fn slow_run(note: &BatchNote) -> Option<Cause> {
    let (ran, expected) = (note.ran(), note.expected);
    let is_slow = ran.as_secs_f64() > expected.as_secs_f64() * SLOW;
    let known = !expected.is_zero();
    let beyond = ran.saturating_sub(expected);
    let cold = || {
        format!(
            "instance {} of {} ran its first batch of length {}: {}, {} was expected",
            note.instance,
            note.model,
            note.length,
            ms(ran),
            ms(expected)
        )
    };
    let slow = || {
        let times = ran.as_secs_f64() / expected.as_secs_f64();
        format!(
            "a run of {} took {}, {times:.1} times the {} that were expected",
            note.model,
            ms(ran),
            ms(expected)
        )
    };
    match (note.is_cold, is_slow) {
        (true, true) => Some((beyond, Why::new("COLD_BUCKET", cold()))),
        (false, true) if known => Some((beyond, Why::new("SLOW_RUN", slow()))),
        _ => None,
    }
}

/// A batch that was padded far beyond the request's own length weighs what the padding cost.
fn long_neighbour(note: &BatchNote, trace: &TraceContext) -> Option<Cause> {
    let own = note.members.iter().find(|member| {
        member.trace.span_id == trace.span_id && member.trace.trace_id == trace.trace_id
    })?;
    if note.length < own.length.max(1) * LONG {
        return None;
    }
    let share = 1.0 - own.length as f64 / note.length as f64;
    let text = format!(
        "its rows of length {} shared a batch that was padded to {} and ran {}",
        own.length,
        note.length,
        ms(note.ran())
    );
    Some((note.ran().mul_f64(share), Why::new("LONG_NEIGHBOUR", text)))
}

/// From the start of the first run to the end of the last one.
fn all_runs(trip: &Trip) -> Duration {
    let begun = trip.notes.iter().map(|note| note.begun).min();
    let ended = trip.notes.iter().map(|note| note.begun + note.ran()).max();
    match (begun, ended) {
        (Some(begun), Some(ended)) => ended.saturating_duration_since(begun),
        _ => Duration::ZERO,
    }
}

fn nothing(finished: &Finished, total: Duration) -> Why {
    let ran = all_runs(&finished.notes.trip);
    let text = match ran.is_zero() {
        true => format!("nothing stands out of {}", ms(total)),
        false => {
            format!("nothing stands out: {} of {} were the model's run", ms(ran), ms(total))
        }
    };
    Why::new("NONE", text)
}

/// How long a step went on; one that was cut off went on until the end.
fn length(step: &Step, ended: Instant) -> Duration {
    match (step.begun, step.ended) {
        (Some(begun), None) => ended.saturating_duration_since(begun),
        _ => step.took(),
    }
}

fn candidates(notes: &Notes) -> String {
    match notes.candidates {
        1 => "1 candidate".to_owned(),
        many => format!("{many} candidates"),
    }
}

fn ms(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1e3;
    match ms {
        ms if ms >= 10.0 => format!("{ms:.0} ms"),
        ms => format!("{ms:.1} ms"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::{
        batching::{BatchFacts, Member},
        error_code::ErrorCode,
        ids::CallerName,
    };

    use super::*;

    /// A request that came so many ms ago.
    struct Scene {
        at: Instant,
        finished: Finished,
    }

    fn span(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// A request of 100 ms, which spent them in no step.
    fn scene() -> Scene {
        let at = Instant::now();
        let finished = Finished {
            method: "podium.v1.RankService/Rank",
            carried: None,
            arrival: at,
            ended: at + span(100),
            request_id: "r".to_owned(),
            caller: CallerName::default(),
            validate: Step { begun: Some(at), ended: Some(at) },
            notes: Notes { candidates: 40, ..Notes::of(TraceContext::root(true)) },
            outcome: Outcome::Ranked,
        };
        Scene { at, finished }
    }

    impl Scene {
        fn step(&self, from: u64, to: u64) -> Step {
            Step { begun: Some(self.at + span(from)), ended: Some(self.at + span(to)) }
        }

        fn cut(&self, from: u64) -> Step {
            Step { begun: Some(self.at + span(from)), ended: None }
        }

        /// One batch that ran from then to then, which the request had come to the queue for at 0.
        fn batch(&mut self, (from, to): (u64, u64), change: impl FnOnce(&mut BatchNote)) {
            let mut note = BatchNote::that_ran(self.at + span(from), span(to - from));
            let trace = self.finished.notes.trace;
            note.members.push(Member { trace, units: 40, length: 16 });
            note.length = 16;
            change(&mut note);
            let trip = &mut self.finished.notes.trip;
            trip.came = Some(self.at);
            if trip.notes.is_empty() {
                trip.queued = span(from);
            }
            trip.batches += 1;
            trip.ran += span(to - from);
            trip.notes.push(Arc::new(note));
        }
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut Scene), reason: &str, text: &str) {
        let mut scene = scene();
        change(&mut scene);
        let got = why(&scene.finished);
        assert_eq!((got.reason, got.text.as_str()), (reason, text));
    }

    #[test]
    fn the_way_to_the_model() {
        check(|_| {}, "NONE", "nothing stands out of 100 ms");
        check(
            |s| s.finished.validate = s.step(80, 81),
            "RECEIVING",
            "it took 80 ms until the whole request had been received",
        );
        check(
            |s| s.finished.validate = Step::default(),
            "RECEIVING",
            "it took 100 ms until the whole request had been received",
        );
        check(
            |s| s.finished.notes.user.read = s.step(1, 60),
            "USER_STORE",
            "reading the user store took 59 ms",
        );
        check(
            |s| s.finished.notes.user.read = s.cut(40),
            "USER_STORE",
            "reading the user store took 60 ms",
        );
        check(
            |s| s.finished.notes.features = s.step(2, 92),
            "FEATURES",
            "building the inputs of 40 candidates took 90 ms",
        );
        check(
            |s| s.finished.notes.select = s.step(50, 90),
            "SELECT",
            "sorting 40 candidates took 40 ms",
        );
    }

    #[test]
    fn the_largest_of_several_is_named() {
        let steps = |s: &mut Scene| {
            s.finished.notes.user.read = s.step(0, 40);
            s.finished.notes.features = s.step(40, 85);
        };
        check(steps, "FEATURES", "building the inputs of 40 candidates took 45 ms");
        check(
            |s| s.finished.notes.user.read = s.step(0, 29),
            "NONE",
            "nothing stands out of 100 ms",
        );
    }

    #[test]
    fn the_encoder() {
        let encode = |s: &mut Scene, change: &dyn Fn(&mut BatchNote)| {
            s.finished.notes.user.encode = s.step(0, 90);
            let mut note = BatchNote::that_ran(s.at + span(10), span(75));
            change(&mut note);
            let trip = Trip { queued: span(10), notes: vec![Arc::new(note)], ..Trip::default() };
            s.finished.notes.user.trip = Arc::new(trip);
        };
        check(
            |s| encode(s, &|_| {}),
            "ENCODER",
            "waiting for the user encoder took 90 ms: 10 ms in its queue, 75 ms in its run",
        );
        let cold = |note: &mut BatchNote| {
            note.is_cold = true;
            note.expected = span(2);
        };
        check(
            |s| encode(s, &cold),
            "ENCODER",
            "waiting for the user encoder took 90 ms: the first batch of its shape ran 75 ms, 2.0 ms was expected",
        );
        check(
            |s| {
                encode(s, &|_| {});
                let other = TraceContext { trace_id: 0xab, ..TraceContext::default() };
                s.finished.notes.user.joined = Some(other);
            },
            "ENCODER",
            "waiting for the user encoder took 90 ms: of a run that trace 000000000000000000000000000000ab had begun",
        );
    }

    #[test]
    fn the_queue() {
        check(|s| s.batch((80, 100), |_| {}), "QUEUE", "it waited 80 ms in the model's queue");
        let ahead = |ahead| {
            move |s: &mut Scene| {
                s.batch((80, 100), |_| {});
                s.finished.notes.trip.ahead = ahead;
            }
        };
        let text = "it waited 80 ms in the model's queue, in which";
        check(ahead(1), "QUEUE", &format!("{text} one batch ran"));
        check(ahead(4), "QUEUE", &format!("{text} 4 batches ran"));
        check(
            |s| s.batch((80, 100), |note| note.facts.closed = Closed::Delay),
            "QUEUE",
            "it waited 80 ms in the model's queue, the last of it for company",
        );
        check(
            |s| s.finished.notes.trip.came = Some(s.at + span(30)),
            "QUEUE",
            "it waited 70 ms in the model's queue, and no batch took it",
        );
        check(
            |s| s.batch((80, 100), |note| note.waited = span(60)),
            "DEVICE_BUSY",
            "its batch waited 60 ms until other models left the device free",
        );
        let failed = |reason| {
            move |s: &mut Scene| {
                s.finished.outcome = Outcome::Failed { code: ErrorCode::ResourceExhausted, reason };
            }
        };
        check(failed("QUEUE_FULL"), "QUEUE_FULL", "the model's queue was full");
        check(
            failed("DEADLINE_TOO_SHORT"),
            "QUEUE_FULL",
            "too much waited for the model to be in time",
        );
    }

    #[test]
    fn the_run() {
        check(
            |s| s.batch((2, 98), |_| {}),
            "NONE",
            "nothing stands out: 96 ms of 100 ms were the model's run",
        );
        check(
            |s| s.batch((2, 98), |note| note.expected = span(12)),
            "SLOW_RUN",
            "a run of shop/3 took 96 ms, 8.0 times the 12 ms that were expected",
        );
        let cold = |note: &mut BatchNote| {
            note.expected = span(12);
            note.is_cold = true;
        };
        check(
            |s| s.batch((2, 98), cold),
            "COLD_BUCKET",
            "instance 0 of shop/3 ran its first batch of length 16: 96 ms, 12 ms was expected",
        );
        check(
            |s| s.batch((2, 98), |note| note.is_cold = true),
            "NONE",
            "nothing stands out: 96 ms of 100 ms were the model's run",
        );
        check(
            |s| {
                s.batch((2, 10), |_| {});
                s.finished.notes.select = s.step(90, 91);
            },
            "SCHEDULING",
            "it took 80 ms until its answer was sorted after its run: the processors were busy with other work",
        );
        check(
            |s| s.batch((2, 98), |note| note.length = 128),
            "LONG_NEIGHBOUR",
            "its rows of length 16 shared a batch that was padded to 128 and ran 96 ms",
        );
        check(
            |s| {
                s.batch((2, 50), |_| {});
                s.batch((50, 98), |_| {});
            },
            "LARGE",
            "its 40 candidates were cut over 2 batches, which took 96 ms",
        );
        check(
            |s| {
                s.batch((2, 12), |_| {});
                s.batch((12, 98), |note| note.expected = span(10));
            },
            "SLOW_RUN",
            "a run of shop/3 took 86 ms, 8.6 times the 10 ms that were expected",
        );
    }

    #[test]
    fn what_one_batch_is_padded_to_is_not_held_against_other_requests() {
        check(
            |s| {
                s.batch((2, 98), |note| {
                    note.length = 128;
                    note.members[0].trace = TraceContext::root(true);
                    note.facts = BatchFacts { jobs: 2, ..note.facts };
                });
            },
            "NONE",
            "nothing stands out: 96 ms of 100 ms were the model's run",
        );
    }
}
