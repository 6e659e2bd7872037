//! How the inputs of a ranker are made, compiled once from its manifest.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    catalogue::{Catalogue, Vocabulary},
    ranking::{
        error::{FieldFault, RankError},
        features::{
            column::ColumnFeature,
            counted::CountedHistories,
            description::{FeatureDescription, FeatureScope},
            history::HistoryInput,
            item_index::ItemIndexFeature,
            sources::Sources,
            text::{self, TextFeature, Tokenised},
            user_item::{UserItemFeatures, UserItems},
            values::ValueRule,
        },
        request::{Column, RankRequest, Values},
    },
    repository::{Bundle, DimSpec, Fault, InputSpec, Layout, Source},
    tensor::{Tensor, TensorData},
    users::{Event, History},
};

/// What several inputs of one request share.
struct Prepared<'a> {
    /// The user's events that are read, oldest first.
    recent: &'a [Event],
    items: Arc<UserItems>,
    /// Where the candidates stand in `items`.
    places: Vec<Vec<u32>>,
    texts: Vec<(&'a str, Tokenised<'a>)>,
}

/// How one input of the graph is made.
#[derive(Debug)]
enum Binding {
    UserEmbedding,
    UserIndex(ValueRule),
    Context(ColumnFeature),
    Candidate(ColumnFeature),
    PriorScore(ValueRule),
    ItemIndex(ItemIndexFeature),
    /// The number of a user-item input.
    UserItem(usize),
    CandidateMask(ValueRule),
    History(HistoryInput),
    Tokens(TextFeature),
}

/// How the inputs of a ranker are made, compiled once from its manifest.
#[derive(Debug)]
pub(in crate::ranking) struct FeaturePlan {
    inputs: Vec<PlannedInput>,
    layout: Layout,
    catalogue: Option<Arc<Catalogue>>,
    history_length: usize,
    texts: BTreeMap<String, text::TextTemplate>,
    described: Vec<FeatureDescription>,
    user_items: UserItemFeatures,
    counted: CountedHistories,
    /// The catalogue's columns, which a request may bring whether a catalogue is loaded or not.
    declared: BTreeSet<String>,
}

#[derive(Debug)]
struct PlannedInput {
    binding: Binding,
    /// Whether the value of the request is repeated for each candidate.
    repeated: bool,
    /// The fixed dims behind the leading ones.
    trailing: Vec<usize>,
}

impl FeaturePlan {
    /// Compiles a ranker's manifest, which has been held against its graph.
    ///
    /// # Errors
    /// The [`Fault`]s of files that it names: vocabularies, tokenizers; or of columns that are of the wrong type.
    pub(in crate::ranking) fn compile(
        bundle: &Bundle,
        catalogue: Option<Arc<Catalogue>>,
    ) -> Result<Self, Vec<Fault>> {
        let manifest = &bundle.manifest;
        let vocabularies = load_vocabularies(bundle)?;
        let texts = text::load(bundle, catalogue.as_deref())?;
        let mut inputs = Vec::new();
        let mut faults = Vec::new();
        let mut user_items = UserItemFeatures::default();
        for input in &manifest.inputs {
            match bind(input, catalogue.as_deref(), &vocabularies, &mut user_items) {
                Ok(binding) => inputs.push(PlannedInput {
                    binding,
                    repeated: input.shape.first().is_some_and(|dim| dim.is("rows")),
                    trailing: DimSpec::fixed(&input.shape),
                }),
                Err(fault) => faults.push(fault),
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let mut plan = Self {
            inputs,
            user_items,
            counted: CountedHistories::default(),
            layout: manifest.layout,
            catalogue,
            history_length: manifest.history.as_ref().map_or(0, |h| h.max_length),
            texts,
            described: Vec::new(),
            declared: manifest.catalogue.iter().flat_map(|c| c.columns.keys()).cloned().collect(),
        };
        plan.described = plan.describe();
        Ok(plan)
    }

    /// Whether an input depends on the user's history.
    pub(in crate::ranking) fn reads_history(&self) -> bool {
        self.inputs
            .iter()
            .any(|input| matches!(input.binding, Binding::UserItem(_) | Binding::History(_)))
    }

    /// The features that a request may bring.
    pub(in crate::ranking) fn described(&self) -> &[FeatureDescription] {
        &self.described
    }

    /// How much text of the request may have to be tokenised.
    pub(in crate::ranking) fn text_bytes(&self, request: &RankRequest) -> usize {
        if self.texts.is_empty() {
            return 0;
        }
        let texts = request.candidates.columns.iter().filter_map(|column| match &column.values {
            Values::Strings(all) => Some(all.bytes()),
            _ => None,
        });
        texts.sum()
    }

    /// Makes one tensor for each input, in the order of the manifest.
    ///
    /// # Errors
    /// [`RankError::Invalid`] naming a column that is missing, unknown, or of the wrong type.
    pub(in crate::ranking) fn build(
        &self,
        sources: &Sources<'_>,
    ) -> Result<Vec<Tensor>, RankError> {
        self.refuse_unknown_columns(sources.request)?;
        let recent = &sources.history[sources.history.len().saturating_sub(self.history_length)..];
        let (catalogue, items) = (self.catalogue.as_deref(), self.count(sources.history, recent));
        let prepared = Prepared {
            recent,
            places: self.user_items.places(&items, sources, catalogue),
            items,
            texts: self.tokenise(sources)?,
        };
        self.inputs.iter().map(|input| self.tensor(input, sources, &prepared)).collect()
    }

    /// What the user did, counted; nothing where no input asks for it.
    fn count(&self, history: &History, recent: &[Event]) -> Arc<UserItems> {
        match self.user_items.is_empty() {
            true => Arc::default(),
            false => self
                .counted
                .of(history, || self.user_items.count(recent, self.catalogue.as_deref())),
        }
    }

    fn tokenise<'a>(
        &'a self,
        sources: &Sources<'_>,
    ) -> Result<Vec<(&'a str, Tokenised<'a>)>, RankError> {
        self.texts
            .iter()
            .map(|(name, template)| {
                let tokens = template.tokenise(sources, self.catalogue.as_deref())?;
                Ok((name.as_str(), tokens))
            })
            .collect()
    }

    fn tensor(
        &self,
        input: &PlannedInput,
        sources: &Sources<'_>,
        prepared: &Prepared<'_>,
    ) -> Result<Tensor, RankError> {
        let recent = prepared.recent;
        let count = sources.scored.len();
        let catalogue = self.catalogue.as_deref();
        let data = match &input.binding {
            Binding::UserEmbedding => {
                let times = if input.repeated { count } else { 1 };
                TensorData::Float32(sources.embedding.repeat(times))
            }
            Binding::Context(feature) => {
                let times = if input.repeated { count } else { 1 };
                feature.context(&sources.request.context, times)?
            }
            Binding::History(history) => return Ok(history.tensor(recent, catalogue)),
            Binding::UserIndex(rule) => rule.ints(vec![0; count]),
            Binding::CandidateMask(rule) => rule.ints(vec![1; count]),
            Binding::Candidate(feature) => feature.candidates(sources, catalogue)?,
            Binding::PriorScore(rule) => rule
                .given_floats(prior_scores(sources, rule))
                .map_err(|wrong| RankError::field("candidates.prior_scores", wrong))?,
            Binding::ItemIndex(feature) => feature.values(sources),
            Binding::UserItem(number) => {
                self.user_items.values(*number, &prepared.items, &prepared.places)
            }
            Binding::Tokens(feature) => {
                let tokens = prepared.texts.iter().find(|(name, _)| *name == feature.text);
                let tokens = tokens.ok_or_else(|| RankError::Features(feature.text.clone()))?;
                return Ok(feature.tensor(&tokens.1, self.candidate_shape(count)));
            }
        };
        let mut shape = match &input.binding {
            Binding::UserEmbedding | Binding::Context(_) if !input.repeated => vec![1],
            _ => self.candidate_shape(count),
        };
        shape.extend(&input.trailing);
        Ok(Tensor { shape, data })
    }

    fn candidate_shape(&self, count: usize) -> Vec<usize> {
        match self.layout {
            Layout::Rows => vec![count],
            Layout::Lists => vec![1, count],
        }
    }

    /// Refuses all columns at once that no input reads.
    fn refuse_unknown_columns(&self, request: &RankRequest) -> Result<(), RankError> {
        let known = |name: &str, scope: FeatureScope| {
            self.described.iter().any(|f| f.scope == scope && f.name == name)
        };
        let context = request.context.iter();
        let context = context.filter(|column| !known(&column.name, FeatureScope::Context));
        let columns = request.candidates.columns.iter().filter(|column| {
            !known(&column.name, FeatureScope::Candidate) && !self.declared.contains(&column.name)
        });
        let faults: Vec<FieldFault> =
            context
                .map(|column| self.unknown("context", column, FeatureScope::Context))
                .chain(columns.map(|column| {
                    self.unknown("candidates.columns", column, FeatureScope::Candidate)
                }))
                .collect();
        if faults.is_empty() { Ok(()) } else { Err(RankError::Invalid(faults)) }
    }

    fn unknown(&self, field: &str, column: &Column, scope: FeatureScope) -> FieldFault {
        let known: Vec<&str> =
            self.described.iter().filter(|f| f.scope == scope).map(|f| f.name.as_str()).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        let wrong = format!(
            "is no feature of this model; rename it to one of those that it knows, or take it out: {known}"
        );
        FieldFault::new(format!("{field}[{}]", column.name), wrong)
    }

    fn describe(&self) -> Vec<FeatureDescription> {
        let mut all: Vec<FeatureDescription> = Vec::new();
        for input in &self.inputs {
            let (feature, scope) = match &input.binding {
                Binding::Context(feature) => (feature, FeatureScope::Context),
                Binding::Candidate(feature) => (feature, FeatureScope::Candidate),
                _ => continue,
            };
            all.push(FeatureDescription {
                name: feature.name().to_owned(),
                scope,
                kind: feature.kind(),
                required: feature.required(),
            });
        }
        all.extend(self.texts.values().flat_map(text::TextTemplate::describe));
        let mut seen: Vec<(String, FeatureScope)> = Vec::new();
        all.retain(|f| {
            let key = (f.name.clone(), f.scope);
            let new = !seen.contains(&key);
            seen.push(key);
            new
        });
        all
    }
}

fn prior_scores(sources: &Sources<'_>, rule: &ValueRule) -> Vec<f32> {
    let given = &sources.request.candidates.prior_scores;
    let default = rule.default.unwrap_or(0.0) as f32;
    let score = |&at: &u32| given.get(at as usize).copied().unwrap_or(default);
    sources.scored.iter().map(score).collect()
}

type Vocabularies = BTreeMap<String, Arc<Vocabulary>>;

pub(in crate::ranking) fn load_vocabularies(bundle: &Bundle) -> Result<Vocabularies, Vec<Fault>> {
    let load = |(name, spec)| -> Result<_, Fault> {
        let (name, spec): (&String, _) = (name, spec);
        Ok((name.clone(), Arc::new(Vocabulary::load(bundle, spec)?)))
    };
    let all = &bundle.manifest.vocabularies;
    all.iter().map(load).collect::<Result<_, _>>().map_err(|fault| vec![fault])
}

fn bind(
    input: &InputSpec,
    catalogue: Option<&Catalogue>,
    vocabularies: &Vocabularies,
    user_items: &mut UserItemFeatures,
) -> Result<Binding, Fault> {
    let rule = ValueRule::new(input);
    let vocabulary = input.vocabulary.as_ref().and_then(|name| vocabularies.get(name)).cloned();
    Ok(match input.source {
        Source::UserEmbedding => Binding::UserEmbedding,
        Source::UserIndex => Binding::UserIndex(rule),
        Source::Context => Binding::Context(ColumnFeature::new(input, vocabulary, None)?),
        Source::Candidate => Binding::Candidate(ColumnFeature::new(input, vocabulary, catalogue)?),
        Source::PriorScore => Binding::PriorScore(rule),
        Source::ItemIndex => {
            let vocabulary = vocabulary
                .ok_or_else(|| Fault::new(&input.name, "has no vocabulary", "name it"))?;
            Binding::ItemIndex(ItemIndexFeature::new(input, vocabulary, catalogue))
        }
        Source::UserItem => Binding::UserItem(user_items.add(input, catalogue)),
        Source::CandidateMask => Binding::CandidateMask(rule),
        Source::History | Source::HistoryMask | Source::HistoryLength => {
            Binding::History(HistoryInput::new(input, vocabulary))
        }
        Source::Tokens => Binding::Tokens(TextFeature::new(input)),
        Source::Given => {
            let fix = "bind it to a source of docs/bundle.md";
            return Err(Fault::new(&input.name, "is bound to nothing of a request", fix));
        }
    })
}
