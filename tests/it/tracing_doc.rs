//! `docs/tracing.md` against the code: every span, attribute, event and reason is in its tables, and nothing else is.

use std::{collections::BTreeSet, fs, path::Path};

/// What attributes and events are named after.
const NAMESPACES: [&str; 5] = ["podium.", "rpc.", "db.", "error.", "feature_flag."];

type Words = BTreeSet<String>;

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The code of all files that write spans of requests and batches, and that of those that record spans of versions.
struct Code {
    requests: String,
    versions: String,
}

impl Code {
    fn read() -> Self {
        let mut code = Self { requests: String::new(), versions: String::new() };
        code.collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
        assert!(code.requests.len() > 5000 && code.versions.len() > 5000, "it was not found");
        code
    }

    fn collect(&mut self, folder: &Path) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                self.collect(&path);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            if text.contains("WrittenSpan") && !path.ends_with("telemetry/mod.rs") {
                self.requests.push_str(&without_tests(&text));
            }
            if text.contains("target: SWAP_SPANS") {
                self.versions.push_str(&without_tests(&text));
            }
        }
    }

    /// The names of spans that `tracing` records; those of steps are given to the span later.
    fn spans_of_versions(&self) -> Words {
        let named = |text: &&str| text.starts_with("version.") || text.starts_with("route.");
        let names = literals(&self.versions).filter(named).filter(|text| *text != "version.step");
        names.map(str::to_owned).collect()
    }

    /// The attributes of these spans: fields of the macro, and what is recorded later.
    fn attributes_of_versions(&self) -> Words {
        let lines = self.versions.lines().map(str::trim).filter_map(|line| line.split_once(" = "));
        let fields = lines.map(|(field, _)| field).filter(|field| is_told(field));
        let recorded = behind(&self.versions, "record(\"").filter(|field| is_told(field));
        fields.chain(recorded).map(str::to_owned).collect()
    }
}

fn without_tests(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The texts in quotation marks; lines whose marks do not pair up have none of ours.
fn literals(code: &str) -> impl Iterator<Item = &str> {
    let paired = code.lines().filter(|line| line.matches('"').count() % 2 == 0);
    paired.flat_map(|line| line.split('"').skip(1).step_by(2))
}

fn is_name(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._{}".contains(c))
        && !text.ends_with('.')
}

/// Names of attributes and events.
fn is_told(text: &str) -> bool {
    NAMESPACES.iter().any(|space| text.starts_with(space)) && is_name(text)
}

/// The text between a beginning and the next quotation mark, wherever it stands.
fn behind<'a>(code: &'a str, beginning: &str) -> impl Iterator<Item = &'a str> {
    let found = code.match_indices(beginning).map(move |(at, found)| &code[at + found.len()..]);
    found.filter_map(|rest| rest.split('"').next())
}

/// Code without line breaks and what indents it, so that calls are found however they are broken.
fn joined(code: &str) -> String {
    code.split_whitespace().collect::<Vec<_>>().join("")
}

fn spans_in(code: &str) -> Words {
    let code = joined(code);
    ["WrittenSpan::new(\"", ".step(\"", ".step_at(\""]
        .iter()
        .flat_map(|beginning| behind(&code, beginning))
        .map(str::to_owned)
        .collect()
}

/// The words in the first column of the table below a heading of the document.
#[track_caller]
fn listed(document: &str, heading: &str) -> Words {
    let below = document.split(&format!("\n{heading}\n")).nth(1);
    let below = below.unwrap_or_else(|| panic!("docs/tracing.md has no heading `{heading}`"));
    let until = below.find("\n## ").unwrap_or(below.len());
    let rows = below[..until].lines().filter(|line| line.starts_with("| `"));
    rows.flat_map(|row| {
        let first = row.split('|').nth(1).unwrap();
        first.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()
    })
    .collect()
}

#[track_caller]
fn check(told: &Words, documented: &Words) {
    let missing: Vec<_> = told.difference(documented).collect();
    let stale: Vec<_> = documented.difference(told).collect();
    assert!(missing.is_empty(), "docs/tracing.md does not have {missing:?}");
    assert!(stale.is_empty(), "docs/tracing.md has {stale:?}, which no code tells");
}

#[test]
fn every_span_is_documented() {
    let document = read("docs/tracing.md");
    let mut told = spans_in(&Code::read().requests);
    // The spans of calls are named by their methods.
    for (file, service) in [
        ("src/transport/rank_service.rs", "podium.v1.RankService/"),
        ("src/transport/inference/service.rs", "inference.GRPCInferenceService/"),
    ] {
        let code = without_tests(&read(file));
        let methods = literals(&code).filter(|text| text.starts_with(service));
        told.extend(methods.map(str::to_owned));
    }
    check(&told, &listed(&document, "## Spans"));
}

#[test]
fn every_span_of_a_version_is_documented() {
    let told = Code::read().spans_of_versions();
    assert!(told.contains("version.load"), "{told:?}");
    check(&told, &listed(&read("docs/tracing.md"), "## Spans of versions"));
}

#[test]
fn every_attribute_and_event_is_documented() {
    let (document, code) = (read("docs/tracing.md"), Code::read());
    let mut told: Words = literals(&code.requests)
        .filter(|text| is_told(text))
        .map(str::to_owned)
        .chain(literals(&code.requests).filter(|text| *text == "baggage.{key}").map(str::to_owned))
        .collect();
    told.extend(code.attributes_of_versions());
    let mut documented = listed(&document, "## Attributes");
    documented.extend(listed(&document, "## Events"));
    check(&told, &documented);
}

#[test]
fn every_cause_is_documented() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/observing");
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let texts = paths.filter(|path| path.is_file()).map(|path| fs::read_to_string(path).unwrap());
    let code: String = texts.map(|text| joined(&without_tests(&text))).collect();
    let told: Words = behind(&code, "Why::new(\"").map(str::to_owned).collect();
    assert!(told.contains("USER_STORE"), "{told:?}");
    check(&told, &listed(&read("docs/tracing.md"), "## Causes"));
}
