//! What to tune for, as the command line says it.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;

use crate::cli::span;

/// What to tune for.
#[derive(Debug, Args)]
pub(in crate::cli) struct TuneArgs {
    /// The bundle's directory, <models>/<name>/<version>
    #[arg(value_name = "BUNDLE")]
    pub(super) path: PathBuf,
    /// The latency within which 99% of the requests are to be answered; it is their deadline too
    #[arg(long, value_name = "TIME", default_value = "20ms", value_parser = span::some_time)]
    pub(super) slo: Duration,
    /// Candidates of each request; of user encoders, users [default: as many as the bundle's example has, else 100; 1 user]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(super) rows: Option<u32>,
    /// How long each choice is measured at each rate
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = span::some_time)]
    pub(super) duration: Duration,
    /// The configuration file, for the runtime's settings and those that stay as they are
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// What the moments of the requests are drawn from
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) seed: u64,
    /// Write all figures as JSON
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
    /// Where to draw throughput against p99 as SVG [default: tune-<name>-<version>.svg]
    #[arg(long, value_name = "FILE")]
    pub(super) plot: Option<PathBuf>,
}

impl TuneArgs {
    /// Refuses files that cannot be written, before minutes are spent on measuring.
    pub(super) fn check(&self) -> Result<(), String> {
        for (flag, file) in [("--json", &self.json), ("--plot", &self.plot)] {
            let Some(file) = file else { continue };
            let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
            if !folder.unwrap_or(Path::new(".")).is_dir() || file.is_dir() {
                return Err(format!(
                    "{flag} {}: not a file in a directory that exists; make the directory, or name another file",
                    file.display()
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, want: bool) {
        let args = TuneArgs {
            path: "models/a/1".into(),
            slo: Duration::from_millis(20),
            rows: None,
            duration: Duration::from_secs(2),
            config: None,
            seed: 1,
            json: Some(json.into()),
            plot: None,
        };
        assert_eq!(args.check().is_ok(), want, "{json}");
    }

    #[test]
    fn a_file_needs_a_directory() {
        check("tune.json", true);
        check("src/tune.json", true);
        check("nowhere/tune.json", false);
        check("src", false);
    }
}
