//! What was last seen of a version's directory, and how it looked when it was last tried.

use std::{path::PathBuf, time::Instant};

use crate::{
    ids::{ModelId, ModelName, Version},
    repository::{EncoderRef, Found, Stamp, VersionLimits, read_manifest},
};

/// A version's directory as it was last seen.
#[derive(Debug, Default)]
pub(super) struct Sighting {
    pub(super) path: PathBuf,
    /// Whether the directory is still there.
    pub(super) there: bool,
    /// The encoder version that the manifest names; of a version that is held, as it was loaded.
    pub(super) needs: Option<ModelId>,
    /// Whether the manifest declares a catalogue; none where it cannot be read.
    pub(super) declares_catalogue: Option<bool>,
    /// Whether it was found half-way, and nothing is tried until the next look.
    pub(super) copying: bool,
    /// What it last waited for on its way here.
    pub(super) waits: Option<String>,
    /// When it is tried again although nothing of it has changed.
    pub(super) again_at: Option<Instant>,
    stamp: Stamp,
    tried: Option<Tried>,
}

/// How things were when a version was last tried.
#[derive(Debug)]
struct Tried {
    stamp: Stamp,
    /// Whether its encoder was ready.
    encoder: bool,
    /// What it might take.
    limits: VersionLimits,
}

impl Sighting {
    /// Takes in what the repository has; the manifest is read where the directory has changed and the version is not held.
    pub(super) fn see(&mut self, found: &Found, held: bool) {
        let changed = self.stamp != found.stamp;
        if changed && held {
            tracing::warn!(
                model = %found.id,
                "the directory of a loaded version has changed and is not read again; publish changes as a new version"
            );
        }
        self.there = true;
        if !changed {
            return;
        }
        self.path.clone_from(&found.path);
        self.stamp = found.stamp.clone();
        if !held {
            let manifest = read_manifest(&found.path).ok();
            self.declares_catalogue = manifest.as_ref().map(|m| m.catalogue.is_some());
            self.needs = manifest.and_then(|manifest| manifest.encoder).and_then(|e| id_of(&e));
        }
    }

    /// Notes that it is tried as it is now; says whether it was never tried like this.
    pub(super) fn try_it(&mut self, encoder: bool, limits: VersionLimits) -> bool {
        let first = !self.is_as_tried();
        self.again_at = None;
        self.tried = Some(Tried { stamp: self.stamp.clone(), encoder, limits });
        first
    }

    /// Whether the directory looks as it did when it was last tried.
    pub(super) fn is_as_tried(&self) -> bool {
        self.tried.as_ref().is_some_and(|tried| tried.stamp == self.stamp)
    }

    /// Whether another try may end otherwise than the last one: the files or its limits have changed, it lacked its encoder, which may come
    /// now, or it lacked something else, which may be there after a while.
    pub(super) fn is_worth_a_try(&self, encoder_may_come: bool, limits: &VersionLimits) -> bool {
        let after_a_while = self.again_at.is_some_and(|at| at <= Instant::now());
        after_a_while || self.has_changed(encoder_may_come, limits)
    }

    fn has_changed(&self, encoder_may_come: bool, limits: &VersionLimits) -> bool {
        self.tried.as_ref().is_none_or(|tried| {
            let lacked = !tried.encoder && encoder_may_come;
            tried.stamp != self.stamp || tried.limits != *limits || lacked
        })
    }
}

fn id_of(encoder: &EncoderRef) -> Option<ModelId> {
    Some(ModelId { name: ModelName::parse(&encoder.name)?, version: Version(encoder.version) })
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    fn found(path: &Path) -> Found {
        let id = ModelId { name: ModelName::parse("m").unwrap(), version: Version(1) };
        Found { id, path: path.to_owned(), stamp: Stamp::of(path) }
    }

    #[test]
    fn it_is_tried_again_when_something_has_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let mut sighting = Sighting::default();
        sighting.see(&found(path), false);
        let limits = VersionLimits::default();
        assert!(sighting.try_it(false, limits.clone()), "it was tried before it was there");
        assert!(!sighting.is_worth_a_try(false, &limits) && sighting.is_worth_a_try(true, &limits));
        assert!(!sighting.try_it(true, limits.clone()));
        assert!(!sighting.is_worth_a_try(true, &limits));
        let other = VersionLimits { accept_new_signature: true, ..limits.clone() };
        assert!(sighting.is_worth_a_try(true, &other));
        fs::write(path.join("model.onnx"), "more").unwrap();
        sighting.see(&found(path), false);
        assert!(sighting.is_worth_a_try(false, &limits) && sighting.try_it(false, limits));
    }

    #[test]
    fn it_is_tried_again_when_its_time_has_come() {
        let folder = tempfile::tempdir().unwrap();
        let mut sighting = Sighting::default();
        sighting.see(&found(folder.path()), false);
        let limits = VersionLimits::default();
        sighting.try_it(true, limits.clone());
        let now = Instant::now();
        sighting.again_at = Some(now + std::time::Duration::from_secs(3600));
        assert!(!sighting.is_worth_a_try(true, &limits));
        sighting.again_at = Some(now);
        assert!(sighting.is_worth_a_try(true, &limits));
        assert!(!sighting.try_it(true, limits.clone()), "it looks as when it was tried");
        assert!(!sighting.is_worth_a_try(true, &limits), "it is tried once when its time has come");
    }

    #[test]
    fn what_a_held_version_needs_is_what_it_was_loaded_with() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let manifest = |version: u64| {
            let text = format!(
                "format = 1\nrole = \"ranker\"\n[encoder]\nname = \"e\"\nversion = {version}"
            );
            fs::write(path.join("model.toml"), text).unwrap();
        };
        let mut sighting = Sighting::default();
        manifest(1);
        sighting.see(&found(path), false);
        manifest(22);
        sighting.see(&found(path), true);
        assert_eq!(sighting.needs.as_ref().unwrap().version, Version(1));
        manifest(333);
        sighting.see(&found(path), false);
        assert_eq!(sighting.needs.as_ref().unwrap().version, Version(333));
    }
}
