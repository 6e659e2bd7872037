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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        repository::verify::verify,
        runtime::{Dim, Signature, TensorInfo},
        tensor::DType,
    };

    fn manifest(layout: &str, texts: &str, shape: &str) -> Manifest {
        let independent = layout == "rows";
        let text = format!(
            "format = 1\nrole = \"ranker\"\nlayout = \"{layout}\"\nindependent = {independent}\n\
             [catalogue]\nkey = \"item\"\n[catalogue.columns]\ntitle = \"string\"\nprice = \"float\"\n\
             [texts.t]\ntokenizer = \"t.json\"\nmax_tokens = 8\n{texts}\n\
             [[inputs]]\nname = \"ids\"\nsource = \"tokens\"\ntext = \"t\"\npart = \"ids\"\n\
             dtype = \"int64\"\nshape = {shape}\n\
             [[outputs]]\nname = \"score\"\nshape = {output}\n",
            output = if independent { "[\"rows\"]" } else { "[\"users\", \"candidates\"]" },
        );
        toml::from_str(&text).unwrap()
    }

    #[track_caller]
    fn check(layout: &str, texts: &str, shape: &str, want: &[&str]) {
        let manifest = manifest(layout, texts, shape);
        let info = |name: &str, dtype, rank: usize| TensorInfo {
            name: name.to_owned(),
            dtype: Ok(dtype),
            dims: vec![Dim::Dynamic(String::new()); rank],
        };
        let input = manifest.inputs[0].shape.len();
        let output = manifest.outputs[0].shape.len();
        let signature = Signature {
            inputs: vec![info("ids", DType::Int64, input)],
            outputs: vec![info("score", DType::Float32, output)],
        };
        let faults = verify(&manifest, &signature);
        let places: Vec<&str> = faults.iter().map(|fault| fault.at.as_str()).collect();
        assert_eq!(places, want, "{faults:?}");
    }

    #[test]
    fn a_text_of_the_query_alone_may_have_one_row_a_request() {
        let (query, title) = ("first = \"{query}\"", "first = \"{title}\"");
        check("rows", query, r#"["users", "tokens"]"#, &[]);
        check("rows", query, r#"["rows", "tokens"]"#, &[]);
        check("rows", title, r#"["rows", "tokens"]"#, &[]);
        check("rows", title, r#"["users", "tokens"]"#, &["inputs.ids.shape"]);
        check("rows", query, r#"["tokens"]"#, &["inputs.ids.shape"]);
        check("lists", query, r#"["users", "tokens"]"#, &[]);
        check("lists", query, r#"["users", "candidates", "tokens"]"#, &[]);
        check("lists", title, r#"["users", "candidates", "tokens"]"#, &[]);
        check("lists", title, r#"["users", "tokens"]"#, &["inputs.ids.shape"]);
    }

    #[test]
    fn a_text_is_held_against_the_columns_that_it_names() {
        let rows = r#"["rows", "tokens"]"#;
        check("rows", "first = \"{title\"", rows, &["texts.t"]);
        check("rows", "first = \"{price}\"", rows, &["texts.t"]);
        check("rows", "first = \"{other} {query}\"", rows, &[]);
        check("rows", "first = \"{title}\"\ndefaults = { title = \"\" }", rows, &[]);
        check(
            "rows",
            "first = \"{title}\"\ndefaults = { brand = \"\" }",
            rows,
            &["texts.t.defaults.brand"],
        );
    }
}
