//! Binds the process that it is called in: low priority, little time, little memory, no life after its parent's.

use std::{fs, io, io::Read, thread, time::Duration};

use rustix::process::{Resource, Rlimit, Signal, getpid, getrlimit, kill_process, setrlimit};

use crate::{app::memory, priority::lower_priority};

const MIB: u64 = 1 << 20;

/// Memory for threads and buffers beside what a version may take.
const SPARE: u64 = 64 * MIB;

/// Has the process give way to all others, in time and in memory, and leave no core file.
///
/// # Errors
/// That of a limit that cannot be set.
pub(super) fn give_way() -> io::Result<()> {
    lower_priority();
    // Where memory runs out all the same, the kernel shall take this process and not the server.
    let _ = fs::write("/proc/self/oom_score_adj", "1000");
    bound(Resource::Core, 0, 0)
}

/// Lets the process have so much time on `threads` processors, in whole seconds.
///
/// # Errors
/// That of a limit that cannot be set.
pub(super) fn bound_time(time: Duration, threads: usize) -> io::Result<()> {
    let seconds = (time.as_secs_f64() * threads as f64).ceil().max(1.0) as u64;
    bound(Resource::Cpu, seconds, seconds + 1)
}

/// Lets the process have so much more memory than it has now.
///
/// # Errors
/// That of a limit that cannot be set.
pub(super) fn bound_memory(mib: u64) -> io::Result<()> {
    let Some(now) = memory::of_process("self", "VmData") else { return Ok(()) };
    let most = now.saturating_add(mib.saturating_mul(MIB)).saturating_add(SPARE);
    bound(Resource::Data, most, most)
}

fn bound(resource: Resource, soft: u64, hard: u64) -> io::Result<()> {
    let had = getrlimit(resource).maximum.unwrap_or(u64::MAX);
    let new = Rlimit { current: Some(soft.min(had)), maximum: Some(hard.min(had)) };
    Ok(setrlimit(resource, new)?)
}

/// Ends the process when its standard input does: when the parent is gone, however it went.
///
/// # Errors
/// That of a thread that cannot be started.
pub(super) fn end_with_parent() -> io::Result<()> {
    let watch = || {
        let mut rest = io::stdin().lock();
        while rest.read(&mut [0; 64]).is_ok_and(|read| read > 0) {}
        // Not by an orderly exit, which would wait for what a graph holds up.
        let _ = kill_process(getpid(), Signal::KILL);
    };
    thread::Builder::new().name("parent".to_owned()).spawn(watch).map(drop)
}
