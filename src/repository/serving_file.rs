//! `serving.toml`: what of the repository shall serve, for everybody who follows it.
//!
//! `docs/models.md` describes it for people.

use std::{collections::BTreeMap, fs, io, path::Path};

use serde::{Deserialize, Deserializer, de};

use crate::{
    ids::{ModelName, Version},
    repository::error::{Fault, RepositoryError},
};

/// The file's name in the repository's directory.
pub const SERVING_FILE: &str = "serving.toml";

/// A file that is larger says something else.
const MOST_BYTES: u64 = 1 << 20;

/// Longest label in bytes.
const MOST_LABEL_BYTES: usize = 64;

/// What shall serve; models that it does not name are served as without the file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServingFile {
    /// By the model's name.
    #[serde(default)]
    pub models: BTreeMap<String, ServingSpec>,
}

/// What of one model shall serve.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServingSpec {
    /// The version that answers who names neither version nor label.
    pub live: Live,
    /// The version that each label names.
    pub labels: BTreeMap<String, u64>,
    /// Which versions are loaded.
    pub load: LoadWhich,
}

/// The version that answers who names neither version nor label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Live {
    /// The highest that can be loaded.
    #[default]
    Latest,
    /// This one.
    Version(u64),
}

impl<'de> Deserialize<'de> for Live {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "`live` must be a version such as 3, or \"latest\"")]
        enum Written {
            Version(u64),
            Word(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Version(version) => Ok(Self::Version(version)),
            Written::Word(word) if word == "latest" => Ok(Self::Latest),
            Written::Word(word) => {
                let wrong =
                    format!("`live` must be a version such as 3, or \"latest\", not \"{word}\"");
                Err(de::Error::custom(wrong))
            }
        }
    }
}

/// Which versions of a model are loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoadWhich {
    /// All that are in the repository.
    #[default]
    All,
    /// The live one, those that have a label, and encoder versions that a ranker needs which is loaded.
    Live,
}

impl ServingFile {
    /// Reads the file of a repository; without one, nothing is said of any model.
    ///
    /// # Errors
    /// [`RepositoryError::Faulty`] with everything that is wrong with it.
    pub fn read(root: &Path) -> Result<Self, RepositoryError> {
        let path = root.join(SERVING_FILE);
        let faulty = |faults| RepositoryError::Faulty { path: path.clone(), faults };
        let unreadable = |cause: io::Error| {
            let fix = "make it a file that the server may read, or take it away";
            faulty(vec![Fault::new(SERVING_FILE, format!("cannot be read: {cause}"), fix)])
        };
        match fs::metadata(&path) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(cause) => return Err(unreadable(cause)),
            Ok(metadata) if !metadata.is_file() => {
                return Err(unreadable(io::Error::other("it is no file")));
            }
            Ok(metadata) if metadata.len() > MOST_BYTES => {
                return Err(unreadable(io::Error::other("it is larger than 1 MiB")));
            }
            Ok(_) => {}
        }
        let text = fs::read_to_string(&path).map_err(unreadable)?;
        Self::parse(&text).map_err(faulty)
    }

    /// Reads the file's text.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(text: &str) -> Result<Self, Vec<Fault>> {
        let file: Self = toml::from_str(text).map_err(|cause| {
            let fix = "mend that line; docs/models.md lists every key";
            vec![Fault::new(SERVING_FILE, cause.to_string().trim_end().to_owned(), fix)]
        })?;
        let faults: Vec<Fault> =
            file.models.iter().flat_map(|(name, spec)| spec.faults(name)).collect();
        match faults.is_empty() {
            true => Ok(file),
            false => Err(faults),
        }
    }

    /// What it says of a model.
    pub fn of(&self, name: &ModelName) -> ServingSpec {
        self.models.get(name.as_str()).cloned().unwrap_or_default()
    }
}

impl ServingSpec {
    fn faults(&self, name: &str) -> Vec<Fault> {
        let mut faults = Vec::new();
        let key = format!("models.{name}");
        let mut need = |fits: bool, at: String, wrong: &str, fix: &str| {
            if !fits {
                faults.push(Fault::new(at, wrong, fix));
            }
        };
        let rule = "write 1 to 64 of a-z 0-9 - _ .";
        need(ModelName::parse(name).is_some(), key.clone(), "is no model's name", rule);
        let positive = "write a whole number from 1 on";
        need(self.live != Live::Version(0), format!("{key}.live"), "is 0", positive);
        for (label, version) in &self.labels {
            let at = format!("{key}.labels.{label}");
            need(*version > 0, at.clone(), "is 0", positive);
            let reserved = "take another name: `latest` is the highest version that is loaded";
            need(label != "latest", at.clone(), "is reserved", reserved);
            let fits = (1..=MOST_LABEL_BYTES).contains(&label.len());
            need(fits, at, "has no name of 1 to 64 bytes", "give the label such a name");
        }
        faults
    }

    /// The live version where one is named.
    pub fn live_version(&self) -> Option<Version> {
        match self.live {
            Live::Latest => None,
            Live::Version(version) => Some(Version(version)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Said<'a> = (Live, &'a [(&'a str, u64)], LoadWhich);

    #[track_caller]
    fn check(text: &str, want: Result<Said<'_>, &[&str]>) {
        let got = ServingFile::parse(text).map(|file| {
            let spec = file.of(&ModelName::parse("shop").unwrap());
            (spec.live, spec.labels, spec.load)
        });
        match (got, want) {
            (Ok((live, labels, load)), Ok(want)) => {
                let labels: Vec<(&str, u64)> =
                    labels.iter().map(|(label, version)| (label.as_str(), *version)).collect();
                assert_eq!((live, labels.as_slice(), load), want);
            }
            (Err(faults), Err(want)) => {
                assert_eq!(faults.len(), want.len(), "{faults:?}");
                for (fault, words) in faults.iter().zip(want) {
                    assert!(fault.to_string().contains(words), "{fault}");
                }
            }
            (got, want) => panic!("{got:?} is not {want:?}"),
        }
    }

    #[test]
    fn what_is_left_out_is_as_without_the_file() {
        check("", Ok((Live::Latest, &[], LoadWhich::All)));
        check("[models.other]\nlive = 2", Ok((Live::Latest, &[], LoadWhich::All)));
        check("[models.shop]", Ok((Live::Latest, &[], LoadWhich::All)));
    }

    #[test]
    fn every_key_is_read() {
        check(
            "[models.shop]\nlive = 3\nlabels = { stable = 2, canary = 3 }\nload = \"live\"",
            Ok((Live::Version(3), &[("canary", 3), ("stable", 2)], LoadWhich::Live)),
        );
        check(
            "[models.shop]\nlive = \"latest\"\nload = \"all\"",
            Ok((Live::Latest, &[], LoadWhich::All)),
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        check("[models.shop]\nlife = 3", Err(&["unknown field `life`"]));
        check("[modles.shop]\nlive = 3", Err(&["unknown field `modles`"]));
        check("[models.shop]\nlive = \"newest\"", Err(&["not \"newest\""]));
        check("[models.shop]\nlive = -1", Err(&["`live` must be a version such as 3"]));
        check("[models.shop]\nload = \"some\"", Err(&["unknown variant `some`"]));
        check("[models.shop]\nlive = 3\nlive = 4", Err(&["duplicate key"]));
        check("[models.shop\n", Err(&["line 1"]));
        check(
            "[models.shop]\nlive = 0\nlabels = { latest = 1, \"\" = 2 }\n[models.\"../x\"]",
            Err(&[
                "models.../x: is no model's name",
                "models.shop.live: is 0",
                "no name",
                "latest: is reserved",
            ]),
        );
    }

    #[test]
    fn a_repository_need_not_have_one() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(ServingFile::read(root.path()).unwrap(), ServingFile::default());
        fs::create_dir(root.path().join(SERVING_FILE)).unwrap();
        assert!(ServingFile::read(root.path()).unwrap_err().to_string().contains("no file"));
    }
}
