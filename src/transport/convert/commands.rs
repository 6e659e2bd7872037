//! From the messages of `podium.v1.ModelService` to what is asked for.

use std::collections::BTreeMap;

use crate::{
    ids::{MAX_CALLER_NAME_BYTES, ModelName, Version},
    ranking::RankError,
    repository::{Revision, ShadowSpec, Target},
    serving::Command,
    transport::{convert::faults::Faults, limits::Limits, pb},
};

/// Longest reason of a rollback in bytes.
const MOST_REASON_BYTES: usize = 1024;

/// Most shares, and most callers, of one model.
const MOST_TARGETS: usize = 256;

/// What is asked for, of which model, and for which state of `serving.toml`; none: whatever it is.
#[derive(Debug, PartialEq)]
pub(in crate::transport) struct Asked {
    pub(in crate::transport) model: ModelName,
    pub(in crate::transport) command: Command,
    pub(in crate::transport) revision: Option<Revision>,
}

/// What `LoadModel` asks for.
///
/// # Errors
/// [`RankError::Invalid`] with every faulty field, as of all of these.
pub(in crate::transport) fn load(
    message: pb::LoadModelRequest,
    limits: &Limits,
) -> Result<Asked, RankError> {
    let mut faults = Faults::against(limits);
    let version = faults.version(message.version);
    faults.asked(message.name, message.revision, Command::Load(version))
}

/// What `UnloadModel` asks for.
pub(in crate::transport) fn unload(
    message: pb::UnloadModelRequest,
    limits: &Limits,
) -> Result<Asked, RankError> {
    let mut faults = Faults::against(limits);
    let version = faults.version(message.version);
    faults.asked(message.name, message.revision, Command::Unload(version))
}

/// What `PromoteModel` asks for.
pub(in crate::transport) fn promote(
    message: pb::PromoteModelRequest,
    limits: &Limits,
) -> Result<Asked, RankError> {
    let mut faults = Faults::against(limits);
    let target = faults.target(&"target", &message.target);
    faults.asked(message.name, message.revision, Command::Promote(target))
}

/// What `RollbackModel` asks for.
pub(in crate::transport) fn rollback(
    message: pb::RollbackModelRequest,
    limits: &Limits,
) -> Result<Asked, RankError> {
    let mut faults = Faults::against(limits);
    let version = match message.version {
        0 => None,
        version => Some(faults.version(version)),
    };
    let limit = ("the longest reason", MOST_REASON_BYTES);
    faults.bound(&"reason", message.reason.len(), limit, "bytes");
    let reason = match message.reason.trim() {
        "" => "rolled back by hand; no reason was given".to_owned(),
        reason => reason.to_owned(),
    };
    faults.asked(message.name, message.revision, Command::Rollback(version, reason))
}

/// What `SplitTraffic` asks for.
pub(in crate::transport) fn split(
    message: pb::SplitTrafficRequest,
    limits: &Limits,
) -> Result<Asked, RankError> {
    let mut faults = Faults::against(limits);
    let limit = ("the most shares", MOST_TARGETS);
    faults.bound(&"split", message.split.len(), limit, "shares");
    let limit = ("the most callers", MOST_TARGETS);
    faults.bound(&"callers", message.callers.len(), limit, "callers");
    let mut shares = BTreeMap::new();
    for (at, share) in message.split.iter().take(MOST_TARGETS).enumerate() {
        let target = faults.target(&format_args!("split[{at}].target"), &share.target);
        faults.percent(&format_args!("split[{at}].percent"), share.percent);
        if shares.insert(target, share.percent).is_some() {
            faults.add(format_args!("split[{at}].target"), "is named twice");
        }
    }
    let whole: f64 = shares.values().sum();
    if whole > 100.0 {
        faults.add("split", format!("adds up to {whole}, which is more than 100"));
    }
    let mut callers = BTreeMap::new();
    for (at, caller) in message.callers.iter().take(MOST_TARGETS).enumerate() {
        let place = format_args!("callers[{at}].caller");
        if caller.caller.is_empty() {
            faults.add(place, "is empty");
        }
        let limit = ("the longest name of a caller", MAX_CALLER_NAME_BYTES);
        faults.bound(&place, caller.caller.len(), limit, "bytes");
        let target = faults.target(&format_args!("callers[{at}].target"), &caller.target);
        if callers.insert(caller.caller.clone(), target).is_some() {
            faults.add(format_args!("callers[{at}].caller"), "is named twice");
        }
    }
    faults.asked(message.name, message.revision, Command::Split(shares, callers))
}

/// What `SetShadow` asks for.
pub(in crate::transport) fn shadow(
    message: pb::SetShadowRequest,
    limits: &Limits,
) -> Result<Asked, RankError> {
    let mut faults = Faults::against(limits);
    faults.percent(&"percent", message.percent);
    let share = if message.percent == 0.0 { 100.0 } else { message.percent };
    let shadow = match message.target.as_str() {
        "" => None,
        target => Some(ShadowSpec { version: faults.target(&"target", target), share }),
    };
    faults.asked(message.name, message.revision, Command::Shadow(shadow))
}

impl Faults<'_> {
    /// A version; it stands as a number in `serving.toml`.
    fn version(&mut self, version: u64) -> Version {
        if version == 0 || i64::try_from(version).is_err() {
            self.add("version", format!("is {version}; name one from 1 to {}", i64::MAX));
        }
        Version(version)
    }

    fn target(&mut self, field: &dyn std::fmt::Display, text: &str) -> Target {
        if text.is_empty() || text.len() > 64 {
            self.add(field, "is no version and no label of 1 to 64 bytes");
        }
        Target::parse(text)
    }

    fn percent(&mut self, field: &dyn std::fmt::Display, percent: f64) {
        if !(0.0..=100.0).contains(&percent) {
            self.add(field, format!("is {percent}, and must lie between 0 and 100"));
        }
    }

    fn asked(
        mut self,
        name: String,
        revision: String,
        command: Command,
    ) -> Result<Asked, RankError> {
        let model = ModelName::parse(&name);
        if model.is_none() {
            self.add("name", "is no model's name: write 1 to 64 of a-z 0-9 - _ .");
        }
        self.id(&"revision", &revision);
        self.none()?;
        let model = model.ok_or_else(|| RankError::field("name", "is no model's name"))?;
        let revision = Some(revision).filter(|revision| !revision.is_empty());
        Ok(Asked { model, command, revision: revision.map(|name| Revision::named(&name)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(got: Result<Asked, RankError>, want: &[&str]) {
        let fields: Vec<String> = match got {
            Ok(_) => Vec::new(),
            Err(RankError::Invalid(faults)) => {
                faults.into_iter().map(|fault| fault.field).collect()
            }
            Err(other) => panic!("{other}"),
        };
        assert_eq!(fields, want);
    }

    fn share(target: &str, percent: f64) -> pb::TrafficShare {
        pb::TrafficShare { target: target.to_owned(), percent }
    }

    fn caller(caller: &str, target: &str) -> pb::CallerVersion {
        pb::CallerVersion { caller: caller.to_owned(), target: target.to_owned() }
    }

    fn split_of(
        split: &[pb::TrafficShare],
        callers: &[pb::CallerVersion],
    ) -> pb::SplitTrafficRequest {
        pb::SplitTrafficRequest {
            name: "m".to_owned(),
            split: split.to_vec(),
            callers: callers.to_vec(),
            revision: String::new(),
        }
    }

    #[test]
    fn every_faulty_field_is_named() {
        let limits = Limits::default();
        let of = |name: &str, version| pb::LoadModelRequest {
            name: name.to_owned(),
            version,
            revision: String::new(),
        };
        check(load(of("m", 3), &limits), &[]);
        check(load(of("../m", 0), &limits), &["version", "name"]);
        check(load(of("m", u64::MAX), &limits), &["version"]);
        let two = [share("3", 60.0), share("canary", 40.0)];
        check(split(split_of(&two, &[caller("batch", "3")]), &limits), &[]);
        check(split(split_of(&[share("3", 60.0), share("4", 50.0)], &[]), &limits), &["split"]);
        let bad = [share("", 1.0), share("3", -1.0), share("3", f64::NAN)];
        let fields = ["split[0].target", "split[1].percent", "split[2].percent", "split[2].target"];
        check(split(split_of(&bad, &[]), &limits), &fields);
        let bad = [caller("", "3"), caller(&"x".repeat(65), "")];
        let fields = ["callers[0].caller", "callers[1].caller", "callers[1].target"];
        check(split(split_of(&[], &bad), &limits), &fields);
        let back = |reason: String| pb::RollbackModelRequest {
            name: "m".to_owned(),
            version: 0,
            reason,
            revision: "r".repeat(1000),
        };
        check(rollback(back("x".repeat(1025)), &limits), &["reason", "revision"]);
    }

    #[test]
    fn what_is_left_out_has_a_meaning() {
        let limits = Limits::default();
        let message = pb::SetShadowRequest {
            name: "m".to_owned(),
            target: "canary".to_owned(),
            ..pb::SetShadowRequest::default()
        };
        let spec = ShadowSpec { version: Target::Label("canary".to_owned()), share: 100.0 };
        let asked = shadow(message.clone(), &limits).unwrap();
        assert_eq!((asked.command, asked.revision), (Command::Shadow(Some(spec)), None));
        let none =
            pb::SetShadowRequest { target: String::new(), revision: "a".to_owned(), ..message };
        let asked = shadow(none, &limits).unwrap();
        assert_eq!(
            (asked.command, asked.revision),
            (Command::Shadow(None), Some(Revision::named("a")))
        );
    }
}
