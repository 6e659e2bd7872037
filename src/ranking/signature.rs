//! Holds a version's signature against what callers send.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    deadline::Deadline,
    ranking::{
        error::{FieldFault, RankError},
        features::{FeatureDescription, FeatureScope},
        models::Ranker,
        request::{Column, RankRequest, Values},
        scoring::inputs,
        user_side::user_side_at_once,
    },
};

/// How long the texts of one request may take to be tokenised.
const ONE_REQUEST: Duration = Duration::from_secs(2);

/// What a version refuses of the requests that the live version answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Misfits {
    /// Requests that were looked at and that the live version takes.
    pub of: usize,
    /// Those among them that the version would refuse.
    pub refused: usize,
    /// The fields that are why, each with what is wrong with it first and how many requests it concerns.
    pub fields: BTreeMap<String, (String, usize)>,
}

/// Holds a version against requests that were answered, until `until`; those that the live version does not take as they stand say nothing.
pub fn misfits(
    version: &Ranker,
    live: &Ranker,
    requests: &[Arc<RankRequest>],
    until: Deadline,
) -> Misfits {
    let mut misfits = Misfits::default();
    for request in requests {
        if until.expired(Instant::now()) {
            break;
        }
        let faults = faults(version, request);
        if !faults.is_empty() && !self::faults(live, request).is_empty() {
            continue;
        }
        misfits.add(faults);
    }
    misfits
}

impl Misfits {
    fn add(&mut self, faults: Vec<FieldFault>) {
        self.of += 1;
        self.refused += usize::from(!faults.is_empty());
        let faults: BTreeMap<String, String> =
            faults.into_iter().map(|fault| (fault.field, fault.wrong)).collect();
        for (field, wrong) in faults {
            let (_, requests) = self.fields.entry(field).or_insert((wrong, 0));
            *requests += 1;
        }
    }
}

/// What a version would refuse of a request; runs nothing.
fn faults(ranker: &Ranker, request: &RankRequest) -> Vec<FieldFault> {
    let mut faults = column_faults(ranker.features(), request);
    let built = user_side_at_once(ranker, &request.user).and_then(|user| {
        let located = ranker.locate(&request.candidates.ids);
        let soon = Deadline::after(Instant::now(), ONE_REQUEST);
        inputs(ranker, (request, &located), &user, soon)
    });
    if let Err(RankError::Invalid(further)) = built {
        let known: BTreeSet<String> = faults.iter().map(|fault| fault.field.clone()).collect();
        let further = further.into_iter().map(|fault| without_values(fault, request));
        faults.extend(further.filter(|fault| !known.contains(&fault.field)));
    }
    faults
}

/// A fault without what the request holds, which is not for the log: items and numbers become `…`, places among candidates go.
fn without_values(fault: FieldFault, request: &RankRequest) -> FieldFault {
    let ids = &request.candidates.ids;
    let quoted = fault.wrong.split('`').enumerate().map(|(at, part)| match at % 2 {
        1 if ids.iter().any(|id| id == part) => "…".to_owned(),
        _ => part.to_owned(),
    });
    let wrong = quoted.collect::<Vec<_>>().join("`");
    let hidden = |word: &str| match word.contains(|c: char| c.is_ascii_digit()) {
        true if word.trim_end_matches(',').parse::<i64>().is_ok() => "…".to_owned(),
        true if word.starts_with("(candidates.ids[") => "(…)".to_owned(),
        _ => word.to_owned(),
    };
    let wrong = wrong.split(' ').map(hidden).collect::<Vec<_>>().join(" ");
    let field = fault.field.split(".strings").next().unwrap_or_default();
    FieldFault::new(field, wrong)
}

/// The columns of a request that are of another type than a version reads, and those that it needs and that are not there.
fn column_faults(known: &[FeatureDescription], request: &RankRequest) -> Vec<FieldFault> {
    let mut faults = Vec::new();
    for feature in known {
        let (field, columns) = match feature.scope {
            FeatureScope::Context => ("context", &request.context),
            FeatureScope::Candidate => ("candidates.columns", &request.candidates.columns),
            FeatureScope::Query => continue,
        };
        let field = format!("{field}[{}]", feature.name);
        match columns.iter().find(|column| column.name == feature.name) {
            Some(column) if !feeds(column, feature.kind) => {
                let kind = column.values.kind();
                let wrong = format!("holds {kind}, and the model takes {}s", feature.kind);
                faults.push(FieldFault::new(field, wrong));
            }
            None if feature.required => {
                let wrong = format!("is needed by the model, as {}s", feature.kind);
                faults.push(FieldFault::new(field, wrong));
            }
            _ => {}
        }
    }
    faults
}

/// Whether a column can be read as a feature of that kind.
fn feeds(column: &Column, kind: &str) -> bool {
    match column.values {
        Values::Floats(_) => kind == "float",
        Values::Ints(_) => kind == "int" || kind == "float",
        Values::Strings(_) => kind == "string",
        Values::Vectors { .. } => kind == "vector",
    }
}

#[cfg(test)]
mod tests {
    use crate::ranking::request::Candidates;

    use super::*;

    /// `price:floats stock:ints`.
    fn columns(text: &str) -> Vec<Column> {
        let column = |part: &str| {
            let (name, kind) = part.split_once(':').unwrap();
            let values = match kind {
                "floats" => Values::Floats(vec![1.0]),
                "ints" => Values::Ints(vec![1]),
                "strings" => Values::Strings(["a"].into_iter().collect()),
                "vectors" => Values::Vectors { dim: 1, values: vec![1.0] },
                other => panic!("no kind {other}"),
            };
            Column { name: name.to_owned(), values }
        };
        text.split_whitespace().map(column).collect()
    }

    /// `price:float stock:int!`, where `!` says that it is required.
    fn features(text: &str, scope: FeatureScope) -> Vec<FeatureDescription> {
        let feature = |part: &str| {
            let (name, kind) = part.split_once(':').unwrap();
            let plain = kind.trim_end_matches('!');
            let kinds = ["float", "int", "string", "vector"];
            FeatureDescription {
                name: name.to_owned(),
                scope,
                kind: kinds.into_iter().find(|known| *known == plain).unwrap(),
                required: kind.ends_with('!'),
            }
        };
        text.split_whitespace().map(feature).collect()
    }

    #[track_caller]
    fn check(known: &str, sent: &str, want: &[&str]) {
        let mut all = features(known, FeatureScope::Candidate);
        all.extend(features(known, FeatureScope::Context));
        let candidates = Candidates { columns: columns(sent), ..Candidates::default() };
        let context = columns(sent);
        let request = RankRequest { context, candidates, ..RankRequest::default() };
        let faults = column_faults(&all, &request);
        let told = faults.iter().map(ToString::to_string);
        let want = ["candidates.columns", "context"].into_iter().flat_map(|place| {
            want.iter().map(move |fault| format!("{place}{fault}")).collect::<Vec<_>>()
        });
        assert_eq!(told.collect::<Vec<_>>(), want.collect::<Vec<_>>());
    }

    #[test]
    fn a_column_is_of_the_type_that_the_model_reads() {
        check("a:float", "a:floats", &[]);
        check("a:float", "a:ints", &[]);
        check("a:int", "a:ints", &[]);
        check("a:string", "a:strings", &[]);
        check("a:vector", "a:vectors", &[]);
        check("a:int", "a:floats", &["[a]: holds floats, and the model takes ints"]);
        check("a:string", "a:ints", &["[a]: holds ints, and the model takes strings"]);
        check("a:vector", "a:floats", &["[a]: holds floats, and the model takes vectors"]);
        check("a:float", "a:strings", &["[a]: holds strings, and the model takes floats"]);
    }

    #[test]
    fn what_is_needed_is_sent_and_everything_is_told() {
        check("a:float! b:int", "a:floats", &[]);
        check("a:float", "", &[]);
        check(
            "a:float! b:int! c:string",
            "c:floats",
            &[
                "[a]: is needed by the model, as floats",
                "[b]: is needed by the model, as ints",
                "[c]: holds floats, and the model takes strings",
            ],
        );
    }

    #[track_caller]
    fn check_hidden(field: &str, wrong: &str, want: &str) {
        let ids = ["milk", "7"].into_iter().collect();
        let candidates = Candidates { ids, ..Candidates::default() };
        let request = RankRequest { candidates, ..RankRequest::default() };
        let told = without_values(FieldFault::new(field, wrong), &request);
        assert_eq!(told.to_string(), want);
    }

    #[test]
    fn what_a_request_holds_is_not_told() {
        check_hidden(
            "candidates.columns[stock]",
            "is needed: the catalogue has no `stock` for the item `milk`",
            "candidates.columns[stock]: is needed: the catalogue has no `stock` for the item `…`",
        );
        check_hidden(
            "candidates.columns[title].strings.values[3]",
            "is blank for the item `7` (candidates.ids[3]), and the model needs it",
            "candidates.columns[title]: is blank for the item `…` (…) and the model needs it",
        );
        check_hidden(
            "context[age]",
            "has the value 99999999999, which is too large for int32",
            "context[age]: has the value … which is too large for int32",
        );
    }

    #[test]
    fn requests_and_fields_are_counted() {
        let mut misfits = Misfits::default();
        misfits.add(Vec::new());
        misfits.add(vec![FieldFault::new("a", "is wrong"), FieldFault::new("b", "is long")]);
        misfits.add(vec![FieldFault::new("a", "is very wrong"), FieldFault::new("a", "is wrong")]);
        assert_eq!((misfits.of, misfits.refused), (3, 2));
        assert_eq!(misfits.fields["a"], ("is wrong".to_owned(), 2));
        assert_eq!(misfits.fields["b"], ("is long".to_owned(), 1));
    }
}
