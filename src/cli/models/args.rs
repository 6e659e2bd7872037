//! The arguments of `podium models`.

use std::time::Duration;

use clap::Args;

use crate::{
    cli::{client::Admin, span},
    transport::pb,
};

/// Which models to list.
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Print JSON, as ListModels answers
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) admin: Admin,
}

/// Which model to show.
#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// The model
    #[arg(value_name = "NAME")]
    pub(super) name: String,
    /// Go on and show every change: on a terminal in place, else a line for each; Ctrl-C ends it
    #[arg(long)]
    pub(super) watch: bool,
    /// Print JSON, as ListModels answers; with --watch one for each change
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) admin: Admin,
}

/// What all changes have.
#[derive(Debug, Args)]
pub(super) struct ChangeArgs {
    /// Only if serving.toml is still what `podium models list` showed under this revision
    #[arg(long, value_name = "REVISION")]
    pub(super) revision: Option<String>,
    /// Do not wait until the server has followed the change
    #[arg(long)]
    pub(super) no_wait: bool,
    /// How long to wait for that
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = span::some_time)]
    pub(super) timeout: Duration,
    #[command(flatten)]
    pub(super) admin: Admin,
}

/// A version to load or to unload.
#[derive(Debug, Args)]
pub(super) struct VersionArgs {
    /// The model
    #[arg(value_name = "NAME")]
    pub(super) name: String,
    /// The version
    #[arg(value_name = "VERSION")]
    pub(super) version: u64,
    #[command(flatten)]
    pub(super) change: ChangeArgs,
}

/// A version to promote.
#[derive(Debug, Args)]
pub(super) struct PromoteArgs {
    /// The model
    #[arg(value_name = "NAME")]
    pub(super) name: String,
    /// The version, or a label such as canary
    #[arg(value_name = "VERSION|LABEL")]
    pub(super) target: String,
    #[command(flatten)]
    pub(super) change: ChangeArgs,
}

/// A version to take back.
#[derive(Debug, Args)]
pub(super) struct RollbackArgs {
    /// The model
    #[arg(value_name = "NAME")]
    pub(super) name: String,
    /// The version [default: the one that has a share of the users, else the live one]
    #[arg(value_name = "VERSION")]
    pub(super) version: Option<u64>,
    /// Why; it is kept in serving.toml and shown
    #[arg(long, value_name = "TEXT")]
    pub(super) reason: Option<String>,
    #[command(flatten)]
    pub(super) change: ChangeArgs,
}

/// Who gets which version.
#[derive(Debug, Args)]
pub(super) struct SplitArgs {
    /// The model
    #[arg(value_name = "NAME")]
    pub(super) name: String,
    /// A version or label and its share of the users in percent, such as 4=10 or canary=2.5; the live version has the rest
    #[arg(
        value_name = "VERSION|LABEL=PERCENT",
        value_parser = share,
        required_unless_present_any = ["caller", "none"],
        conflicts_with = "none"
    )]
    pub(super) shares: Vec<pb::TrafficShare>,
    /// A caller, by the `podium-caller` that it sends, and its version or label; may be given more than once
    #[arg(long, value_name = "CALLER=VERSION|LABEL", value_parser = caller, conflicts_with = "none")]
    pub(super) caller: Vec<pb::CallerVersion>,
    /// Take all shares and callers away
    #[arg(long)]
    pub(super) none: bool,
    #[command(flatten)]
    pub(super) change: ChangeArgs,
}

/// What shadows the live version.
#[derive(Debug, Args)]
pub(super) struct ShadowArgs {
    /// The model
    #[arg(value_name = "NAME")]
    pub(super) name: String,
    /// The version, or a label
    #[arg(value_name = "VERSION|LABEL", required_unless_present = "none", conflicts_with = "none")]
    pub(super) target: Option<String>,
    /// The share of live requests that it scores, in percent
    #[arg(long, value_name = "PERCENT", default_value = "100", value_parser = percent)]
    pub(super) share: f64,
    /// Take the shadow away
    #[arg(long)]
    pub(super) none: bool,
    #[command(flatten)]
    pub(super) change: ChangeArgs,
}

fn percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text).parse::<f64>();
    let fits = number.ok().filter(|percent| *percent > 0.0 && *percent <= 100.0);
    fits.ok_or_else(|| "write a percentage above 0 and up to 100".to_owned())
}

fn share(text: &str) -> Result<pb::TrafficShare, String> {
    let (target, share) = text.split_once('=').ok_or("write VERSION=PERCENT, such as 4=10")?;
    Ok(pb::TrafficShare { target: target.to_owned(), percent: percent(share)? })
}

fn caller(text: &str) -> Result<pb::CallerVersion, String> {
    let (caller, target) = text.rsplit_once('=').ok_or("write CALLER=VERSION, such as batch=3")?;
    Ok(pb::CallerVersion { caller: caller.to_owned(), target: target.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_callers_are_read() {
        let told = |text| share(text).map(|share| (share.target, share.percent));
        assert_eq!(told("canary=10"), Ok(("canary".to_owned(), 10.0)));
        assert_eq!(told("4=2.5%"), Ok(("4".to_owned(), 2.5)));
        for wrong in ["4", "4=", "4=0", "4=101", "4=-1", "4=NaN"] {
            assert!(share(wrong).is_err(), "{wrong}");
        }
        let told = caller("a=b=canary").map(|caller| (caller.caller, caller.target));
        assert_eq!(told, Ok(("a=b".to_owned(), "canary".to_owned())));
        assert!(caller("batch").is_err());
    }
}
