//! What of an object store's keys are bundles.

use std::collections::BTreeMap;

use object_store::{ObjectMeta, path::Path};
use serde::{Deserialize, Serialize};

use crate::{
    ids::{ModelId, ModelName, Version},
    repository::{
        contents::{MANIFEST, is_plain},
        stamp::Stamp,
    },
};

/// An object as a store lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Object {
    pub(super) bytes: u64,
    pub(super) modified_ms: i64,
    pub(super) e_tag: Option<String>,
}

/// The objects of a version, by the names of their files.
pub(super) type Objects = BTreeMap<String, Object>;

/// The versions below a prefix: keys `<prefix>/<name>/<version>/<file>`, where `model.toml` is one of the files.
///
/// Any other key is none of a bundle's business.
pub(super) fn versions(prefix: &Path, listed: &[ObjectMeta]) -> BTreeMap<ModelId, Objects> {
    let mut all: BTreeMap<ModelId, Objects> = BTreeMap::new();
    for meta in listed {
        let Some((id, file)) = part_of(prefix, meta.location.as_ref()) else {
            continue;
        };
        let object = Object {
            bytes: meta.size,
            modified_ms: meta.last_modified.timestamp_millis(),
            e_tag: meta.e_tag.clone(),
        };
        all.entry(id).or_default().insert(file.to_owned(), object);
    }
    all.retain(|_, objects| objects.contains_key(MANIFEST));
    all
}

/// The version that a key belongs to, and the file's name.
fn part_of<'a>(prefix: &Path, key: &'a str) -> Option<(ModelId, &'a str)> {
    let rest = match prefix.as_ref() {
        "" => key,
        prefix => key.strip_prefix(prefix)?.strip_prefix('/')?,
    };
    let mut parts = rest.split('/');
    let name = ModelName::parse(parts.next()?)?;
    let version = Version::parse(parts.next()?)?;
    let file = parts.next().filter(|file| is_plain(file))?;
    parts.next().is_none().then_some((ModelId { name, version }, file))
}

/// The key of a version's file; the name must be plain.
pub(super) fn key_of(prefix: &Path, id: &ModelId, file: &str) -> Option<Path> {
    let below = format!("{}/{}/{file}", id.name, id.version);
    let key = match prefix.as_ref() {
        "" => below,
        prefix => format!("{prefix}/{below}"),
    };
    // What the store listed is taken as it stands: `Path::from` would escape what needs none.
    Path::parse(key).ok()
}

/// What tells one state of a version from another; it is another one, too, when its manifest has come.
pub(super) fn stamp_of(objects: &Objects, manifest_is_here: bool) -> Stamp {
    Stamp::listed(
        manifest_is_here,
        objects.iter().map(|(name, object)| {
            (name.as_str(), object.bytes, object.modified_ms, object.e_tag.as_deref())
        }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(keys: &[&str]) -> Vec<ObjectMeta> {
        let meta = |key: &&str| ObjectMeta {
            location: Path::parse(key).unwrap(),
            last_modified: Default::default(),
            size: 1,
            e_tag: None,
            version: None,
        };
        keys.iter().map(meta).collect()
    }

    #[track_caller]
    fn check(prefix: &str, keys: &[&str], want: &[(&str, &[&str])]) {
        let found = versions(&Path::parse(prefix).unwrap(), &listed(keys));
        let got: Vec<(String, Vec<&str>)> = found
            .iter()
            .map(|(id, objects)| (id.to_string(), objects.keys().map(String::as_str).collect()))
            .collect();
        let want: Vec<(String, Vec<&str>)> =
            want.iter().map(|(id, files)| ((*id).to_owned(), files.to_vec())).collect();
        assert_eq!(got, want);
    }

    #[test]
    fn a_version_is_there_with_its_manifest() {
        let keys = ["m/10/model.toml", "m/10/model.onnx", "m/9/model.onnx", "m/9/model.toml"];
        let files: &[&str] = &["model.onnx", "model.toml"];
        check("", &keys, &[("m/9", files), ("m/10", files)]);
        check("", &["m/1/model.onnx"], &[]);
        check(
            "a",
            &["a/m/1/model.toml", "m/2/model.toml", "ab/m/3/model.toml"],
            &[("m/1", &["model.toml"])],
        );
        check("a/b", &["a/b/m/1/model.toml", "a/m/2/model.toml"], &[("m/1", &["model.toml"])]);
    }

    #[test]
    fn a_key_of_another_form_is_no_bundle() {
        for key in [
            "model.toml",
            "m/model.toml",
            "m/1/x/model.toml",
            "m/01/model.toml",
            "m/0/model.toml",
            "m/+1/model.toml",
            "M/1/model.toml",
            "%2e%2e/1/model.toml",
            "%2e%2e/%2e%2e/model.toml",
            "m/%2e%2e/model.toml",
            "m\\1/1/model.toml",
            ".m/1/model.toml",
            "m/1/MODEL.TOML",
        ] {
            check("", &[key], &[]);
        }
        let odd = ["m/1/model.toml", "m/1/a\\b", "m/1/%2e%2e", "m/1/..x", "m/1/x/y"];
        check("", &odd, &[("m/1", &["%2e%2e", "..x", "model.toml"])]);
    }

    #[test]
    fn a_key_leads_back_to_its_object() {
        let id = ModelId { name: ModelName::parse("m").unwrap(), version: Version(3) };
        for (prefix, file, want) in [
            ("", "model.onnx", Some("m/3/model.onnx")),
            ("a/b", "x y%2e", Some("a/b/m/3/x y%2e")),
            ("", "..", None),
            ("", "a\0b", None),
        ] {
            let key = key_of(&Path::parse(prefix).unwrap(), &id, file);
            assert_eq!(key.as_ref().map(AsRef::as_ref), want, "{file:?}");
        }
    }

    #[test]
    fn any_change_of_an_object_makes_another_stamp() {
        let object = Object { bytes: 1, modified_ms: 2, e_tag: Some("x".to_owned()) };
        let of = |object: Object| stamp_of(&Objects::from([("f".to_owned(), object)]), true);
        let first = of(object.clone());
        let objects = Objects::from([("f".to_owned(), object.clone())]);
        assert_ne!(first, stamp_of(&objects, false));
        assert_eq!(first, of(object.clone()));
        assert_ne!(first, of(Object { bytes: 2, ..object.clone() }));
        assert_ne!(first, of(Object { modified_ms: 3, ..object.clone() }));
        assert_ne!(first, of(Object { e_tag: Some("y".to_owned()), ..object }));
    }
}
