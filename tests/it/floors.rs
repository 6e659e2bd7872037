//! Holds `ARCHITECTURE.md`'s rules against the source: floors, neighbours, siblings, third-party names, sizes.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Modules by floor; a floor names only floors below it.
const FLOORS: [(&str, u8); 21] = [
    ("main", 10),
    ("cli", 10),
    ("app", 9),
    ("config", 8),
    ("transport", 7),
    ("observing", 6),
    ("ranking", 5),
    ("users", 4),
    ("serving", 4),
    ("catalogue", 4),
    ("batching", 3),
    ("repository", 3),
    ("runtime", 2),
    ("telemetry", 1),
    ("tensor", 0),
    ("texts", 0),
    ("deadline", 0),
    ("ids", 0),
    ("error_code", 0),
    ("priority", 0),
    ("wire", 0),
];

/// Third-party crates that live in these modules only.
const HOMES: [(&str, &[&str]); 19] = [
    ("ort", &["runtime"]),
    ("tonic", &["transport", "cli", "telemetry"]),
    ("prost", &["transport", "cli", "telemetry"]),
    ("opentelemetry", &["telemetry"]),
    ("reqwest", &["telemetry"]),
    ("tower", &["transport"]),
    ("axum", &["transport"]),
    ("dashmap", &["users"]),
    ("redis", &["users"]),
    ("rustls", &["users", "repository", "telemetry"]),
    ("arc_swap", &["serving"]),
    ("figment", &["config"]),
    ("object_store", &["repository"]),
    ("toml_edit", &["repository"]),
    ("clap", &["cli", "main"]),
    ("clap_complete", &["cli"]),
    ("clap_mangen", &["cli"]),
    ("parquet", &["cli"]),
    ("tokenizers", &["ranking"]),
];

/// The same of the Rust client.
const CLIENT_HOMES: [(&str, &[&str]); 3] =
    [("tonic_types", &["error"]), ("rand", &["client"]), ("tokio_stream", &["client"])];

const MOST_LINES: usize = 500;
const MOST_FUNCTION_LINES: usize = 70;

struct Source {
    /// Path below `src/`, such as `ranking/select.rs`.
    path: PathBuf,
    /// The code without its tests and comments.
    code: String,
    lines: usize,
}

impl Source {
    /// The module on the top level that it belongs to.
    fn module(&self) -> String {
        let first = self.path.components().next().unwrap();
        first.as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned()
    }

    /// Every `crate::a::b::…` that it names, also inside braces.
    fn paths(&self) -> BTreeSet<Vec<String>> {
        let mut all = BTreeSet::new();
        let own = self
            .code
            .match_indices("crate::")
            .filter(|(at, _)| !self.code[..*at].ends_with("(in "));
        for (at, found) in own {
            let rest = &self.code[at + found.len()..];
            expand(rest, &mut Vec::new(), &mut all);
        }
        all
    }
}

/// Reads one use tree and collects its paths; returns how far it read.
fn expand(text: &str, prefix: &mut Vec<String>, all: &mut BTreeSet<Vec<String>>) -> usize {
    let mut at = skip_space(text, 0);
    let depth = prefix.len();
    loop {
        if text[at..].starts_with('{') {
            at += 1;
            while !text[at..].starts_with('}') {
                at += expand(&text[at..], prefix, all);
                at = skip_space(text, at);
                if text[at..].starts_with(',') {
                    at = skip_space(text, at + 1);
                }
            }
            prefix.truncate(depth);
            return at + 1;
        }
        let word = text[at..].find(|c: char| !c.is_alphanumeric() && c != '_');
        let end = word.map_or(text.len(), |length| at + length);
        if end == at {
            prefix.truncate(depth);
            return (at + 1).min(text.len());
        }
        prefix.push(text[at..end].to_owned());
        if !text[end..].starts_with("::") {
            all.insert(prefix.clone());
            prefix.truncate(depth);
            return end;
        }
        at = end + 2;
    }
}

fn skip_space(text: &str, at: usize) -> usize {
    text.len() - text[at..].trim_start().len()
}

/// The server's source.
fn sources() -> Vec<Source> {
    let all = sources_in("src");
    assert!(all.len() > 40, "the source was not found");
    all
}

/// The Rust client's source.
fn client_sources() -> Vec<Source> {
    let all = sources_in("clients/rust/src");
    assert!(all.len() > 10, "the client's source was not found");
    all
}

fn sources_in(folder: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut all = Vec::new();
    collect(&root, &root, &mut all);
    all
}

fn collect(root: &Path, folder: &Path, all: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, all);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let without_tests = text.split("#[cfg(test)]").next().unwrap();
            let is_code = |line: &&str| !line.trim_start().starts_with("//");
            all.push(Source {
                path: path.strip_prefix(root).unwrap().to_owned(),
                code: without_tests.lines().filter(is_code).collect::<Vec<_>>().join("\n"),
                lines: text.lines().count(),
            });
        }
    }
}

fn floor(module: &str) -> u8 {
    let found = FLOORS.iter().find(|(name, _)| *name == module);
    found.unwrap_or_else(|| panic!("`{module}` stands on no floor: add it to FLOORS")).1
}

#[test]
fn a_floor_names_only_floors_below_it() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| source.path != Path::new("lib.rs")) {
        let own = source.module();
        for path in source.paths() {
            let other = &path[0];
            if *other != own
                && FLOORS.iter().any(|(name, _)| name == other)
                && floor(other) >= floor(&own)
            {
                wrong.push(format!("{} names {other}", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_third_party_name_stays_at_home() {
    check_homes(sources(), &HOMES);
    check_homes(client_sources(), &CLIENT_HOMES);
}

#[track_caller]
fn check_homes(sources: Vec<Source>, homes: &[(&str, &[&str])]) {
    let mut wrong = Vec::new();
    for source in sources {
        for (name, homes) in homes {
            let uses = source.code.contains(&format!("{name}::"))
                && source.code.match_indices(&format!("{name}::")).any(|(at, _)| {
                    let before = source.code[..at].chars().next_back();
                    !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
                });
            if uses && !homes.contains(&source.module().as_str()) {
                wrong.push(format!("{} names {name}", source.path.display()));
            }
        }
        if source.code.contains("env::var") && source.module() != "config" {
            wrong.push(format!("{} reads the environment", source.path.display()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The module path of a file: `ranking/features/mod.rs` is `[ranking, features]`.
fn module_path(source: &Source) -> Vec<String> {
    let mut path: Vec<String> =
        source.path.with_extension("").iter().map(|p| p.to_str().unwrap().to_owned()).collect();
    if path.last().is_some_and(|last| last == "mod") {
        path.pop();
    }
    path
}

#[test]
fn siblings_form_no_circle_and_leave_the_face_alone() {
    check_siblings(&sources());
    check_siblings(&client_sources());
}

#[track_caller]
fn check_siblings(sources: &[Source]) {
    let modules: BTreeSet<Vec<String>> = sources.iter().map(module_path).collect();
    let mut arrows: BTreeMap<Vec<String>, BTreeSet<Vec<String>>> = BTreeMap::new();
    let mut wrong = Vec::new();
    for source in sources {
        let own = module_path(source);
        for path in source.paths() {
            let target =
                (1..=path.len()).rev().map(|n| path[..n].to_vec()).find(|p| modules.contains(p));
            let Some(target) = target.filter(|target| *target != own) else {
                continue;
            };
            if own.len() > target.len() && own.starts_with(&target) {
                wrong.push(format!(
                    "{} names the face of its own folder: {path:?}",
                    source.path.display()
                ));
            }
            arrows.entry(own.clone()).or_default().insert(target);
        }
    }
    for start in arrows.keys() {
        let mut reached = BTreeSet::new();
        let mut waiting: Vec<&Vec<String>> = arrows[start].iter().collect();
        while let Some(next) = waiting.pop() {
            if next == start {
                wrong.push(format!("{start:?} stands in a circle"));
                break;
            }
            if reached.insert(next) {
                waiting.extend(arrows.get(next).into_iter().flatten());
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn files_and_functions_stay_small() {
    let mut wrong = Vec::new();
    for source in sources().into_iter().chain(client_sources()) {
        if source.lines > MOST_LINES {
            wrong.push(format!("{}: {} lines", source.path.display(), source.lines));
        }
        let mut begun: Option<(usize, usize, &str)> = None;
        for (number, line) in source.code.lines().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let words = line.trim_start();
            let is_function = words.starts_with("fn ")
                || words.starts_with("async fn ")
                || (words.starts_with("pub") && words.contains(" fn "));
            if begun.is_none() && is_function {
                begun = Some((number, indent, words));
            }
            if let Some((first, own, name)) = begun
                && words == "}"
                && indent == own
            {
                if number - first > MOST_FUNCTION_LINES {
                    wrong.push(format!("{}: {name} has {}", source.path.display(), number - first));
                }
                begun = None;
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_lint_is_silenced_without_a_reason() {
    let all = sources().into_iter().chain(client_sources());
    let silenced = all.filter(|source| source.code.contains("[allow("));
    let paths: Vec<PathBuf> = silenced.map(|source| source.path).collect();
    assert!(paths.is_empty(), "use #[expect(…, reason = …)]: {paths:?}");
}

#[track_caller]
fn check_expand(text: &str, want: &[&str]) {
    let mut all = BTreeSet::new();
    expand(text, &mut Vec::new(), &mut all);
    let got: Vec<String> = all.iter().map(|path| path.join("::")).collect();
    assert_eq!(got, want, "{text}");
}

#[test]
fn a_use_tree_is_read_whole() {
    check_expand("a::b;", &["a::b"]);
    check_expand("{a::{b, c::d}, e};", &["a::b", "a::c::d", "e"]);
    check_expand("{\n    a::b,\n    c::{D, e},\n};", &["a::b", "c::D", "c::e"]);
    check_expand("a::B::new(x)", &["a::B::new"]);
}
