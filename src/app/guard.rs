//! Asks the guard rails every second, and obeys: a version that breaks one is taken back, one that keeps to all of them is promoted.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    thread,
    time::Duration,
};

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::{
    app::overrides::Overrides,
    ids::ModelId,
    ranking::Model,
    repository::{Edit, EditError, Place, RepositoryError, ServingFile, change, edited},
    serving::{Beside, Comparison, Labels, Registry, Said, TrafficRules, Verdict, comparisons},
};

/// How often the rails are asked.
const INTERVAL: Duration = Duration::from_secs(1);

/// Obeys the guard rails.
pub(super) struct Guard {
    pub(super) registry: Arc<Registry<Model>>,
    pub(super) place: Place,
    /// The labels of the configuration.
    pub(super) labels: Labels,
    pub(super) overrides: Arc<Overrides>,
    /// What was last told of each version.
    pub(super) told: BTreeMap<ModelId, Verdict>,
    /// Why the last promotion could not be written.
    pub(super) fault: Option<String>,
}

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
enum GuardError {
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    #[error(transparent)]
    Edit(#[from] EditError),
}

impl Guard {
    /// Starts a thread of its own, so that a version that fails is taken back while another is being loaded.
    ///
    /// # Errors
    /// That of a thread that cannot be started.
    pub(super) fn start(mut self, stop: CancellationToken) -> std::io::Result<()> {
        let runtime = Handle::current();
        let guard = async move {
            loop {
                tokio::time::sleep(INTERVAL).await;
                self.look().await;
            }
        };
        thread::Builder::new().name("guard-rails".to_owned()).spawn(move || {
            runtime.block_on(stop.run_until_cancelled(guard));
        })?;
        Ok(())
    }

    async fn look(&mut self) {
        let all = comparisons(&self.registry);
        let known: BTreeSet<&ModelId> = all.iter().map(|one| &one.version).collect();
        self.told.retain(|id, _| known.contains(id));
        for comparison in &all {
            self.tell(comparison);
            match (&comparison.verdict, comparison.beside) {
                (Some(Verdict::Fails(reason)), Beside::Canary) => {
                    self.overrides.reject(&comparison.version, reason);
                    self.registry.divert(&comparison.version);
                }
                (Some(Verdict::Passes), Beside::Canary) => self.promote(comparison).await,
                _ => {}
            }
        }
        for (id, reason) in self.overrides.unwritten() {
            self.roll_back(&id, reason).await;
        }
    }

    /// Logs a verdict once.
    fn tell(&mut self, comparison: &Comparison) {
        let Some(verdict) = &comparison.verdict else { return };
        let (id, baseline) = (&comparison.version, comparison.baseline.0);
        let requests = comparison.requests;
        match (verdict, self.told.get(id)) {
            (Verdict::Fails(_), Some(Verdict::Fails(_)))
            | (Verdict::Passes, Some(Verdict::Passes))
            | (Verdict::Waits(_), _) => return,
            (Verdict::Fails(reason), _) => {
                tracing::warn!(model = %id, baseline, requests, reason, "a version breaks its guard rails");
            }
            (Verdict::Passes, _) => {
                tracing::info!(model = %id, baseline, requests, "a version keeps to its guard rails");
            }
        }
        self.told.insert(id.clone(), verdict.clone());
    }

    /// Writes that a version is rejected; it has no requests any more from this server.
    async fn roll_back(&self, id: &ModelId, reason: String) {
        let edit = Edit::Rollback { version: id.version, reason, to: None };
        let written = self.write(id, &edit).await;
        if self.overrides.note(id, written.clone().map(drop)) {
            match written {
                Ok(true) => tracing::warn!(model = %id, "a version is rolled back"),
                Ok(false) => tracing::info!(model = %id, "a version is on trial no more"),
                Err(fault) => {
                    tracing::error!(model = %id, fault, "a version is rolled back by this server alone");
                }
            }
        }
    }

    async fn promote(&mut self, comparison: &Comparison) {
        let (id, previous) = (&comparison.version, Some(comparison.baseline));
        let edit = Edit::Promote { version: id.version, previous };
        let promotes = self.registry.traffic().get(&id.name).is_some_and(|traffic| {
            traffic.rules().rails.as_ref().is_some_and(|rails| rails.promote)
        });
        if !promotes {
            return;
        }
        let written = self.write(id, &edit).await;
        let fault = written.as_ref().err().cloned();
        if fault != self.fault {
            if let Some(fault) = &fault {
                tracing::error!(model = %id, fault, "a version cannot be promoted");
            }
            self.fault = fault;
        }
        if written == Ok(true) {
            tracing::info!(model = %id, from = comparison.baseline.0, "a version is promoted");
        }
    }

    /// Changes what the file says of a version, unless it is on trial no more: somebody else was quicker. Says whether it was changed.
    async fn write(&self, id: &ModelId, edit: &Edit) -> Result<bool, String> {
        let edits = std::slice::from_ref(edit);
        let changed = change(&self.place, None, |said| match self.is_on_trial(&said.text, id)? {
            true => Ok((edited(&said.text, &id.name, edits)?, true)),
            false => Ok((said.text.clone(), false)),
        });
        let changed: Result<_, GuardError> = changed.await;
        changed.map(|(_, changed)| changed).map_err(|error| error.to_string())
    }

    fn is_on_trial(&self, text: &str, id: &ModelId) -> Result<bool, EditError> {
        let file = ServingFile::parse(text).map_err(EditError::AtFault)?;
        let (found, unfit) = (BTreeMap::new(), BTreeSet::new());
        let said =
            Said { found: &found, unfit: &unfit, warm: &unfit, file: &file, labels: &self.labels };
        Ok(TrafficRules::of(&said.spec_of(&id.name)).shares.contains_key(&id.version))
    }
}
