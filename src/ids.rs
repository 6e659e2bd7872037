//! Names that order and compare as what they are.

use std::{borrow::Borrow, fmt, sync::Arc};

/// The name of a model: the name of its directory in the model repository.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModelName(Arc<str>);

/// Longest name of a model in bytes.
pub const MAX_MODEL_NAME_BYTES: usize = 64;

impl ModelName {
    /// Takes a name that has 1 to 64 characters of `a-z 0-9 - _ .` and starts with a letter or digit.
    pub fn parse(name: &str) -> Option<Self> {
        let fits = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"-_.".contains(&c);
        let starts = name.bytes().next().is_some_and(|c| c.is_ascii_alphanumeric());
        (starts && name.len() <= MAX_MODEL_NAME_BYTES && name.bytes().all(fits))
            .then(|| Self(name.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for ModelName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The service that asks; empty where it did not say.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct CallerName(Arc<str>);

/// Longest name of a caller in bytes.
pub const MAX_CALLER_NAME_BYTES: usize = 64;

impl CallerName {
    /// Takes a name of at most 64 bytes.
    pub fn parse(name: &str) -> Option<Self> {
        (name.len() <= MAX_CALLER_NAME_BYTES).then(|| Self(name.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The version of a model; orders as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version(pub u64);

impl Version {
    /// Takes a positive whole number without a sign or leading zeros.
    pub fn parse(text: &str) -> Option<Self> {
        let plain = text.bytes().all(|c| c.is_ascii_digit()) && !text.starts_with('0');
        plain.then(|| text.parse().ok()).flatten().map(Self)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One version of one model.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModelId {
    /// The model.
    pub name: ModelName,
    /// Its version.
    pub version: Version,
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.name, self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_version(text: &str, want: Option<u64>) {
        assert_eq!(Version::parse(text), want.map(Version), "{text:?}");
    }

    #[test]
    fn version_is_a_positive_number() {
        check_version("1", Some(1));
        check_version("10", Some(10));
        check_version("18446744073709551615", Some(u64::MAX));
        check_version("18446744073709551616", None);
        check_version("0", None);
        check_version("01", None);
        check_version("-1", None);
        check_version("+1", None);
        check_version("", None);
        check_version("1.tmp", None);
    }

    #[test]
    fn versions_order_as_numbers() {
        assert!(Version(9) < Version(10));
    }

    #[track_caller]
    fn check_name(text: &str, valid: bool) {
        assert_eq!(ModelName::parse(text).is_some(), valid, "{text:?}");
    }

    #[test]
    fn model_name_cannot_leave_its_directory() {
        check_name("grocery-ranker", true);
        check_name("m2.v_1", true);
        check_name("", false);
        check_name(".", false);
        check_name("..", false);
        check_name("a/b", false);
        check_name("a\0b", false);
        check_name("%2e", false);
        check_name("Über", false);
        check_name(&"a".repeat(65), false);
    }
}
