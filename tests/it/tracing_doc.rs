//! `docs/tracing.md` against the code: every span, attribute, event and reason is in its tables, and nothing else is.

use std::{collections::BTreeSet, fs, path::Path};

/// What attributes and events are named after.
const NAMESPACES: [&str; 5] = ["podium.", "rpc.", "db.", "error.", "feature_flag."];

type Words = BTreeSet<String>;

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The code of all files that write spans, without tests and comments.
fn code_of_spans() -> String {
    let mut code = String::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut code);
    assert!(code.len() > 5000, "the code that writes spans was not found");
    code
}

fn collect(folder: &Path, code: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, code);
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        if path.ends_with("telemetry/mod.rs") || !text.contains("WrittenSpan") {
            continue;
        }
        code.push_str(&without_tests(&text));
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
    let mut told = spans_in(&code_of_spans());
    // The spans of calls are named by their methods.
    for file in ["src/transport/rank_service.rs", "src/transport/conversation.rs"] {
        let code = without_tests(&read(file));
        let methods = literals(&code).filter(|text| text.starts_with("podium.v1.RankService/"));
        told.extend(methods.map(str::to_owned));
    }
    check(&told, &listed(&document, "## Spans"));
}

#[test]
fn every_attribute_and_event_is_documented() {
    let (document, code) = (read("docs/tracing.md"), code_of_spans());
    let told: Words = literals(&code)
        .filter(|text| is_told(text))
        .map(str::to_owned)
        .chain(literals(&code).filter(|text| *text == "baggage.{key}").map(str::to_owned))
        .collect();
    let mut documented = listed(&document, "## Attributes");
    documented.extend(listed(&document, "## Events"));
    check(&told, &documented);
}

#[test]
fn every_cause_is_documented() {
    let code = joined(&without_tests(&read("src/observing/why.rs")));
    let told: Words = behind(&code, "Why::new(\"").map(str::to_owned).collect();
    assert!(told.contains("USER_STORE"), "{told:?}");
    check(&told, &listed(&read("docs/tracing.md"), "## Causes"));
}
