//! Says what a request's time went to: the one cause that weighs most, out of what was noted on its way.

use std::time::{Duration, Instant};

use crate::{
    observing::{
        cause::{Cause, Why, candidates, ms},
        finished::{Finished, Outcome},
        run_causes::{all_runs, runs, waits, waking},
    },
    ranking::{Notes, Step, UserNotes},
};

/// A cause counts from this share of the whole time on; below it nothing stands out.
const STANDS_OUT: f64 = 0.3;

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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::{
        batching::{BatchFacts, BatchNote, Closed, Member, Trip},
        error_code::ErrorCode,
        ids::CallerName,
        telemetry::TraceContext,
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
