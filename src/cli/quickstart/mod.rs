//! `podium quickstart`: a first manifest for an ONNX model, from what the model itself says.

mod binding;
mod kind;
mod manifest;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use clap::Args;

use crate::{
    ids::{ModelName, Version},
    runtime::{ScannedGraph, Summed},
};

use self::{binding::TOKENIZER, kind::Kind, manifest::first_manifest};

const GRAPH: &str = "model.onnx";
const MANIFEST: &str = "model.toml";

/// What to begin with.
#[derive(Debug, Args)]
pub(super) struct QuickstartArgs {
    /// The model, an ONNX file
    path: PathBuf,
    /// What the model is for
    #[arg(long, value_enum, default_value_t = Kind::Ranker)]
    role: Kind,
    /// The model repository that it is copied into, as NAME/1 [default: models; for <name>/<version>/model.onnx its own place]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The model's name there [default: that of the file]
    #[arg(long)]
    name: Option<String>,
    /// Overwrite what is there
    #[arg(long)]
    force: bool,
}

/// Writes a first manifest beside a copy of the model, and says what to do next.
pub(super) fn run(args: &QuickstartArgs) -> Result<(), String> {
    let told = |what: &str| format!("{}: {what}", args.path.display());
    let bytes = fs::read(&args.path).map_err(|cause| told(&format!("cannot be read: {cause}")))?;
    let graph = ScannedGraph::of(Summed::of(bytes)).map_err(|fault| told(&fault.to_string()))?;
    let signature = graph.declared().map_err(|fault| told(&fault.to_string()))?;
    let beside = args.path.parent().unwrap_or(Path::new(""));
    let mut files = BTreeMap::from([(GRAPH.to_owned(), args.path.clone())]);
    for tensor in graph.external() {
        let name = &tensor.location;
        if Path::new(name).file_name().and_then(|own| own.to_str()) != Some(name) {
            let wrong =
                format!("{} has its data in {name:?}, which is no plain file name", tensor.what);
            return Err(told(&format!("{wrong}. Fix: put the data beside the model")));
        }
        files.insert(name.clone(), beside.join(name));
    }
    let tokenizer = beside.join(TOKENIZER);
    if tokenizer.is_file() && signature.inputs.iter().any(binding::is_tokens) {
        files.insert(TOKENIZER.to_owned(), tokenizer);
    }
    let mut sums = BTreeMap::new();
    for (name, path) in &files {
        let sum = match name.as_str() {
            GRAPH => *graph.sum(),
            _ => {
                let bytes = fs::read(path);
                Summed::of(bytes.map_err(|cause| format!("{}: {cause}", path.display()))?).sum
            }
        };
        let digits: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
        sums.insert(name.clone(), digits);
    }
    let first = first_manifest(&signature, args.role, &sums).map_err(|wrong| told(&wrong))?;
    let target = target(args)?;
    write(&target, &files, &first.text, args.force)?;
    println!("{}/{MANIFEST} is written: {} is bound by a guess.", target.display(), first.bound);
    if first.left > 0 {
        println!("What is left to you is marked with `FILL IN` there, {} times.", first.left);
    }
    let repository = target.parent().and_then(Path::parent).unwrap_or(Path::new("."));
    println!("Look through it, then:");
    println!("  podium check {}", target.display());
    println!("  podium serve --models {}", repository.display());
    Ok(())
}

/// The version's directory.
fn target(args: &QuickstartArgs) -> Result<PathBuf, String> {
    if let (None, None, Some(own)) = (&args.out, &args.name, own_place(&args.path)) {
        return Ok(own);
    }
    let name = match &args.name {
        Some(name) => name.clone(),
        None => name_of(&args.path),
    };
    let name = ModelName::parse(&name).ok_or_else(|| {
        format!("`{name}` is no model's name. Fix: give one with --name, 1 to 64 of a-z 0-9 - _ .")
    })?;
    let repository = args.out.clone().unwrap_or_else(|| PathBuf::from("models"));
    Ok(repository.join(name.as_str()).join("1"))
}

/// The directory of a model that stands where it is served already.
fn own_place(path: &Path) -> Option<PathBuf> {
    let directory = path.parent()?;
    Version::parse(directory.file_name()?.to_str()?)?;
    ModelName::parse(directory.parent()?.file_name()?.to_str()?)?;
    (path.file_name()? == GRAPH).then(|| directory.to_owned())
}

/// A model's name out of that of its file, or of its directory where the file is called as all are.
fn name_of(path: &Path) -> String {
    let stem = |path: &Path| {
        path.file_stem().map(|stem| stem.to_string_lossy().to_lowercase()).unwrap_or_default()
    };
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mut name = stem(&path);
    if name == "model" {
        name = path.parent().map(stem).filter(|own| !own.is_empty()).unwrap_or(name);
    }
    let fit = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let name: String = name.chars().map(fit).collect();
    name.trim_start_matches(['-', '_', '.']).chars().take(64).collect()
}

/// Copies the files, and writes the manifest last.
fn write(
    target: &Path,
    files: &BTreeMap<String, PathBuf>,
    manifest: &str,
    force: bool,
) -> Result<(), String> {
    let there = |name: &str| target.join(name);
    let is_same = |from: &Path, to: &Path| {
        from.canonicalize().ok().is_some_and(|from| to.canonicalize().ok() == Some(from))
    };
    let copies: Vec<(&PathBuf, PathBuf)> = files
        .iter()
        .map(|(name, from)| (from, there(name)))
        .filter(|(from, to)| !is_same(from, to))
        .collect();
    let manifest_path = there(MANIFEST);
    let mut written = copies.iter().map(|(_, to)| to).chain([&manifest_path]);
    if let Some(old) = written.find(|path| path.symlink_metadata().is_ok() && !force) {
        let fix = "give another name with --name, or overwrite it with --force";
        return Err(format!("{} is there already. Fix: {fix}", old.display()));
    }
    let failed = |path: &Path, cause| format!("{} cannot be written: {cause}", path.display());
    fs::create_dir_all(target).map_err(|cause| failed(target, cause))?;
    for (from, to) in &copies {
        fs::copy(from, to).map_err(|cause| failed(to, cause))?;
    }
    fs::write(&manifest_path, manifest).map_err(|cause| failed(&manifest_path, cause))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, want: &str) {
        assert_eq!(name_of(Path::new(path)), want);
    }

    #[test]
    fn a_name_is_that_of_the_file_or_of_its_directory() {
        check("ranker.onnx", "ranker");
        check("exports/My Ranker v2.onnx", "my-ranker-v2");
        check("_best.onnx", "best");
        check("exports/books/model.onnx", "books");
    }

    #[test]
    fn a_model_that_stands_where_it_is_served_stays_there() {
        let own = |path: &str| own_place(Path::new(path));
        assert_eq!(own("shop/books/3/model.onnx"), Some("shop/books/3".into()));
        assert_eq!(own("shop/books/model.onnx"), None);
        assert_eq!(own("shop/books/3/other.onnx"), None);
    }
}
