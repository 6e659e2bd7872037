//! What was last seen of a version's directory, and how it looked when it was last tried.

use std::path::PathBuf;

use crate::{
    ids::{ModelId, ModelName, Version},
    repository::{EncoderRef, Found, Stamp, read_manifest},
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
    stamp: Stamp,
    tried: Option<Tried>,
}

/// How things were when a version was last tried.
#[derive(Debug)]
struct Tried {
    stamp: Stamp,
    /// Whether its encoder was ready.
    encoder: bool,
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
    pub(super) fn try_it(&mut self, encoder: bool) -> bool {
        let first = !self.is_as_tried();
        self.tried = Some(Tried { stamp: self.stamp.clone(), encoder });
        first
    }

    /// Whether the directory looks as it did when it was last tried.
    pub(super) fn is_as_tried(&self) -> bool {
        self.tried.as_ref().is_some_and(|tried| tried.stamp == self.stamp)
    }

    /// Whether another try may end otherwise than the last one: the files have changed, or it lacked its encoder, which may come now.
    pub(super) fn is_worth_a_try(&self, encoder_may_come: bool) -> bool {
        self.tried
            .as_ref()
            .is_none_or(|tried| tried.stamp != self.stamp || (!tried.encoder && encoder_may_come))
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
        assert!(sighting.try_it(false), "it was tried before it was there");
        assert!(!sighting.is_worth_a_try(false) && sighting.is_worth_a_try(true));
        assert!(!sighting.try_it(true));
        assert!(!sighting.is_worth_a_try(true));
        fs::write(path.join("model.onnx"), "more").unwrap();
        sighting.see(&found(path), false);
        assert!(sighting.is_worth_a_try(false) && sighting.try_it(false));
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
