//! `serving.toml`: what of the repository shall serve, for everybody who follows it.
//!
//! `docs/models.md` describes it for people.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{
    ids::ModelName,
    repository::{error::Fault, serving_spec::ServingSpec},
};

/// The file's name in the repository's directory.
pub const SERVING_FILE: &str = "serving.toml";

/// What shall serve; models that it does not name are served as without the file.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServingFile {
    /// By the model's name.
    #[serde(default)]
    pub models: BTreeMap<String, ServingSpec>,
}

impl ServingFile {
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::{
        ids::Version,
        repository::serving_spec::{Live, LoadWhich},
    };

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
    fn traffic_is_read_with_versions_and_labels() {
        let text = r#"
            [models.shop]
            live = 3
            previous = 2
            keep_warm = "5m"
            labels = { canary = 4 }
            split = { canary = 10, 5 = 2.5 }
            callers = { batch = 2, tests = "canary" }
            rejected = { 6 = "it was worse" }
            loaded = [1]
            shadow = { version = "canary", share = 20 }
            guard_rails = { min_requests = 50, promote = false }
            limits = { max_memory_mib = 100, max_trial_time = "5s" }
        "#;
        let file = ServingFile::parse(text).unwrap();
        let spec = file.of(&ModelName::parse("shop").unwrap());
        let split: Vec<(String, f64)> =
            spec.split.iter().map(|(t, s)| (t.to_string(), *s)).collect();
        assert_eq!(split, [("5".to_owned(), 2.5), ("canary".to_owned(), 10.0)]);
        let versions: Vec<_> = spec.targets().map(|target| spec.version_of(target)).collect();
        let want = [5, 4, 2, 4, 4].map(|version| Some(Version(version)));
        assert_eq!(versions, want);
        assert_eq!(spec.rejection(Version(6)), Some("it was worse"));
        assert_eq!(spec.rejection(Version(5)), None);
        assert_eq!(spec.keep_warm, Duration::from_secs(300));
        let rails = spec.guard_rails.unwrap();
        assert_eq!((rails.min_requests, rails.promote, rails.top_k), (50, false, 10));
        assert_eq!(spec.limits.max_trial_time, Duration::from_secs(5));
    }

    #[test]
    fn traffic_that_cannot_be_is_refused() {
        let text = r#"
            [models.shop]
            split = { 1 = 60, 2 = 50 }
            rejected = { canary = "x" }
            shadow = { version = 3, share = 101 }
        "#;
        check(text, Err(&["rejected.canary: is no version", "more than 100", "shadow.share"]));
        let limits =
            "limits = { max_memory_mib = 0, max_trial_time = \"0s\", max_cost_ratio = nan }";
        check(
            &format!("[models.shop]\n{limits}"),
            Err(&["limits.max_memory_mib: is 0", "limits.max_trial_time", "limits.max_cost_ratio"]),
        );
        check("[models.shop]\nshadow = { share = 5 }", Err(&["missing field `version`"]));
    }

    #[test]
    fn what_is_wrong_is_named() {
        check("[models.shop]\nlife = 3", Err(&["unknown field `life`"]));
        check("[modles.shop]\nlive = 3", Err(&["unknown field `modles`"]));
        check("[models.shop]\nlive = \"newest\"", Err(&["not \"newest\""]));
        check("[models.shop]\nlive = -1", Err(&["a version such as 3"]));
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
}
