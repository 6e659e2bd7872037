//! Holds the texts of a manifest against its columns.

use crate::repository::{
    error::Fault,
    manifest::{ColumnType, Manifest, TextSpec},
    template::{Piece, QUERY},
};

/// Lists what is wrong with the texts: templates, columns of numbers, defaults of fields that are not there.
pub(super) fn check_texts(manifest: &Manifest, faults: &mut Vec<Fault>) {
    for (name, text) in &manifest.texts {
        match text.segments(name) {
            Ok(segments) => check_fields(name, text, &segments, manifest, faults),
            Err(fault) => faults.push(fault),
        }
    }
}

fn check_fields(
    name: &str,
    text: &TextSpec,
    segments: &[Vec<Piece>],
    manifest: &Manifest,
    faults: &mut Vec<Fault>,
) {
    let mut fields: Vec<&str> = Vec::new();
    for piece in segments.iter().flatten() {
        match piece {
            Piece::Plain(_) => {}
            Piece::Query => fields.push(QUERY),
            Piece::Field(field) => fields.push(field),
        }
    }
    let declared = manifest.catalogue.as_ref().map(|catalogue| &catalogue.columns);
    for field in &fields {
        let kind = declared.and_then(|columns| columns.get(*field));
        if kind.is_some_and(|kind| *kind != ColumnType::String) {
            faults.push(Fault::new(
                format!("texts.{name}"),
                format!("has the field {{{field}}}, and catalogue.columns.{field} holds numbers"),
                format!("write {field} = \"string\" under [catalogue.columns]"),
            ));
        }
    }
    for field in text.defaults.keys().filter(|field| !fields.contains(&field.as_str())) {
        faults.push(Fault::new(
            format!("texts.{name}.defaults.{field}"),
            "is no field of the text",
            format!("use one of its fields, or take it out: {}", fields.join(", ")),
        ));
    }
    if text.max_tokens == 0 {
        let fix = "give the longest text that the graph takes, special tokens included";
        faults.push(Fault::new(format!("texts.{name}.max_tokens"), "is 0", fix));
    }
}
