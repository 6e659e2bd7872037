//! What the pipeline compiles of a loaded version: an encoder, a ranker, or what is asked by its tensors.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    batching::{Priority, Trip, Work},
    catalogue::Catalogue,
    deadline::Deadline,
    ids::{CallerName, ModelId},
    ranking::{
        error::RankError,
        features::{FeatureDescription, FeaturePlan, HistoryInput, load_vocabularies},
        figures::RequestFigures,
        recent::RecentRequests,
        request::RankRequest,
        tensor_model::TensorModel,
    },
    repository::{Bundle, DimSpec, Fault, Role, UnknownItems},
    serving::{ModelHandle, ServingError},
    telemetry::TraceContext,
    texts::Texts,
    users::{Embedding, Event},
};

/// How long the embedding of an empty history may take at load.
const DEFAULT_EMBEDDING_TIMEOUT: Duration = Duration::from_secs(60);

/// A published version.
#[derive(Debug, Clone)]
pub enum Model {
    /// Turns a history into an embedding.
    Encoder(Arc<Encoder>),
    /// Orders candidates.
    Ranker(Arc<Ranker>),
    /// Is asked by its tensors.
    Tensors(Arc<TensorModel>),
}

impl Model {
    /// The loaded version behind it.
    pub fn handle(&self) -> &ModelHandle {
        match self {
            Self::Encoder(encoder) => &encoder.handle,
            Self::Ranker(ranker) => &ranker.handle,
            Self::Tensors(model) => model.handle(),
        }
    }

    /// What is counted of the requests that it answers.
    pub fn figures(&self) -> &Arc<RequestFigures> {
        match self {
            Self::Encoder(encoder) => &encoder.figures,
            Self::Ranker(ranker) => &ranker.figures,
            Self::Tensors(model) => model.figures(),
        }
    }

    /// What it is for.
    pub fn role(&self) -> Role {
        match self {
            Self::Encoder(_) => Role::UserEncoder,
            Self::Ranker(_) => Role::Ranker,
            Self::Tensors(_) => Role::Tensors,
        }
    }

    /// Whether nobody else holds it: no registry, no request, and of an encoder no ranker.
    pub fn is_last(&self) -> bool {
        match self {
            Self::Encoder(encoder) => Arc::strong_count(encoder) == 1,
            Self::Ranker(ranker) => Arc::strong_count(ranker) == 1,
            Self::Tensors(model) => Arc::strong_count(model) == 1,
        }
    }
}

/// A user encoder.
#[derive(Debug)]
pub struct Encoder {
    pub(super) handle: ModelHandle,
    inputs: Vec<HistoryInput>,
    catalogue: Option<Catalogue>,
    max_length: usize,
    shape: Vec<usize>,
    default: Embedding,
    figures: Arc<RequestFigures>,
}

impl Encoder {
    /// Compiles a loaded encoder, and runs it once on an empty history for the embedding of an unknown shopper.
    ///
    /// # Errors
    /// [`ServingError::Repository`] with the faults of a file, or of an encoder that has no answer to an empty history.
    pub async fn compile(bundle: &Bundle, handle: ModelHandle) -> Result<Self, ServingError> {
        let manifest = &bundle.manifest;
        let faulty = |faults| bundle.faulty(faults);
        let vocabularies = load_vocabularies(bundle).map_err(faulty)?;
        let inputs = manifest.inputs.iter().map(|input| {
            let vocabulary = input.vocabulary.as_ref().and_then(|name| vocabularies.get(name));
            HistoryInput::new(input, vocabulary.cloned())
        });
        let mut encoder = Self {
            handle,
            inputs: inputs.collect(),
            catalogue: load_catalogue(bundle)?,
            max_length: manifest.history.as_ref().map_or(0, |h| h.max_length),
            shape: DimSpec::fixed(manifest.outputs.first().map_or(&[], |o| &o.shape)),
            default: Arc::default(),
            figures: Arc::default(),
        };
        let deadline = Deadline::after(Instant::now(), DEFAULT_EMBEDDING_TIMEOUT);
        encoder.default = encoder.encode(&[], deadline, None).await.map_err(|error| {
            let wrong = format!("has no answer to an empty history: {error}");
            let fix = "make the graph answer finite numbers for one padded event (mask 0)";
            faulty(vec![Fault::new("model.onnx", wrong, fix)])
        })?;
        Ok(encoder)
    }

    /// The model and version.
    pub fn id(&self) -> &ModelId {
        self.handle.id()
    }

    /// The shape of an embedding, without the user dimension.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The embedding of an empty history.
    pub fn default_embedding(&self) -> Embedding {
        Arc::clone(&self.default)
    }

    /// Runs the encoder on a user's events, oldest first; the most recent ones that it reads. Without a priority, it is as urgent as the
    /// model's configuration says.
    ///
    /// # Errors
    /// [`RankError`]: the queue's or the run's, or [`RankError::BadOutput`].
    pub async fn encode(
        &self,
        events: &[Event],
        deadline: Deadline,
        priority: Option<Priority>,
    ) -> Result<Embedding, RankError> {
        let trace = TraceContext::default();
        self.encode_noted(events, deadline, (priority, trace), &mut Trip::default()).await
    }

    /// The same; `trip` tells what the run went through, whatever comes of it.
    ///
    /// # Errors
    /// Those of [`Self::encode`].
    pub(super) async fn encode_noted(
        &self,
        events: &[Event],
        deadline: Deadline,
        (priority, trace): (Option<Priority>, TraceContext),
        trip: &mut Trip,
    ) -> Result<Embedding, RankError> {
        let recent = &events[events.len().saturating_sub(self.max_length)..];
        let catalogue = self.catalogue.as_ref();
        let inputs = self.inputs.iter().map(|input| input.tensor(recent, catalogue)).collect();
        let work = Work { inputs, deadline, priority, caller: CallerName::default(), trace };
        let outputs = self.handle.run_noted(work, trip).await?;
        let values = outputs.into_iter().next().map(|t| t.into_floats()).unwrap_or_default();
        let bad = |wrong| RankError::BadOutput {
            model: self.id().to_string(),
            output: self.handle.manifest().output_names().join(", "),
            wrong,
        };
        if values.len() != self.shape.iter().product::<usize>() {
            return Err(bad("has another shape than the manifest says"));
        }
        match values.iter().all(|value| value.is_finite()) {
            true => Ok(values.into()),
            false => Err(bad("is not finite")),
        }
    }
}

/// A ranker, with the encoder that it needs: the two are found together or not at all.
#[derive(Debug)]
pub struct Ranker {
    pub(super) handle: ModelHandle,
    pub(super) plan: FeaturePlan,
    pub(super) encoder: Option<Arc<Encoder>>,
    pub(super) further_heads: Vec<Arc<str>>,
    catalogue: Option<Arc<Catalogue>>,
    skips_unknown: bool,
    example: Option<RankRequest>,
    recent: Arc<RecentRequests>,
    figures: Arc<RequestFigures>,
}

impl Ranker {
    /// Compiles a loaded ranker.
    ///
    /// # Errors
    /// [`ServingError::Repository`] with the faults of a file, or of an encoder that does not fit.
    pub fn compile(
        bundle: &Bundle,
        handle: ModelHandle,
        encoder: Option<Arc<Encoder>>,
        example: Option<RankRequest>,
    ) -> Result<Self, ServingError> {
        let manifest = &bundle.manifest;
        check_embedding(bundle, encoder.as_deref())?;
        let catalogue = load_catalogue(bundle)?.map(Arc::new);
        let plan = FeaturePlan::compile(bundle, catalogue.clone())
            .map_err(|faults| bundle.faulty(faults))?;
        let unknown = manifest.catalogue.as_ref().map(|c| c.unknown_items);
        let further = manifest.outputs.iter().skip(1).map(|o| o.head().into());
        Ok(Self {
            further_heads: further.collect(),
            skips_unknown: unknown == Some(UnknownItems::Last),
            handle,
            plan,
            encoder,
            catalogue,
            example,
            recent: Arc::new(RecentRequests::new(0)),
            figures: Arc::default(),
        })
    }

    /// Has it keep what it is asked with what other versions of its model are asked; else it keeps nothing.
    pub fn remembering(self, recent: Arc<RecentRequests>) -> Self {
        Self { recent, ..self }
    }

    /// The last requests of its model.
    pub fn recent(&self) -> &RecentRequests {
        &self.recent
    }

    /// What is counted of the requests that it answers.
    pub fn figures(&self) -> &Arc<RequestFigures> {
        &self.figures
    }

    /// The model and version.
    pub fn id(&self) -> &ModelId {
        self.handle.id()
    }

    /// The encoder that it needs.
    pub fn encoder(&self) -> Option<&Encoder> {
        self.encoder.as_deref()
    }

    /// The features that a request may bring.
    pub fn features(&self) -> &[FeatureDescription] {
        self.plan.described()
    }

    /// The example that its bundle ships.
    pub fn example(&self) -> Option<&RankRequest> {
        self.example.as_ref()
    }

    /// Its item features, where it has a catalogue.
    pub fn catalogue(&self) -> Option<&Catalogue> {
        self.catalogue.as_deref()
    }

    /// Whether it reads the user's events or embedding.
    pub(super) fn has_user_side(&self) -> bool {
        self.encoder.is_some() || self.reads_history()
    }

    /// Whether it reads the events themselves.
    pub(super) fn reads_history(&self) -> bool {
        self.plan.reads_history()
    }

    /// The model whose name stored histories have: the encoder, or the ranker itself.
    pub fn history_owner(&self) -> &ModelId {
        self.encoder.as_ref().map_or_else(|| self.id(), |encoder| encoder.id())
    }

    /// Finds the candidates in the catalogue.
    pub(super) fn locate(&self, ids: &Texts) -> Located {
        let Some(catalogue) = &self.catalogue else {
            return Located {
                rows: vec![None; ids.len()],
                scored: (0..ids.len() as u32).collect(),
                missing: Vec::new(),
                left_out: Vec::new(),
            };
        };
        let rows = catalogue.rows(ids);
        let positions = 0..ids.len() as u32;
        let missing: Vec<u32> =
            positions.clone().filter(|&at| rows[at as usize].is_none()).collect();
        let scored = match self.skips_unknown {
            true => positions.filter(|&at| rows[at as usize].is_some()).collect(),
            false => positions.collect(),
        };
        Located { rows, scored, missing, left_out: Vec::new() }
    }
}

/// The candidates of a request as the catalogue has them.
pub(super) struct Located {
    /// The catalogue's row of each.
    pub(super) rows: Vec<Option<u32>>,
    /// Positions of those that are scored.
    pub(super) scored: Vec<u32>,
    /// Positions of those that the catalogue does not know.
    pub(super) missing: Vec<u32>,
    /// Positions of those that are not scored because time is short.
    pub(super) left_out: Vec<u32>,
}

fn load_catalogue(bundle: &Bundle) -> Result<Option<Catalogue>, ServingError> {
    Catalogue::load(bundle).map_err(|fault| bundle.faulty(vec![fault]).into())
}

/// Holds the shape that a ranker expects against what its encoder gives.
fn check_embedding(bundle: &Bundle, encoder: Option<&Encoder>) -> Result<(), ServingError> {
    let source = crate::repository::Source::UserEmbedding;
    let mut inputs = bundle.manifest.inputs.iter().filter(|input| input.source == source);
    let wrong = |at: String, wrong: String, fix: &str| {
        Err(bundle.faulty(vec![Fault::new(at, wrong, fix)]).into())
    };
    match (inputs.next(), encoder) {
        (Some(input), Some(encoder)) if DimSpec::fixed(&input.shape) != encoder.shape() => wrong(
            format!("inputs.{}.shape", input.name),
            format!("does not fit {}, which gives {:?}", encoder.id(), encoder.shape()),
            "name the encoder version that the ranker was trained with",
        ),
        _ => Ok(()),
    }
}
