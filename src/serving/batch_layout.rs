//! How a model's requests share a batch, as its manifest says it.

use std::fs;

use crate::{
    batching::{BatchLayout, InputAxes, Joins, Lead, OutputAxes, PadSide},
    repository::{
        Bundle, DimSpec, InputSpec, Layout, Manifest, Pad, Role, Sharing, Source, TokenPart,
    },
};

/// The layout of a bundle's batches; reads its tokenizers' padding ids.
pub fn batch_layout(bundle: &Bundle) -> BatchLayout {
    let manifest = &bundle.manifest;
    if manifest.role == Role::Tensors {
        return layout_of_tensors(manifest);
    }
    let by_rows = manifest.role == Role::Ranker && manifest.layout == Layout::Rows;
    let candidates = manifest.inputs.iter().position(|input| second_is(input, "candidates"));
    let outputs = manifest.outputs.iter().map(|output| OutputAxes {
        lead: lead_of(&output.shape),
        as_long_as: match output.shape.get(1) {
            Some(dim) if dim.is("candidates") => candidates,
            _ => None,
        },
    });
    BatchLayout {
        unit: if by_rows { Lead::Rows } else { Lead::Users },
        inputs: manifest.inputs.iter().map(|input| input_axes(bundle, input)).collect(),
        outputs: outputs.collect(),
        joins: joins(manifest),
    }
}

/// The layout of a model that is asked by its tensors: rows of requests that are otherwise alike, or each request by itself.
pub(super) fn layout_of_tensors(manifest: &Manifest) -> BatchLayout {
    let (unit, joins) = match manifest.sharing {
        None | Some(Sharing::Whole) => (Lead::Whole, Joins::Alone),
        Some(Sharing::Apart) => (Lead::Rows, Joins::Alone),
        Some(Sharing::Joined | Sharing::JoinedIfIndependent) => (Lead::Rows, Joins::SameShape),
    };
    let has_length = |input: &InputSpec| matches!(input.shape.get(1), Some(DimSpec::Named(_)));
    let inputs = manifest.inputs.iter().map(|input| InputAxes {
        padded: unit == Lead::Rows && has_length(input),
        ..InputAxes::of(unit)
    });
    let output = OutputAxes { lead: unit, as_long_as: None };
    BatchLayout {
        unit,
        inputs: inputs.collect(),
        outputs: vec![output; manifest.outputs.len()],
        joins,
    }
}

fn input_axes(bundle: &Bundle, input: &InputSpec) -> InputAxes {
    let of_history = matches!(input.source, Source::History | Source::HistoryMask);
    let left = bundle.manifest.history.as_ref().is_some_and(|history| history.pad == Pad::Left);
    let ids = input.source == Source::Tokens && input.part == Some(TokenPart::Ids);
    InputAxes {
        lead: lead_of(&input.shape),
        side: if of_history && left { PadSide::Left } else { PadSide::Right },
        padding: if ids { padding_id(bundle, input).unwrap_or(0) } else { 0 },
        padded: matches!(input.shape.get(1), Some(DimSpec::Named(_))),
        numbers_users: input.source == Source::UserIndex,
        mask: matches!(input.source, Source::HistoryMask | Source::CandidateMask)
            || input.part == Some(TokenPart::Mask),
    }
}

fn lead_of(shape: &[DimSpec]) -> Lead {
    match shape.first() {
        Some(dim) if dim.is("rows") => Lead::Rows,
        _ => Lead::Users,
    }
}

fn second_is(input: &InputSpec, name: &str) -> bool {
    input.shape.get(1).is_some_and(|dim| dim.is(name))
}

/// Which requests may share a batch: those whose padding the graph can tell from values.
fn joins(manifest: &Manifest) -> Joins {
    let inputs = &manifest.inputs;
    let has = |source: Source| inputs.iter().any(|input| input.source == source);
    let by_rows = manifest.role == Role::Ranker && manifest.layout == Layout::Rows;
    let of_users = inputs.iter().any(|input| lead_of(&input.shape) == Lead::Users);
    if by_rows && of_users && !has(Source::UserIndex) {
        return Joins::Alone;
    }
    let needs = |name: &str| inputs.iter().any(|input| input.shape.iter().any(|dim| dim.is(name)));
    let masked_text = |text: &InputSpec| {
        let mask =
            |other: &&InputSpec| other.text == text.text && other.part == Some(TokenPart::Mask);
        inputs.iter().find(mask).is_some()
    };
    let histories = !needs("length") || has(Source::HistoryMask) || has(Source::HistoryLength);
    let lists = !needs("candidates") || has(Source::CandidateMask) || manifest.independent;
    let texts = inputs.iter().filter(|input| input.source == Source::Tokens).all(masked_text);
    match histories && lists && texts {
        true => Joins::Padded,
        false => Joins::SameShape,
    }
}

/// The id that the tokenizer's own padding has.
fn padding_id(bundle: &Bundle, input: &InputSpec) -> Option<i64> {
    let text = bundle.manifest.texts.get(input.text.as_ref()?)?;
    let bytes = fs::read(bundle.file(&text.tokenizer)).ok()?;
    let tokenizer: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
    tokenizer.get("padding")?.get("pad_id")?.as_i64()
}
