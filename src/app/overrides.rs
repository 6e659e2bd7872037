//! What this server rejects by itself, until `serving.toml` says it too or says something else.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{ids::ModelId, repository::ServingFile};

/// Rejections that hold here, whatever the file says, as long as it goes on saying it.
#[derive(Debug, Default)]
pub(super) struct Overrides {
    said: Mutex<Said>,
}

#[derive(Debug, Default)]
struct Said {
    file: ServingFile,
    rejected: BTreeMap<ModelId, Rejection>,
}

/// Why a version is rejected, and what has become of saying so.
#[derive(Debug, Clone)]
struct Rejection {
    reason: String,
    written: Result<bool, String>,
}

impl Overrides {
    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what the file says, and returns it with what is rejected here.
    ///
    /// What is rejected here of a model ends when the file says something else of that model than before.
    pub(super) fn with(&self, file: ServingFile) -> ServingFile {
        let mut said = self.said();
        let Said { file: before, rejected } = &mut *said;
        rejected.retain(|id, _| before.of(&id.name) == file.of(&id.name));
        before.clone_from(&file);
        let mut file = file;
        for (id, rejection) in rejected {
            let spec = file.models.entry(id.name.to_string()).or_default();
            spec.rejected.insert(id.version.to_string(), rejection.reason.clone());
        }
        file
    }

    /// Rejects a version here.
    pub(super) fn reject(&self, id: &ModelId, reason: &str) {
        let rejection = Rejection { reason: reason.to_owned(), written: Ok(false) };
        self.said().rejected.insert(id.clone(), rejection);
    }

    /// The rejections that are yet to be written, with their reasons.
    pub(super) fn unwritten(&self) -> Vec<(ModelId, String)> {
        let said = self.said();
        let unwritten = said.rejected.iter().filter(|(_, one)| one.written != Ok(true));
        unwritten.map(|(id, one)| (id.clone(), one.reason.clone())).collect()
    }

    /// Notes whether a rejection is written, or why it cannot be; says whether that is news.
    pub(super) fn note(&self, id: &ModelId, written: Result<(), String>) -> bool {
        let written = written.map(|()| true);
        let mut said = self.said();
        let Some(rejection) = said.rejected.get_mut(id) else { return false };
        let news = rejection.written != written;
        rejection.written = written;
        news
    }

    /// What is rejected here and cannot be written.
    pub(super) fn faults(&self) -> Vec<String> {
        let said = self.said();
        let fault = |(id, one): (&ModelId, &Rejection)| {
            let why = one.written.as_ref().err()?;
            Some(format!("{id} is rejected by this server alone ({}): {why}", one.reason))
        };
        said.rejected.iter().filter_map(fault).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::ids::{ModelName, Version};

    use super::*;

    fn id() -> ModelId {
        ModelId { name: ModelName::parse("shop").unwrap(), version: Version(4) }
    }

    fn file(text: &str) -> ServingFile {
        ServingFile::parse(text).unwrap()
    }

    fn reason(file: &ServingFile) -> Option<String> {
        file.of(&id().name).rejection(id().version).map(str::to_owned)
    }

    #[test]
    fn a_rejection_holds_while_the_file_goes_on_saying_the_same() {
        let overrides = Overrides::default();
        let split = "[models.shop]\nsplit = { 4 = 10 }";
        assert_eq!(reason(&overrides.with(file(split))), None);
        overrides.reject(&id(), "worse");
        for same in [split.to_owned(), format!("{split}\n[models.other]\nlive = 2")] {
            assert_eq!(reason(&overrides.with(file(&same))).as_deref(), Some("worse"));
        }
        assert_eq!(reason(&overrides.with(file("[models.shop]\nsplit = { 4 = 20 }"))), None);
        assert_eq!(reason(&overrides.with(file(split))), None, "it had ended");
        assert!(overrides.unwritten().is_empty());
    }

    #[test]
    fn what_cannot_be_written_is_told_until_it_is() {
        let overrides = Overrides::default();
        overrides.reject(&id(), "worse");
        assert_eq!(overrides.unwritten(), [(id(), "worse".to_owned())]);
        assert!(overrides.faults().is_empty());
        assert!(overrides.note(&id(), Err("disk full".to_owned())));
        assert!(!overrides.note(&id(), Err("disk full".to_owned())));
        let told = "shop/4 is rejected by this server alone (worse): disk full";
        assert_eq!((overrides.faults(), overrides.unwritten().len()), (vec![told.to_owned()], 1));
        assert!(overrides.note(&id(), Ok(())));
        assert!(overrides.faults().is_empty() && overrides.unwritten().is_empty());
    }
}
