//! The parent: starts a child, watches what it takes, and ends it where that is too much.

use std::{
    io::{self, Write},
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::{
    app::{
        memory,
        trial::{
            heard::{Ended, Heard},
            message::Request,
            outcome::Outcome,
        },
    },
    repository::VersionLimits,
};

const MIB: u64 = 1 << 20;

/// How often it is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// How many times its time a child may be there. It counts its own processor time, for at its low priority it may have to wait.
const PATIENCE: u32 = 10;

/// Memory of a child that has not said what it had before the version came.
const BEFORE: u64 = 512 * MIB;

/// Tries one version with this command, for as long as somebody waits for the outcome; takes as long as that does.
pub(super) fn try_in(command: Command, request: &Request, waits: impl Fn() -> bool) -> Outcome {
    match start(command, request) {
        Ok(child) => watch(child, &request.limits, waits),
        Err(cause) => Outcome::Lost(format!("no process can be started: {cause}")),
    }
}

fn start(mut command: Command, request: &Request) -> io::Result<Child> {
    let line = serde_json::to_string(request)?;
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // A group of its own: a Ctrl-C at the terminal is for the server, which ends the child.
    let mut child = command.process_group(0).spawn()?;
    // One that is gone before it has read this says by its end why.
    let _ = child.stdin.as_mut().map(|stdin| writeln!(stdin, "{line}"));
    Ok(child)
}

fn watch(mut child: Child, limits: &VersionLimits, waits: impl Fn() -> bool) -> Outcome {
    let heard = Arc::new(Heard::default());
    let listeners = match listen(&mut child, &heard) {
        Ok(listeners) => listeners,
        Err(cause) => {
            end(&mut child);
            return Outcome::Lost(format!("nobody can listen to the process: {cause}"));
        }
    };
    let (process, begun) = (child.id().to_string(), Instant::now());
    let most_time = limits.max_trial_time.saturating_mul(PATIENCE);
    let ended = loop {
        match child.try_wait() {
            Ok(Some(_)) => break Ended::ByItself,
            Ok(None) => thread::sleep(LOOK_INTERVAL),
            Err(cause) => {
                end(&mut child);
                return Outcome::Lost(cause.to_string());
            }
        }
        let before = heard.told().before.unwrap_or(BEFORE);
        let most = limits.max_memory_mib.saturating_mul(MIB).saturating_add(before);
        if memory::of_process(&process, "VmRSS").is_some_and(|has| has > most) {
            break Ended::ForMemory;
        }
        if begun.elapsed() > most_time || !waits() {
            break Ended::ForTime;
        }
    };
    end(&mut child);
    for listener in listeners {
        let _ = listener.join();
    }
    match child.wait() {
        Ok(status) => heard.told().outcome(ended, status),
        Err(cause) => Outcome::Lost(cause.to_string()),
    }
}

/// Starts a thread for each of the child's two outputs; both end with it.
fn listen(child: &mut Child, heard: &Arc<Heard>) -> io::Result<Vec<thread::JoinHandle<()>>> {
    let thread = |name: &str| thread::Builder::new().name(format!("trial-{name}"));
    let mut listeners = Vec::new();
    if let Some(output) = child.stdout.take() {
        let heard = Arc::clone(heard);
        listeners.push(thread("told").spawn(move || heard.listen(output))?);
    }
    if let Some(output) = child.stderr.take() {
        let heard = Arc::clone(heard);
        listeners.push(thread("said").spawn(move || heard.listen_to_complaints(output))?);
    }
    Ok(listeners)
}

/// Ends a child, and what it may have started; one that has ended stays as it ended.
fn end(child: &mut Child) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    use super::*;

    fn limits(max_memory_mib: u64, milliseconds: u64) -> VersionLimits {
        let max_trial_time = Duration::from_millis(milliseconds);
        VersionLimits { max_memory_mib, max_trial_time, ..VersionLimits::default() }
    }

    fn script(text: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", text]);
        command
    }

    #[track_caller]
    fn check(text: &str, limits: VersionLimits, want: &str) {
        let request = Request { path: "/m/1".into(), config: Config::default(), limits };
        let begun = Instant::now();
        let got = format!("{:?}", try_in(script(text), &request, || true));
        assert!(got.starts_with(want), "{text}: {got}, not {want}");
        assert!(begun.elapsed() < Duration::from_secs(30), "{text} was waited for");
    }

    const PASSES: &str = r#"echo '{"passed":{"bundle":"b","memory":5,"cost":[[1,2.0]]}}'"#;

    #[test]
    fn what_becomes_of_a_child_is_told_apart() {
        check(
            &format!("read request; {PASSES}"),
            limits(600, 60_000),
            "Passed(Report { bundle: \"b\", memory: 5",
        );
        check(
            "echo no library >&2; exit 3",
            limits(600, 60_000),
            "Lost(\"the process ended with exit status: 3: no library",
        );
        check("kill -SEGV $$", limits(600, 60_000), "Crashed { signal: \"SIGSEGV\", stage: None");
        check("kill -KILL $$", limits(600, 60_000), "Killed");
        check("while :; do :; done", limits(600, 50), "OutOfTime");
        check("sleep 60 & sleep 60", limits(600, 20), "OutOfTime");
        check("echo '{\"began\":0}'; sleep 60", limits(0, 60_000), "OutOfMemory");
    }

    #[test]
    fn a_program_that_is_not_there_is_no_fault_of_the_version() {
        let request =
            Request { path: "/m/1".into(), config: Config::default(), limits: limits(1, 1) };
        let got = try_in(Command::new("/no/such/program"), &request, || true);
        assert!(matches!(got, Outcome::Lost(_)), "{got:?}");
    }

    #[test]
    fn nobody_who_waits_ends_it() {
        let request =
            Request { path: "/m/1".into(), config: Config::default(), limits: limits(600, 60_000) };
        let begun = Instant::now();
        try_in(script("sleep 60"), &request, || false);
        assert!(begun.elapsed() < Duration::from_secs(30));
    }
}
