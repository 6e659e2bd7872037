//! What memory the GPUs have and how much of it is taken, as `nvidia-smi` says it every ten seconds.

use std::{
    process::{Command, Stdio},
    sync::{Arc, Mutex, PoisonError, Weak},
    thread,
    time::Duration,
};

use crate::telemetry::{Snapshot, metrics};

/// How often it is asked; a scrape gets what it said last.
const INTERVAL: Duration = Duration::from_secs(10);

/// What it is asked: one line a GPU, sizes in MiB.
const QUESTION: [&str; 2] =
    ["--query-gpu=index,memory.used,memory.total", "--format=csv,noheader,nounits"];

/// The memory of one GPU.
#[derive(Debug, Clone, PartialEq, Eq)]
struct DeviceMemory {
    /// Its number, as `nvidia-smi` counts.
    device: String,
    used: u64,
    total: u64,
}

type Known = Mutex<Vec<DeviceMemory>>;

/// Adds the memory of each GPU; asks on a thread of its own, which ends when this is dropped, or where there is nobody to ask.
pub(super) fn device_memory() -> impl Fn(&mut Snapshot) + Send + Sync + 'static {
    let known = Arc::new(Known::default());
    let asked = Arc::downgrade(&known);
    let started = thread::Builder::new().name("gpu-memory".to_owned()).spawn(move || watch(&asked));
    if let Err(cause) = started {
        tracing::warn!(%cause, "no thread to ask for the memory of GPUs: it is in no metric");
    }
    move |snapshot| {
        for memory in known.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let device = [memory.device.as_str()];
            snapshot.count(&metrics::DEVICE_MEMORY_USED, &device, memory.used);
            snapshot.count(&metrics::DEVICE_MEMORY, &device, memory.total);
        }
    }
}

fn watch(known: &Weak<Known>) {
    while let Some(known) = known.upgrade() {
        let Some(told) = ask() else {
            tracing::info!("nvidia-smi does not answer: the memory of GPUs is in no metric");
            return;
        };
        *known.lock().unwrap_or_else(PoisonError::into_inner) = told;
        drop(known);
        thread::sleep(INTERVAL);
    }
}

fn ask() -> Option<Vec<DeviceMemory>> {
    let asked = Command::new("nvidia-smi").args(QUESTION).stdin(Stdio::null()).output();
    let answer = asked.ok().filter(|answer| answer.status.success())?;
    Some(String::from_utf8_lossy(&answer.stdout).lines().filter_map(read).collect())
}

/// Reads a line such as `0, 1432, 81559`.
fn read(line: &str) -> Option<DeviceMemory> {
    let mut fields = line.split(',').map(str::trim);
    let device = fields.next().filter(|device| !device.is_empty())?.to_owned();
    let mut bytes = || fields.next()?.parse::<u64>().ok().map(|mib| mib << 20);
    Some(DeviceMemory { device, used: bytes()?, total: bytes()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, want: Option<(&str, u64, u64)>) {
        let read = read(line).map(|memory| (memory.device, memory.used >> 20, memory.total >> 20));
        assert_eq!(read, want.map(|(device, used, total)| (device.to_owned(), used, total)));
    }

    #[test]
    fn a_line_is_read_as_nvidia_smi_writes_it() {
        check("0, 1432, 81559", Some(("0", 1432, 81559)));
        check("1, 0, 24576", Some(("1", 0, 24576)));
        check("0, [N/A], [N/A]", None);
        check("", None);
    }
}
