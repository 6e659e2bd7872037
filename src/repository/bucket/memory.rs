//! What was last seen in the store, also on disk, so that a start without the store can go on with what is kept.

use std::{collections::BTreeMap, fs, path::Path};

use serde::{Deserialize, Serialize};

use crate::{
    ids::{ModelId, ModelName, Version},
    repository::bucket::listing::Objects,
};

/// What was seen of a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SeenVersion {
    /// What stands for its manifest in the cache.
    pub(super) manifest: String,
    pub(super) objects: Objects,
}

/// Everything that was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) versions: BTreeMap<ModelId, SeenVersion>,
    /// What `serving.toml` said.
    pub(super) serving: String,
}

/// The same as it is written.
#[derive(Serialize, Deserialize)]
struct Written {
    versions: Vec<(String, u64, SeenVersion)>,
    serving: String,
}

impl Seen {
    /// Reads what was written; nothing where that cannot be read.
    pub(super) fn read(path: &Path) -> Option<Self> {
        Self::parse(&fs::read(path).ok()?)
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let written: Written = serde_json::from_slice(bytes).ok()?;
        let mut versions = BTreeMap::new();
        for (name, version, seen) in written.versions {
            let name = ModelName::parse(&name)?;
            if !seen.manifest.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return None;
            }
            versions.insert(ModelId { name, version: Version(version) }, seen);
        }
        Some(Self { versions, serving: written.serving })
    }

    /// It as it is written.
    pub(super) fn text(&self) -> String {
        let one = |(id, seen): (&ModelId, &SeenVersion)| {
            (id.name.to_string(), id.version.0, seen.clone())
        };
        let versions = self.versions.iter().map(one).collect();
        let written = Written { versions, serving: self.serving.clone() };
        serde_json::to_string(&written).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use crate::repository::bucket::listing::Object;

    use super::*;

    fn seen(manifest: &str) -> Seen {
        let object = Object { bytes: 3, modified_ms: 4, e_tag: Some("\"x\"".to_owned()) };
        let objects = Objects::from([("model.toml".to_owned(), object)]);
        let id = ModelId { name: ModelName::parse("m").unwrap(), version: Version(10) };
        let version = SeenVersion { manifest: manifest.to_owned(), objects };
        Seen { versions: BTreeMap::from([(id, version)]), serving: "[models.m]\n".to_owned() }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let all = seen("0a1f");
        assert_eq!(Seen::parse(all.text().as_bytes()), Some(all));
        assert_eq!(Seen::parse(seen("../x").text().as_bytes()), None);
        assert_eq!(Seen::parse(b"{\"versions\": ["), None);
        assert_eq!(Seen::read(Path::new("/nowhere/at/all")), None);
    }
}
