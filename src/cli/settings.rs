//! `podium config`.

use crate::{cli::config_args::ConfigArgs, config::Setting};

/// Prints every key with its value and where that came from, as TOML with dotted keys.
pub(super) fn run(args: &ConfigArgs) -> Result<(), String> {
    let (_, settings) = args.load()?;
    let line = |setting: &Setting| format!("{} = {}", setting.key, setting.value);
    let width = settings.iter().map(|setting| line(setting).len()).max().unwrap_or(0);
    for setting in &settings {
        println!("{:width$}  # {}", line(setting), setting.origin);
    }
    Ok(())
}
