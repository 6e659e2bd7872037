//! Processor time and memory of processes, and processor time of the machine, from `/proc`.

use std::{collections::BTreeMap, fs, path::PathBuf};

/// What `/proc/stat` counts in, which Linux fixes at 100 a second for user space.
const TICK_US: u64 = 10_000;

/// Processor time of a process, thread by thread, at one moment.
#[derive(Debug, Clone, Default)]
pub(super) struct ProcessCpu {
    threads: BTreeMap<u32, Thread>,
}

#[derive(Debug, Clone)]
struct Thread {
    name: String,
    cpu_ns: u64,
}

impl ProcessCpu {
    /// Reads this process.
    pub(super) fn of_self() -> Self {
        Self::read(PathBuf::from("/proc/self/task"))
    }

    /// Reads another process; empty where it cannot be read.
    pub(super) fn of(pid: u32) -> Self {
        Self::read(PathBuf::from(format!("/proc/{pid}/task")))
    }

    fn read(tasks: PathBuf) -> Self {
        let thread = |task: fs::DirEntry| {
            let id = task.file_name().to_str()?.parse().ok()?;
            let schedstat = fs::read_to_string(task.path().join("schedstat")).ok()?;
            let name = fs::read_to_string(task.path().join("comm")).ok()?;
            let cpu_ns = schedstat.split(' ').next()?.parse().ok()?;
            Some((id, Thread { name: name.trim_end().to_owned(), cpu_ns }))
        };
        let tasks = fs::read_dir(tasks).into_iter().flatten().flatten();
        Self { threads: tasks.filter_map(thread).collect() }
    }

    /// Microseconds that the process has used since `before`; a thread that ended in between is left out.
    pub(super) fn us_since(&self, before: &Self) -> f64 {
        self.us_of_threads(before, |_| true)
    }

    /// The same, of the threads whose name `chosen` takes.
    pub(super) fn us_of_threads(&self, before: &Self, chosen: impl Fn(&str) -> bool) -> f64 {
        let used = |(id, thread): (&u32, &Thread)| {
            let earlier = before.threads.get(id).map_or(0, |thread| thread.cpu_ns);
            thread.cpu_ns.saturating_sub(earlier)
        };
        let chosen = self.threads.iter().filter(|(_, thread)| chosen(&thread.name));
        chosen.map(used).sum::<u64>() as f64 / 1000.0
    }
}

/// Microseconds that all processors of the machine have been busy for since it started; 0 where unknown.
pub(super) fn machine_busy_us() -> u64 {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields = text.lines().next().unwrap_or_default().split_ascii_whitespace().skip(1);
    let ticks: Vec<u64> = fields.map(|field| field.parse().unwrap_or(0)).collect();
    let idle: u64 = ticks.iter().skip(3).take(2).sum();
    // The last two, guest time, are counted in the first two already.
    (ticks.iter().take(8).sum::<u64>() - idle) * TICK_US
}

/// Resident memory of a process; 0 where it cannot be read.
pub(super) fn resident_bytes(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let kib = text.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next());
    kib.and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// The load averages over 1, 5 and 15 minutes.
pub(super) fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

/// What the processor calls itself.
pub(super) fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    name.map_or_else(|| "unknown".to_owned(), |(_, name)| name.to_owned())
}

/// How many processors this process may use.
pub(super) fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn this_process_has_memory() {
        assert!(resident_bytes(std::process::id()) > 1 << 20);
        assert_eq!(resident_bytes(u32::MAX), 0);
    }

    #[test]
    fn a_spinning_thread_is_seen_by_its_name() {
        let before = ProcessCpu::of_self();
        let spin = std::thread::Builder::new().name("spinner".to_owned()).spawn(move || {
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_millis(60) {
                std::hint::spin_loop();
            }
            ProcessCpu::of_self().us_of_threads(&before, |name| name == "spinner")
        });
        let seen = spin.unwrap().join().unwrap();
        assert!((5_000.0..=70_000.0).contains(&seen), "{seen}");
    }
}
