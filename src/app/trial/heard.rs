//! What is heard of a child, with bounds on it, and what its end means.

use std::{
    io::{BufRead, BufReader, Read},
    os::unix::process::ExitStatusExt,
    process::ExitStatus,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{
    app::trial::{
        message::{Message, Report},
        outcome::Outcome,
    },
    runtime::lacks_memory,
};

/// The most that is read of what a child tells.
const MOST_TOLD: u64 = 1 << 20;

/// The most that is kept of what it complains of: the end.
const MOST_COMPLAINT: usize = 4096;

/// What Rust says where memory cannot be had.
const NO_MEMORY: &str = "memory allocation of";

/// What Rust says of a stack that is used up, before it aborts.
const NO_STACK: &str = "has overflowed its stack";

/// What was heard of a child so far.
#[derive(Debug, Default)]
pub(super) struct Heard {
    state: Mutex<Told>,
}

/// What a child has told.
#[derive(Debug, Default, Clone)]
pub(super) struct Told {
    /// Its memory before the version came.
    pub(super) before: Option<u64>,
    pub(super) stage: Option<String>,
    pub(super) end: Option<Result<Report, String>>,
    /// The end of what it wrote to standard error.
    pub(super) complaint: String,
}

/// Why the parent ended the child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// It did not.
    ByItself,
    /// It took too much memory.
    ForMemory,
    /// It took too long.
    ForTime,
}

impl Heard {
    /// What was told so far.
    pub(super) fn told(&self) -> Told {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Told> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads what the child tells, to its end; what is no message is passed over.
    pub(super) fn listen(&self, from: impl Read) {
        for line in BufReader::new(from.take(MOST_TOLD)).split(b'\n').map_while(Result::ok) {
            let Ok(message) = serde_json::from_slice(&line) else { continue };
            let mut told = self.lock();
            match message {
                Message::Began(before) => told.before = Some(before),
                Message::Stage(stage) => told.stage = Some(stage),
                Message::Passed(report) => told.end = Some(Ok(report)),
                Message::Refused(refusal) => told.end = Some(Err(refusal)),
            }
        }
    }

    /// Reads what the child complains of, to its end, and keeps the last of it.
    pub(super) fn listen_to_complaints(&self, mut from: impl Read) {
        let (mut kept, mut buffer) = (Vec::new(), [0; 1024]);
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            kept.extend_from_slice(&buffer[..read]);
            kept.drain(..kept.len().saturating_sub(MOST_COMPLAINT));
        }
        self.lock().complaint = String::from_utf8_lossy(&kept).trim().to_owned();
    }
}

impl Told {
    /// What came of the trial whose process ended so.
    pub(super) fn outcome(self, ended: Ended, status: ExitStatus) -> Outcome {
        let out_of_memory = |text: &str| lacks_memory(text) || text.contains(NO_MEMORY);
        match (ended, status.signal(), self.end) {
            (Ended::ForMemory, ..) => Outcome::OutOfMemory,
            (Ended::ForTime, ..) => Outcome::OutOfTime,
            (Ended::ByItself, Some(SIGXCPU), _) => Outcome::OutOfTime,
            (Ended::ByItself, Some(SIGKILL), _) => Outcome::Killed,
            (Ended::ByItself, Some(_), _) if out_of_memory(&self.complaint) => Outcome::OutOfMemory,
            (Ended::ByItself, Some(_), _) if self.complaint.contains(NO_STACK) => {
                Outcome::Crashed { signal: "stack overflow".to_owned(), stage: self.stage }
            }
            (Ended::ByItself, Some(signal), _) => {
                Outcome::Crashed { signal: name_of(signal), stage: self.stage }
            }
            (Ended::ByItself, None, Some(Err(refusal))) if out_of_memory(&refusal) => {
                Outcome::OutOfMemory
            }
            (Ended::ByItself, None, Some(Err(refusal))) => Outcome::Refused(refusal),
            (Ended::ByItself, None, Some(Ok(report))) if status.success() => {
                Outcome::Passed(report)
            }
            (Ended::ByItself, None, _) => {
                let said = self.complaint.lines().last().unwrap_or("it said nothing");
                Outcome::Lost(format!("the process ended with {status}: {said}"))
            }
        }
    }
}

const SIGKILL: i32 = 9;
const SIGXCPU: i32 = 24;

fn name_of(signal: i32) -> String {
    match signal {
        4 => "SIGILL".to_owned(),
        5 => "SIGTRAP".to_owned(),
        6 => "SIGABRT".to_owned(),
        7 => "SIGBUS".to_owned(),
        8 => "SIGFPE".to_owned(),
        11 => "SIGSEGV".to_owned(),
        31 => "SIGSYS".to_owned(),
        other => format!("signal {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signal(number: i32) -> ExitStatus {
        ExitStatus::from_raw(number)
    }

    fn exit(code: i32) -> ExitStatus {
        ExitStatus::from_raw(code << 8)
    }

    fn told(end: Option<Result<Report, String>>, complaint: &str) -> Told {
        let stage = Some("its graph was run".to_owned());
        Told { before: Some(1), stage, end, complaint: complaint.to_owned() }
    }

    #[track_caller]
    fn check(told: Told, ended: Ended, status: ExitStatus, want: &str) {
        let got = format!("{:?}", told.outcome(ended, status));
        assert!(got.starts_with(want), "{got}, not {want}");
    }

    #[test]
    fn every_end_has_a_meaning() {
        let silent = || told(None, "");
        let passed = || told(Some(Ok(Report::default())), "");
        let refused = |why: &str| told(Some(Err(why.to_owned())), "");
        check(passed(), Ended::ByItself, exit(0), "Passed");
        check(passed(), Ended::ByItself, exit(1), "Lost");
        // It crashes when all is taken down: the server's would, too.
        check(passed(), Ended::ByItself, signal(11), "Crashed { signal: \"SIGSEGV\"");
        check(passed(), Ended::ForMemory, signal(9), "OutOfMemory");
        check(refused("score is NaN"), Ended::ByItself, exit(0), "Refused(\"score is NaN\")");
        check(refused("Failed to allocate memory for"), Ended::ByItself, exit(0), "OutOfMemory");
        check(silent(), Ended::ForTime, signal(9), "OutOfTime");
        check(silent(), Ended::ByItself, signal(24), "OutOfTime");
        check(silent(), Ended::ByItself, signal(9), "Killed");
        check(
            silent(),
            Ended::ByItself,
            signal(8),
            "Crashed { signal: \"SIGFPE\", stage: Some(\"its graph",
        );
        check(silent(), Ended::ByItself, signal(34), "Crashed { signal: \"signal 34\"");
        check(told(None, "what(): std::bad_alloc"), Ended::ByItself, signal(6), "OutOfMemory");
        check(
            told(None, "memory allocation of 9 bytes failed"),
            Ended::ByItself,
            signal(6),
            "OutOfMemory",
        );
        check(
            told(None, "x\nno library"),
            Ended::ByItself,
            exit(1),
            "Lost(\"the process ended with exit status: 1: no library",
        );
        check(
            silent(),
            Ended::ByItself,
            exit(0),
            "Lost(\"the process ended with exit status: 0: it said nothing",
        );
    }

    #[test]
    fn what_is_heard_has_bounds() {
        let heard = Heard::default();
        heard.listen(
            "noise\n{\"began\":7}\n{\"stage\":\"a\"}\n{\"stage\":\"b\"}\n\u{0}\n".as_bytes(),
        );
        let told = heard.told();
        assert_eq!((told.before, told.stage.as_deref()), (Some(7), Some("b")));
        heard.listen(std::io::repeat(b'x'));
        let complaint = "a".repeat(100_000) + "the end";
        heard.listen_to_complaints(complaint.as_bytes());
        let kept = heard.told().complaint;
        assert_eq!((kept.len(), kept.ends_with("the end")), (MOST_COMPLAINT, true));
    }
}
