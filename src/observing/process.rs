//! What the kernel says of this process, by the names that Prometheus' own clients use.

use std::fs;

use crate::telemetry::{Snapshot, metrics};

/// The clock that the kernel counts processor time by, in ticks a second.
///
/// Source: proc(5) and `USER_HZ`, which is 100 on every Linux that Rust runs on but Alpha.
const TICKS_A_SECOND: f64 = 100.0;

/// What `/proc/self/status` counts memory in, in bytes.
const KIB: f64 = 1024.0;

/// Adds what is known of the process; nothing where the system does not say.
pub(super) fn tell(snapshot: &mut Snapshot) {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let (stat, status, limits) =
        (read("/proc/self/stat"), read("/proc/self/status"), read("/proc/self/limits"));
    let booted = field(&read("/proc/stat"), "btime").and_then(|text| text.parse::<f64>().ok());
    let kib = |name| number(field(&status, name)).map(|kib| kib * KIB);
    let figures = [
        (
            &metrics::PROCESS_CPU,
            ticks(&stat, 14).zip(ticks(&stat, 15)).map(|(user, system)| user + system),
        ),
        (&metrics::PROCESS_MEMORY, kib("VmRSS:")),
        (&metrics::PROCESS_VIRTUAL, kib("VmSize:")),
        (&metrics::PROCESS_THREADS, number(field(&status, "Threads:"))),
        (&metrics::PROCESS_FDS, fs::read_dir("/proc/self/fd").ok().map(|all| all.count() as f64)),
        (&metrics::PROCESS_MAX_FDS, number(field(&limits, "Max open files"))),
        (&metrics::PROCESS_START, booted.zip(ticks(&stat, 22)).map(|(boot, since)| boot + since)),
    ];
    for (spec, figure) in figures {
        if let Some(figure) = figure {
            snapshot.number(spec, &[], figure);
        }
    }
}

/// What follows a name at the start of a line.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

/// The first word as a number.
fn number(field: Option<&str>) -> Option<f64> {
    field?.split_whitespace().next()?.parse().ok()
}

/// A field of `/proc/self/stat` by its number, in seconds; the second one, a name, may hold anything.
fn ticks(stat: &str, field: usize) -> Option<f64> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    let ticks: f64 = behind_name.split_whitespace().nth(field - 3)?.parse().ok()?;
    Some(ticks / TICKS_A_SECOND)
}

#[cfg(test)]
mod tests {
    use crate::telemetry::Figure;

    use super::*;

    #[test]
    fn a_name_with_brackets_moves_no_field() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 9 0 123400 1000 10";
        assert_eq!(ticks(stat, 14), Some(2.5));
        assert_eq!(ticks(stat, 15), Some(0.5));
        assert_eq!(ticks(stat, 22), Some(1234.0));
        assert_eq!(ticks("", 14), None);
    }

    #[test]
    fn every_figure_of_this_process_is_there() {
        let mut snapshot = Snapshot::default();
        tell(&mut snapshot);
        let names: Vec<_> = snapshot.families.iter().map(|family| family.spec.name).collect();
        assert_eq!(names.len(), 7, "{names:?}");
        let number = |spec| match snapshot.samples(spec)[0].figure {
            Figure::Number(number) => number,
            Figure::Distribution(_) => panic!("{spec:?}"),
        };
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let age = now.as_secs_f64() - number(&metrics::PROCESS_START);
        assert!((-2.0..3600.0).contains(&age), "{age}");
        assert!(number(&metrics::PROCESS_MAX_FDS) >= number(&metrics::PROCESS_FDS));
        assert!(number(&metrics::PROCESS_MEMORY) > 1e6);
    }
}
