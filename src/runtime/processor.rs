//! Which processor this is, as far as graphs are optimised for it.

use std::fs;

/// What of Linux's description of a processor tells what it can do.
const TELLING: [&str; 11] = [
    "vendor_id",
    "cpu family",
    "model",
    "model name",
    "stepping",
    "flags",
    "Features",
    "CPU implementer",
    "CPU architecture",
    "CPU variant",
    "CPU part",
];

/// The processor and what it can do; none where the system does not tell.
pub(super) fn processor() -> Option<String> {
    let told = telling(&fs::read_to_string("/proc/cpuinfo").ok()?);
    Some(told).filter(|told| !told.is_empty())
}

/// The telling lines about the first processor.
fn telling(cpuinfo: &str) -> String {
    let first = cpuinfo.lines().take_while(|line| !line.trim().is_empty());
    let tells =
        |line: &&str| line.split(':').next().is_some_and(|key| TELLING.contains(&key.trim()));
    first.filter(tells).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_from_moment_to_moment_is_left_out() {
        let cpuinfo = "processor\t: 0\nmodel name\t: X\ncpu MHz\t\t: 2400.1\nflags\t\t: avx2 fma\n\n\
                       processor\t: 1\nmodel name\t: Y\n";
        assert_eq!(telling(cpuinfo), "model name\t: X\nflags\t\t: avx2 fma");
        assert_eq!(telling(""), "");
        assert!(processor().is_some_and(|told| told == processor().unwrap()));
    }
}
