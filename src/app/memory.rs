//! Whether there is memory for what a version needs: what the system and the process's groups leave, against what stays free.

use std::{fs, path::Path};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// Where the kernel shows groups of processes.
const GROUPS: &str = "/sys/fs/cgroup";

/// Says what is missing where `need` bytes cannot be taken of `available` so that `reserve` stay free.
pub(super) fn missing(need: u64, available: u64, reserve: u64) -> Option<String> {
    let short = need.saturating_add(reserve).checked_sub(available).filter(|short| *short > 0)?;
    let mib = |bytes: u64| bytes.div_ceil(MIB);
    Some(format!(
        "there is not enough memory to load it beside what serves: it needs {} MiB, {} MiB are available, of which {} MiB \
         shall stay free (models.memory_reserve_mib): {} MiB are missing. It is tried again by itself. Free memory, unload a version, \
         or give the server more",
        mib(need),
        available / MIB,
        mib(reserve),
        mib(short)
    ))
}

/// Memory that this process can still have, in bytes; none where the system does not say.
pub(super) fn available() -> Option<u64> {
    let system =
        fs::read_to_string("/proc/meminfo").ok().and_then(|text| kib(&text, "MemAvailable"));
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let in_group = left_by_groups(&groups, Path::new(GROUPS));
    system.into_iter().chain(in_group).min()
}

/// Memory of a process in bytes, such as its `VmRSS`; none where it is gone.
pub(super) fn of_process(process: &str, field: &str) -> Option<u64> {
    kib(&fs::read_to_string(format!("/proc/{process}/status")).ok()?, field)
}

/// A field of `/proc/meminfo` or `/proc/PID/status`, in bytes.
fn kib(text: &str, field: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = lines.find(|(name, _)| *name == field)?;
    value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * KIB)
}

/// The least that any group of the process leaves, in either version of groups.
fn left_by_groups(groups: &str, root: &Path) -> Option<u64> {
    let of_line = |line: &str| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (kind, path) = (parts.next()?, parts.next()?);
        let path = path.trim_start_matches('/');
        if kind.is_empty() {
            return left_on_the_way(root, path, &VERSION_2);
        }
        let of_memory = kind.split(',').any(|kind| kind == "memory");
        of_memory.then(|| left_on_the_way(&root.join("memory"), path, &VERSION_1))?
    };
    groups.lines().filter_map(of_line).min()
}

/// The files of a group that say what it may have and what it has.
struct Files {
    limit: &'static str,
    used: &'static str,
    /// The field of `memory.stat` with what is taken back when it is needed.
    reclaimable: &'static str,
}

const VERSION_1: Files = Files {
    limit: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
    reclaimable: "total_inactive_file",
};

const VERSION_2: Files =
    Files { limit: "memory.max", used: "memory.current", reclaimable: "inactive_file" };

/// The least that a group or one above it leaves. In a container the path may be one outside of it: then the root is what there is.
fn left_on_the_way(root: &Path, path: &str, files: &Files) -> Option<u64> {
    let group = root.join(path);
    let inside = group.ancestors().take_while(|above| above.starts_with(root));
    inside.filter_map(|group| left_by(group, files)).min()
}

/// What one group leaves; none where it has no limit.
fn left_by(group: &Path, files: &Files) -> Option<u64> {
    let number = |name: &str| -> Option<u64> {
        fs::read_to_string(group.join(name)).ok()?.trim().parse().ok()
    };
    let (limit, used) = (number(files.limit)?, number(files.used)?);
    let stat = fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
    let mut fields = stat.lines().filter_map(|line| line.split_once(' '));
    let reclaimable = fields.find(|(name, _)| *name == files.reclaimable);
    let reclaimable = reclaimable.and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
    Some(limit.saturating_sub(used.saturating_sub(reclaimable)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check((need, available, reserve): (u64, u64, u64), want: Option<&str>) {
        let got = missing(need * MIB, available * MIB, reserve * MIB);
        match want {
            None => assert_eq!(got, None),
            Some(words) => assert!(got.as_ref().is_some_and(|got| got.contains(words)), "{got:?}"),
        }
    }

    #[test]
    fn a_refusal_says_how_much_is_missing() {
        check((100, 400, 256), None);
        check((144, 400, 256), None);
        check((145, 400, 256), Some("needs 145 MiB, 400 MiB are available, of which 256 MiB"));
        check((145, 400, 256), Some(": 1 MiB are missing"));
        check((1, 0, 0), Some(": 1 MiB are missing"));
        check((0, 0, 0), None);
        check((10, 100, 1_000_000), Some("999910 MiB are missing"));
    }

    #[test]
    fn the_kernels_lists_are_read() {
        let text = "MemTotal:       24684084 kB\nMemFree:         6773016 kB\nMemAvailable:   24035424 kB\nHugePages_Total:       0\n";
        assert_eq!(kib(text, "MemAvailable"), Some(24_035_424 << 10));
        assert_eq!(kib(text, "HugePages_Total"), None);
        assert_eq!(kib(text, "Available"), None);
        let own = of_process("self", "VmRSS").unwrap();
        assert!((1 << 20..1 << 40).contains(&own), "{own}");
        assert!(available().is_some_and(|bytes| bytes > 0));
    }

    fn group(root: &Path, path: &str, files: &[(&str, &str)]) {
        fs::create_dir_all(root.join(path)).unwrap();
        for (name, text) in files {
            fs::write(root.join(path).join(name), text).unwrap();
        }
    }

    #[test]
    fn the_tightest_group_counts() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let stat = "anon 5\ninactive_file 30\nactive_file 9\n";
        group(root, "a/b", &[("memory.max", "max\n"), ("memory.current", "70\n")]);
        group(
            root,
            "a",
            &[("memory.max", "100\n"), ("memory.current", "70\n"), ("memory.stat", stat)],
        );
        assert_eq!(left_by_groups("0::/a/b\n", root), Some(60));
        assert_eq!(left_by_groups("0::/\n", root), None);
        group(root, "", &[("memory.max", "50\n"), ("memory.current", "70\n")]);
        assert_eq!(left_by_groups("0::/a/b\n", root), Some(0));
        assert_eq!(left_by_groups("0::/not/of/this/container\n", root), Some(0));
    }

    #[test]
    fn the_older_groups_are_read_too() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let files = [
            ("memory.limit_in_bytes", "1000\n"),
            ("memory.usage_in_bytes", "900\n"),
            ("memory.stat", "inactive_file 1\ntotal_inactive_file 100\n"),
        ];
        group(root, "memory/docker/x", &files);
        let lines = "9:name=systemd:/\n4:memory:/docker/x\n3:cpu,cpuacct:/docker/x\n0::/\n";
        assert_eq!(left_by_groups(lines, root), Some(200));
        assert_eq!(left_by_groups("3:cpu:/docker/x\n", root), None);
    }
}
