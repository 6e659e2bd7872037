//! Versions that stay loaded for a while after their model's route has left them, so that a rollback is one pointer.
//!
//! What is known of this goes with the process: after a restart nothing is kept warm, and a rollback loads first.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use crate::{
    ids::{ModelId, ModelName, Version},
    repository::ServingFile,
};

/// The version of each model that its live route left last, and when; one a model, so that days of publishing do not add up in memory.
#[derive(Debug, Clone, Default)]
pub struct KeptWarm {
    left: BTreeMap<ModelName, (Version, Instant)>,
}

impl KeptWarm {
    /// Notes that a model's live route is led away from a version.
    pub fn leave(&mut self, model: &ModelName, from: Version, now: Instant) {
        self.left.insert(model.clone(), (from, now));
    }

    /// The versions that stay loaded, by how long the file says for each model; forgets the others.
    pub fn now(&mut self, file: &ServingFile, now: Instant) -> BTreeSet<ModelId> {
        self.left.retain(|model, (_, left)| now.duration_since(*left) < file.of(model).keep_warm);
        let id = |(name, (version, _)): (&ModelName, &(Version, Instant))| ModelId {
            name: name.clone(),
            version: *version,
        };
        self.left.iter().map(id).collect()
    }

    /// Lets all of them go: what they hold is needed.
    pub fn let_go(&mut self) {
        self.left.clear();
    }

    /// When the next of them is over.
    pub fn next_end(&self, file: &ServingFile) -> Option<Instant> {
        let ends = self.left.iter();
        let ends = ends.map(|(model, (_, left))| left.checked_add(file.of(model).keep_warm));
        ends.flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn told(warm: &BTreeSet<ModelId>) -> Vec<String> {
        warm.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_version_stays_as_long_as_the_file_says() {
        let (m, n) = (ModelName::parse("m").unwrap(), ModelName::parse("n").unwrap());
        let file = ServingFile::parse("[models.n]\nkeep_warm = \"5s\"").unwrap();
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        let mut warm = KeptWarm::default();
        assert_eq!(warm.next_end(&file), None);
        warm.leave(&m, Version(1), begun);
        warm.leave(&n, Version(1), at(1));
        assert_eq!(warm.next_end(&file), Some(at(6)));
        assert_eq!(told(&warm.now(&file, at(5))), ["m/1", "n/1"]);
        assert_eq!(told(&warm.now(&file, at(6))), ["m/1"]);
        assert_eq!(warm.next_end(&file), Some(at(600)));
        warm.leave(&m, Version(2), at(7));
        assert_eq!(told(&warm.now(&file, at(7))), ["m/2"]);
        let mut let_go = warm.clone();
        let_go.let_go();
        assert_eq!((let_go.next_end(&file), let_go.now(&file, at(7)).len()), (None, 0));
        let none = ServingFile::parse("[models.m]\nkeep_warm = \"0s\"").unwrap();
        assert_eq!(told(&warm.now(&none, at(7))), [""; 0]);
    }
}
