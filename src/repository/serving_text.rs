//! `serving.toml` as text, and which state of the file that is.

/// A `serving.toml` that is larger says something else.
pub(super) const MOST_BYTES: u64 = 1 << 20;

/// Which state of `serving.toml` a text is; none where there is no file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Revision(Option<String>);

/// What `serving.toml` says, as text, and which state of it that is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServingText {
    /// The text; empty where there is no file.
    pub text: String,
    /// The state.
    pub revision: Revision,
}

impl std::fmt::Display for Revision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.as_deref().unwrap_or_default())
    }
}

impl Revision {
    /// The state that has this name; an empty one: there is no file.
    pub fn named(name: &str) -> Self {
        Self(Some(name.to_owned()).filter(|name| !name.is_empty()))
    }

    /// The state's name; none where there is no file.
    pub(super) fn name(&self) -> Option<&str> {
        self.0.as_deref()
    }
}
