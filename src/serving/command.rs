//! What a change that somebody asks for is in `serving.toml`, and whether it may be made as things are: pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    ids::{ModelId, ModelName, Version},
    repository::{Edit, Live, ServingSpec, ShadowSpec, Target},
    serving::{
        command_error::{CommandError, Conflict},
        error::joined,
        life::{Life, State},
    },
};

/// What is asked for, of one model.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// A version shall be loaded.
    Load(Version),
    /// A version shall not be loaded.
    Unload(Version),
    /// A version shall be the live one.
    Promote(Target),
    /// A version shall be taken back; none: the highest that has a share of the users, or else the live one.
    Rollback(Option<Version>, String),
    /// These shall have shares of the users, in percent, and these callers a version of their own.
    Split(BTreeMap<Target, f64>, BTreeMap<String, Target>),
    /// This one shall score live requests off the answer's path.
    Shadow(Option<ShadowSpec>),
}

/// How things are with the model.
#[derive(Debug, Clone, Copy)]
pub struct Scene<'a> {
    /// The model.
    pub model: &'a ModelName,
    /// What `serving.toml` says of it.
    pub spec: &'a ServingSpec,
    /// The labels of the configuration.
    pub labels: &'a BTreeMap<String, u64>,
    /// Its versions that are in the repository or held.
    pub versions: &'a BTreeMap<Version, Life>,
    /// The version that answers requests which name neither version nor label.
    pub answering: Option<Version>,
    /// Versions that a loaded ranker needs, each with that.
    pub needed: &'a BTreeMap<Version, ModelId>,
}

/// What is done.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The changes to `serving.toml`.
    pub edits: Vec<Edit>,
    /// The version that is promoted or taken back.
    pub version: Option<Version>,
}

/// Decides on a change.
///
/// # Errors
/// [`CommandError`]: what is not there, and everything that it conflicts with.
pub fn decide(command: &Command, scene: &Scene<'_>) -> Result<Decision, CommandError> {
    let only = |edit: Edit| Decision { edits: vec![edit], version: None };
    match command {
        Command::Load(version) => {
            scene.can_serve(*version, true)?;
            Ok(only(Edit::Load(*version)))
        }
        Command::Unload(version) => {
            scene.known(*version)?;
            scene.none(scene.holds(*version))?;
            Ok(only(Edit::Unload(*version)))
        }
        Command::Promote(target) => {
            let version = scene.version_of(target)?;
            scene.can_serve(version, false)?;
            let edit = Edit::Promote { version, previous: scene.before(version) };
            Ok(Decision { edits: vec![edit], version: Some(version) })
        }
        Command::Rollback(version, reason) => scene.roll_back(*version, reason),
        Command::Split(shares, callers) => {
            for target in shares.keys().chain(callers.values()) {
                scene.can_serve(scene.version_of(target)?, true)?;
            }
            let edits = vec![Edit::Split(shares.clone()), Edit::Callers(callers.clone())];
            Ok(Decision { edits, version: None })
        }
        Command::Shadow(shadow) => {
            if let Some(shadow) = shadow {
                let version = scene.version_of(&shadow.version)?;
                scene.can_serve(version, true)?;
                let live = "is live; a version is not compared with itself".to_owned();
                scene
                    .none(scene.is_live(version).then(|| scene.conflict("LIVE", version, live)))?;
            }
            Ok(only(Edit::Shadow(shadow.clone())))
        }
    }
}

impl Scene<'_> {
    fn known(&self, version: Version) -> Result<&Life, CommandError> {
        self.versions.get(&version).ok_or_else(|| CommandError::UnknownVersion {
            name: self.model.clone(),
            version,
            known: joined(self.versions.keys()),
        })
    }

    fn version_of(&self, target: &Target) -> Result<Version, CommandError> {
        match target {
            Target::Version(version) => Ok(*version),
            Target::Label(label) => {
                let configured = || self.labels.get(label).copied().map(Version);
                let named = self.spec.version_of(target).or_else(configured);
                named.ok_or_else(|| self.unknown_label(label))
            }
        }
    }

    fn unknown_label(&self, label: &str) -> CommandError {
        let known: BTreeSet<&String> = self.spec.labels.keys().chain(self.labels.keys()).collect();
        CommandError::UnknownLabel {
            name: self.model.clone(),
            label: label.to_owned(),
            known: joined(known.into_iter()),
        }
    }

    fn conflict(&self, kind: &'static str, version: Version, wrong: String) -> Conflict {
        let subject = format!("{}/{version}", self.model);
        Conflict { kind, wrong: format!("{subject} {wrong}"), subject }
    }

    fn none(&self, conflicts: impl IntoIterator<Item = Conflict>) -> Result<(), CommandError> {
        let conflicts: Vec<Conflict> = conflicts.into_iter().collect();
        match conflicts.is_empty() {
            true => Ok(()),
            false => Err(CommandError::Conflicts(conflicts)),
        }
    }

    /// A version that cannot be loaded, or must not, does not come to serve by being asked for.
    fn can_serve(&self, version: Version, unless_rejected: bool) -> Result<(), CommandError> {
        let life = self.known(version)?;
        let why = life.reason.as_deref().unwrap_or("the log has the reason");
        let failed = (life.state == State::Failed).then(|| {
            let wrong = format!("has failed and cannot be loaded: {why}");
            self.conflict("FAILED", version, wrong)
        });
        let rejected = self.spec.rejection(version).filter(|_| unless_rejected).map(|why| {
            let wrong = format!("is rejected ({why}); promote it, which ends that");
            self.conflict("REJECTED", version, wrong)
        });
        self.none(failed.into_iter().chain(rejected))
    }

    fn is_live(&self, version: Version) -> bool {
        match self.spec.live {
            Live::Version(live) => live == version.0,
            Live::Latest => self.answering == Some(version),
        }
    }

    /// Everything that a version is needed for.
    fn holds(&self, version: Version) -> Vec<Conflict> {
        let mut all = Vec::new();
        let mut add = |holds: bool, kind, wrong: String| {
            if holds {
                all.push(self.conflict(kind, version, wrong));
            }
        };
        let spec = self.spec;
        let names = |target: &Target| spec.version_of(target) == Some(version);
        let live = self.is_live(version) || self.answering == Some(version);
        let is_latest = spec.live == Live::Latest && self.highest_but(None) == Some(version);
        add(live || is_latest, "LIVE", "is live; promote another version first".to_owned());
        let configured = self.labels.iter().filter(|(label, _)| !spec.labels.contains_key(*label));
        let labels = spec.labels.iter().chain(configured);
        for (label, _) in labels.filter(|(_, labelled)| **labelled == version.0) {
            add(true, "LABEL", format!("has the label `{label}`; give that to another one first"));
        }
        let shares = spec.split.keys().any(&names);
        add(shares, "SPLIT", "has a share of the users; take that away first".to_owned());
        for (caller, _) in spec.callers.iter().filter(|(_, target)| names(target)) {
            add(true, "CALLER", format!("answers the caller `{caller}`; take that away first"));
        }
        let shadow = spec.shadow.as_ref().is_some_and(|shadow| names(&shadow.version));
        add(shadow, "SHADOW", "is the shadow; take that away first".to_owned());
        if let Some(ranker) = self.needed.get(&version) {
            add(true, "NEEDED", format!("is needed by {ranker}; unload that first"));
        }
        all
    }

    /// The version that was live before another is: the one that the file names, unless it never came to answer.
    fn before(&self, version: Version) -> Option<Version> {
        let loaded = |live: &Version| self.versions.get(live).is_some_and(|l| l.state.is_loaded());
        match self.spec.live {
            Live::Version(live) if live == version.0 => None,
            Live::Version(live) => Some(Version(live)).filter(loaded).or(self.answering),
            Live::Latest => self.answering,
        }
    }

    /// The highest version that `latest` can lead to, another than one.
    fn highest_but(&self, but: Option<Version>) -> Option<Version> {
        let shadow = self.spec.shadow.iter().map(|shadow| &shadow.version);
        let tried = self.spec.split.keys().chain(shadow);
        let tried: Vec<Version> = tried.filter_map(|one| self.spec.version_of(one)).collect();
        let fit = self.versions.iter().filter(|(version, life)| {
            let may = life.state != State::Failed && self.spec.rejection(**version).is_none();
            may && Some(**version) != but && !tried.contains(version)
        });
        fit.map(|(version, _)| *version).max()
    }

    fn roll_back(&self, version: Option<Version>, reason: &str) -> Result<Decision, CommandError> {
        let tried = self.spec.split.iter().filter(|(_, share)| **share > 0.0);
        let tried = tried.filter_map(|(target, _)| self.spec.version_of(target)).max();
        let live = self.spec.live_version().or(self.answering);
        let Some(version) = version.or(tried).or(live) else {
            let wrong =
                format!("no version of `{}` answers; there is none to go back from", self.model);
            let subject = self.model.to_string();
            return Err(CommandError::Conflicts(vec![Conflict { kind: "LIVE", subject, wrong }]));
        };
        self.known(version)?;
        let to = match self.is_live(version) {
            true => self.back_from(version)?,
            false => None,
        };
        let edit = Edit::Rollback { version, reason: reason.to_owned(), to };
        Ok(Decision { edits: vec![edit], version: Some(version) })
    }

    /// The version to go back to; none where `latest` leads there.
    fn back_from(&self, version: Version) -> Result<Option<Version>, CommandError> {
        let may = |back: &Version| *back != version && self.spec.rejection(*back).is_none();
        let state = |version: &Version| self.versions.get(version).map(|life| life.state);
        let previous = self.spec.previous.map(Version);
        let previous =
            previous.filter(|back| may(back) && state(back).is_some_and(|s| s != State::Failed));
        let lower = || {
            let ready = |back: &&Version| may(back) && state(back).is_some_and(State::is_loaded);
            self.versions.range(..version).map(|(lower, _)| lower).filter(ready).max().copied()
        };
        let Some(back) = previous.or_else(lower) else {
            let wrong = "is live, and there is none to go back to: no version was live before, and no lower one is loaded that is not rejected; load or promote another".to_owned();
            return Err(CommandError::Conflicts(vec![self.conflict(
                "NO_PREVIOUS",
                version,
                wrong,
            )]));
        };
        let latest =
            self.spec.live == Live::Latest && self.highest_but(Some(version)) == Some(back);
        Ok((!latest).then_some(back))
    }
}

#[cfg(test)]
mod tests {
    use crate::repository::{ServingFile, edited};

    use super::*;

    const VERSIONS: [(u64, State); 6] = [
        (1, State::Freed),
        (2, State::Ready),
        (3, State::Ready),
        (4, State::Ready),
        (5, State::Failed),
        (6, State::Found),
    ];

    /// What the file says afterwards, or the kinds of conflicts.
    fn told(file: &str, command: Command, answering: u64) -> String {
        let model = ModelName::parse("m").unwrap();
        let text = format!("[models.m]\n{file}");
        let life = |(version, state)| (Version(version), Life { state, reason: None });
        let scene = Scene {
            model: &model,
            spec: &ServingFile::parse(&text).unwrap().of(&model),
            labels: &BTreeMap::from([("old".to_owned(), 2)]),
            versions: &VERSIONS.into_iter().map(life).collect(),
            answering: Some(Version(answering)).filter(|version| version.0 > 0),
            needed: &BTreeMap::from([(
                Version(6),
                ModelId { name: ModelName::parse("r").unwrap(), version: Version(1) },
            )]),
        };
        match decide(&command, &scene) {
            Ok(decision) => {
                let text = edited(&text, &model, &decision.edits).unwrap();
                let lines = text.lines().skip(1).filter(|line| !line.is_empty());
                let lines = lines.map(|line| line.replace("[models.m.rejected]", "rejected:"));
                lines.collect::<Vec<_>>().join(" ")
            }
            Err(CommandError::Conflicts(conflicts)) => {
                conflicts.iter().map(|conflict| conflict.kind).collect::<Vec<_>>().join(" ")
            }
            Err(error) => format!("{}: {error}", error.reason()),
        }
    }

    #[track_caller]
    fn check(file: &str, command: Command, want: &str) {
        assert_eq!(told(file, command, 4), want);
    }

    fn promote(target: &str) -> Command {
        Command::Promote(Target::parse(target))
    }

    fn roll_back(version: u64) -> Command {
        Command::Rollback(Some(Version(version)).filter(|v| v.0 > 0), "bad".to_owned())
    }

    fn unload(version: u64) -> Command {
        Command::Unload(Version(version))
    }

    #[test]
    fn what_answers_before_a_promotion_can_be_gone_back_to() {
        check("", promote("3"), "live = 3 previous = 4");
        check("live = 2", promote("3"), "live = 3 previous = 2");
        check("live = 6", promote("3"), "live = 3 previous = 4");
        check("live = 3\nprevious = 2", promote("3"), "live = 3 previous = 2");
        check("", promote("4"), "live = 4");
        assert_eq!(told("", promote("3"), 0), "live = 3");
        check("labels = { canary = 3 }", promote("canary"), "live = 3 previous = 4");
        check("", promote("old"), "live = 2 previous = 4");
        check("rejected = { 3 = \"x\" }", promote("3"), "live = 3 previous = 4");
    }

    #[test]
    fn what_cannot_serve_is_not_asked_to() {
        check("", promote("5"), "FAILED");
        check("", Command::Load(Version(5)), "FAILED");
        check("rejected = { 3 = \"x\" }", Command::Load(Version(3)), "REJECTED");
        let shares = |target: &str| BTreeMap::from([(Target::parse(target), 10.0)]);
        check("rejected = { 3 = \"x\" }", Command::Split(shares("3"), BTreeMap::new()), "REJECTED");
        check("", Command::Split(shares("6"), BTreeMap::new()), "split = { 6 = 10 }");
        let shadow = |target| {
            Command::Shadow(Some(ShadowSpec { version: Target::parse(target), share: 20.0 }))
        };
        check("", shadow("5"), "FAILED");
        check("", shadow("4"), "LIVE");
        check("live = 2", shadow("4"), "live = 2 shadow = { version = 4, share = 20 }");
        let callers = BTreeMap::from([("batch".to_owned(), Target::parse("new"))]);
        let told = told("", Command::Split(BTreeMap::new(), callers), 4);
        assert!(told.contains("no label `new`") && told.contains("labels are: old"), "{told}");
    }

    #[test]
    fn what_is_not_there_is_named() {
        assert!(told("", promote("7"), 4).contains(
            "MODEL_NOT_FOUND: `m` is not in the repository in version 7; there are: 1, 2"
        ));
        assert!(told("", unload(7), 4).starts_with("MODEL_NOT_FOUND"));
        assert!(told("", roll_back(7), 4).starts_with("MODEL_NOT_FOUND"));
        assert!(told("", promote("canary"), 4).starts_with("MODEL_NOT_FOUND"));
    }

    #[test]
    fn what_is_used_is_not_unloaded() {
        check("live = 4", unload(3), "live = 4 unloaded = [3]");
        check("live = 4", unload(4), "LIVE");
        check("live = 3", unload(4), "LIVE");
        check("", unload(6), "LIVE NEEDED");
        check("", unload(2), "LABEL");
        check(
            "labels = { old = 3, new = 3 }\nsplit = { new = 5 }\ncallers = { batch = 3 }\nshadow = { version = 3 }",
            unload(3),
            "LABEL LABEL SPLIT CALLER SHADOW",
        );
        check("labels = { old = 3 }", unload(2), "labels = { old = 3 } unloaded = [2]");
    }

    #[test]
    fn a_rollback_goes_to_what_was_live_or_to_the_next_lower_one() {
        check("live = 4\nprevious = 2", roll_back(0), "live = 2 rejected: 4 = \"bad\"");
        check("live = 4", roll_back(0), "live = 3 rejected: 4 = \"bad\"");
        check("live = 4\nprevious = 1", roll_back(4), "live = 1 rejected: 4 = \"bad\"");
        check("live = 4\nprevious = 5", roll_back(4), "live = 3 rejected: 4 = \"bad\"");
        check(
            "live = 4\nrejected = { 3 = \"x\" }",
            roll_back(0),
            "live = 2 rejected = { 3 = \"x\", 4 = \"bad\" }",
        );
        check("live = 2", roll_back(0), "NO_PREVIOUS");
        assert_eq!(told("", roll_back(0), 0), "LIVE");
    }

    #[test]
    fn latest_stays_where_it_leads_to_the_same_version() {
        check("", roll_back(0), "live = 3 rejected: 4 = \"bad\"");
        check("rejected = { 6 = \"x\" }", roll_back(0), "rejected = { 6 = \"x\", 4 = \"bad\" }");
        check(
            "shadow = { version = 6 }",
            roll_back(0),
            "shadow = { version = 6 } rejected: 4 = \"bad\"",
        );
        check(
            "rejected = { 6 = \"x\" }\nprevious = 2",
            roll_back(0),
            "rejected = { 6 = \"x\", 4 = \"bad\" } live = 2",
        );
    }

    #[test]
    fn what_has_a_share_is_rolled_back_before_what_is_live() {
        check(
            "live = 3\nsplit = { 2 = 5, 4 = 10, 6 = 0 }",
            roll_back(0),
            "live = 3 split = { 2 = 5, 6 = 0 } rejected: 4 = \"bad\"",
        );
        check(
            "live = 4\nsplit = { 3 = 5 }\nprevious = 2",
            roll_back(4),
            "live = 2 split = { 3 = 5 } rejected: 4 = \"bad\"",
        );
        check("live = 4", roll_back(6), "live = 4 rejected: 6 = \"bad\"");
    }
}
