//! Before a ranker is published: what callers send is held against it, and requests are run through it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    app::{example::load_example, warm_up_file::load_warm_up},
    deadline::Deadline,
    ranking::{Misfits, RankError, RankRequest, Ranker, Replayed, misfits, replay},
    repository::{Bundle, Fault, SERVING_FILE},
    serving::ServingError,
    transport::Limits,
};

/// How long recent requests may be held against a version.
const COMPARING: Duration = Duration::from_secs(2);

/// How long requests may be run through a version.
const REPLAYING: Duration = Duration::from_secs(2);

/// Fields that are told of those for which a version refuses what callers send.
const MOST_FIELDS: usize = 8;

/// A ranker that is about to be published.
pub(super) struct Rehearsal<'a> {
    pub(super) bundle: &'a Bundle,
    pub(super) ranker: &'a Ranker,
    /// The version of the same model that answers who names none, if that is another one.
    pub(super) live: Option<&'a Ranker>,
    pub(super) limits: &'a Limits,
    /// Whether it may refuse what callers of the live version send.
    pub(super) accept_new_signature: bool,
}

/// Requests of one origin, and how each is called.
struct Batch {
    requests: Vec<Arc<RankRequest>>,
    names: Vec<String>,
    /// Whether it is a fault that the version refuses one; of callers' requests that has been told, of the example it may want a catalogue.
    must_be_taken: bool,
}

impl Rehearsal<'_> {
    /// Holds the version against recent requests, then runs those of its bundle and the recent ones through it.
    ///
    /// # Errors
    /// [`ServingError::Repository`]: the version refuses what callers send, fails, or answers what is no finite number.
    pub(super) async fn run(&self) -> Result<(), ServingError> {
        let recent = self.ranker.recent().latest_first();
        self.hold_against_callers(&recent)?;
        let begun = Instant::now();
        let deadline = Deadline::after(begun, REPLAYING);
        let (mut answered, mut refused, mut left_out) = ([0; 3], 0, 0);
        let batches = [self.shipped()?, self.example()?, of_callers(recent)];
        for (batch, answered) in batches.into_iter().zip(&mut answered) {
            let replayed = replay(self.ranker, &batch.requests, deadline).await;
            let replayed = replayed.map_err(|failed| self.failed(&batch, &failed))?;
            self.check_refused(&batch, &replayed)?;
            *answered = replayed.answered;
            refused += replayed.refused.len();
            left_out += replayed.left_out;
        }
        let (model, took_ms) = (self.ranker.id(), begun.elapsed().as_millis() as u64);
        let [of_bundle, example, recent] = answered;
        tracing::info!(%model, of_bundle, example, recent, refused, left_out, took_ms, "requests were replayed");
        Ok(())
    }

    fn hold_against_callers(&self, recent: &[Arc<RankRequest>]) -> Result<(), ServingError> {
        let (Some(live), model) = (self.live, self.ranker.id()) else {
            return Ok(());
        };
        let until = Deadline::after(Instant::now(), COMPARING);
        let found = misfits(self.ranker, live, recent, until);
        let Misfits { of, refused, .. } = found;
        if of == 0 {
            let live = live.id();
            tracing::info!(%model, %live, "its signature was not judged: no recent request of the live version is known");
            return Ok(());
        }
        if refused == 0 {
            tracing::info!(%model, of, "it takes what callers of the live version send");
            return Ok(());
        }
        let faults = self.signature_faults(live, &found);
        if self.accept_new_signature {
            for fault in faults {
                let (field, wrong) = (fault.at, fault.wrong);
                tracing::warn!(%model, field, wrong, "it refuses what callers of the live version send, which is accepted");
            }
            return Ok(());
        }
        Err(self.bundle.faulty(faults).into())
    }

    fn signature_faults(&self, live: &Ranker, found: &Misfits) -> Vec<Fault> {
        let name = &self.ranker.id().name;
        let fix = format!(
            "give the input a default, or have callers send what it needs before; or set models.{name}.limits.accept_new_signature = true in {SERVING_FILE}"
        );
        let told = |(field, (wrong, requests)): (&String, &(String, usize))| {
            let wrong = format!(
                "{wrong}. {requests} of the last {of} requests that {live} answers would be refused for it",
                of = found.of,
                live = live.id()
            );
            Fault::new(field, wrong, &fix)
        };
        found.fields.iter().take(MOST_FIELDS).map(told).collect()
    }

    fn shipped(&self) -> Result<Batch, ServingError> {
        let faulty = |fault| self.bundle.faulty(vec![fault]);
        let shipped = load_warm_up(self.bundle, self.limits).map_err(faulty)?;
        let file = self.bundle.manifest.warm_up.as_ref().map_or("", |spec| &spec.file);
        let (numbers, requests): (Vec<usize>, Vec<_>) = shipped.into_iter().unzip();
        let names = numbers.iter().map(|number| format!("{file}, line {number}")).collect();
        Ok(Batch { requests, names, must_be_taken: true })
    }

    fn example(&self) -> Result<Batch, ServingError> {
        let faulty = |fault| self.bundle.faulty(vec![fault]);
        let example = load_example(self.bundle, self.limits).map_err(faulty)?;
        let file = self.bundle.manifest.example.as_ref().map_or("", |spec| &spec.file);
        let requests: Vec<_> = example.into_iter().map(Arc::new).collect();
        Ok(Batch { names: vec![file.to_owned(); requests.len()], requests, must_be_taken: false })
    }

    fn failed(&self, batch: &Batch, (place, error): &(usize, RankError)) -> ServingError {
        let fix =
            "mend the graph, so that it answers finite numbers, and publish it as a new version";
        let at = batch.names.get(*place).map_or("a request", String::as_str);
        let wrong = format!("it fails when the version is tried with it: {error}");
        self.bundle.faulty(vec![Fault::new(at, wrong, fix)]).into()
    }

    fn check_refused(&self, batch: &Batch, replayed: &Replayed) -> Result<(), ServingError> {
        if !batch.must_be_taken || replayed.refused.is_empty() {
            return Ok(());
        }
        let fix = "write requests that the model takes, with the features that GetServerInfo lists";
        let told = |(place, why): &(usize, String)| {
            let name = batch.names.get(*place).map_or("a request", String::as_str);
            Fault::new(name, format!("the model refuses it: {why}"), fix)
        };
        let faults = replayed.refused.iter().take(MOST_FIELDS).map(told);
        Err(self.bundle.faulty(faults.collect()).into())
    }
}

fn of_callers(requests: Vec<Arc<RankRequest>>) -> Batch {
    let names = vec!["a recent request".to_owned(); requests.len()];
    Batch { requests, names, must_be_taken: false }
}
