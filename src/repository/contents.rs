//! What a bundle's files hold: each read once and held against its sum, and the graph looked through and put together from them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, Read},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
};

use rustix::fs::OFlags;

use crate::{
    repository::{error::Fault, manifest::Manifest},
    runtime::{Graph, GraphFault, ScannedGraph, Signature, Summed},
};

/// The manifest's file name.
pub(super) const MANIFEST: &str = "model.toml";

/// The graph's file name.
pub(super) const GRAPH: &str = "model.onnx";

/// What a bundle's files hold.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// The graph with all of its values; empty where it, or a file that it needs, is at fault: ONNX Runtime is not shown it then.
    pub(super) graph: Graph,
    /// What is wrong with the files.
    pub(super) faults: Vec<Fault>,
}

/// Reads every file of the bundle, whose graph may have so many nodes.
pub(super) fn read_contents(path: &Path, manifest: &Manifest, most_nodes: u64) -> Contents {
    let mut contents = Contents::default();
    for name in manifest.named_files() {
        if !manifest.files.contains_key(name) {
            let fix = "add it with its sha256sum";
            contents.faults.push(Fault::new(format!("files.{name}"), "is not listed", fix));
        }
    }
    let graph = contents.read(path, (GRAPH, manifest.files.get(GRAPH)), None).and_then(|file| {
        let fit = scanned(file, most_nodes);
        contents.noted(fit.map_err(of_graph))
    });
    let mut wanted = wanted(graph.as_ref());
    let is_listed = |name: &str| manifest.files.contains_key(name);
    let unfit = wanted.iter().filter_map(|(name, what)| unfit_location(name, what, is_listed));
    let unfit: Vec<Fault> = unfit.collect();
    let mut is_whole = unfit.is_empty();
    contents.faults.extend(unfit);
    let mut data = BTreeMap::new();
    for (name, sum) in manifest.files.iter().filter(|(name, _)| *name != GRAPH) {
        let what = wanted.remove(name);
        let file = contents.read(path, (name, Some(sum)), what.as_deref());
        match (what, file) {
            (None, _) => {}
            (Some(_), Some(file)) => drop(data.insert(name.clone(), file)),
            (Some(_), None) => is_whole = false,
        }
    }
    if let Some(graph) = graph.filter(|_| is_whole) {
        let whole = contents.noted(graph.with(&data).map_err(of_graph));
        contents.graph = whole.unwrap_or_default();
    }
    contents.faults.extend(unlisted(path, manifest));
    contents
}

/// What the files of a model without a manifest hold.
#[derive(Debug, Default)]
pub(super) struct PlainContents {
    /// The graph with all of its values, and what is wrong with the files.
    pub(super) contents: Contents,
    /// What the graph declares.
    pub(super) signature: Signature,
    /// The sums of the graph and of the files that it has values in.
    pub(super) files: BTreeMap<String, String>,
}

/// Reads a graph that has no manifest, and the files that it has values in; there are no sums to hold them against.
pub(super) fn read_plain(path: &Path, most_nodes: u64) -> PlainContents {
    let mut plain = PlainContents::default();
    let contents = &mut plain.contents;
    let read = |name: &str, tensor: Option<&str>| {
        read_listed(path, name, tensor).map_err(|fault| {
            let fix = "put the file itself beside the others; docs/plain-models.md describes them";
            Fault::new(name, fault.wrong, fix)
        })
    };
    let Some(graph) = contents.noted(read(GRAPH, None)).and_then(|file| {
        let fit = scanned(file, most_nodes);
        contents.noted(fit.map_err(of_graph))
    }) else {
        return plain;
    };
    plain.files.insert(GRAPH.to_owned(), hex(graph.sum()));
    plain.signature = contents.noted(graph.declared().map_err(of_graph)).unwrap_or_default();
    let mut data = BTreeMap::new();
    for (name, what) in wanted(Some(&graph)) {
        match unfit_location(&name, &what, |_| true) {
            Some(fault) => contents.faults.push(fault),
            None => {
                if let Some(file) = contents.noted(read(&name, Some(&what))) {
                    plain.files.insert(name.clone(), hex(&file.sum));
                    data.insert(name, file);
                }
            }
        }
    }
    if contents.faults.is_empty() {
        let whole = contents.noted(graph.with(&data).map_err(of_graph));
        contents.graph = whole.unwrap_or_default();
    }
    plain
}

impl Contents {
    /// Reads a file, which a tensor may have its data in, and holds it against its sum; where something is wrong with it, that is noted.
    fn read(
        &mut self,
        path: &Path,
        (name, sum): (&str, Option<&String>),
        tensor: Option<&str>,
    ) -> Option<Summed> {
        let sum = sum?;
        let file = self.noted(read_listed(path, name, tensor))?;
        let has = hex(&file.sum);
        if has == sum.to_ascii_lowercase() {
            return Some(file);
        }
        let wrong = format!("has the sha256 {has}, and the manifest says {sum}");
        let fix = "copy the file again, or write the new sum";
        self.faults.push(Fault::new(format!("files.{name}"), wrong, fix));
        None
    }

    fn noted<T>(&mut self, result: Result<T, Fault>) -> Option<T> {
        result.map_err(|fault| self.faults.push(fault)).ok()
    }
}

fn of_graph(fault: GraphFault) -> Fault {
    Fault::new(GRAPH, fault.wrong, fault.fix)
}

fn scanned(file: Summed, most_nodes: u64) -> Result<ScannedGraph, GraphFault> {
    let graph = ScannedGraph::of(file)?;
    match graph.nodes() > most_nodes {
        false => Ok(graph),
        true => Err(GraphFault {
            wrong: format!(
                "has {} nodes, those of its functions and inner graphs included, and {most_nodes} are the most",
                graph.nodes()
            ),
            fix: "export a smaller one, or raise `limits.max_graph_nodes` of the model in serving.toml",
        }),
    }
}

/// The files that a graph's tensors have their data in, each with the first such tensor.
fn wanted(graph: Option<&ScannedGraph>) -> BTreeMap<String, String> {
    let mut wanted = BTreeMap::new();
    for tensor in graph.into_iter().flat_map(ScannedGraph::external) {
        wanted.entry(tensor.location.clone()).or_insert_with(|| tensor.what.clone());
    }
    wanted
}

/// Why a file that a tensor names is none of the bundle's; it is not even looked for.
fn unfit_location(name: &str, what: &str, is_listed: impl Fn(&str) -> bool) -> Option<Fault> {
    let (why, fix) = if !is_plain(name) {
        let fix = "put the data into the bundle's own directory, and name the file alone";
        ("is not a plain file name", fix)
    } else if name == GRAPH {
        ("is the model itself", "keep the values in the tensor, or in a file of their own")
    } else if !is_listed(name) {
        ("is not listed in the manifest", "list the file under [files] with its sha256sum")
    } else {
        return None;
    };
    Some(Fault::new(GRAPH, format!("{what} has its data in {name:?}, which {why}"), fix))
}

/// Whether it names a file of a directory itself.
pub(super) fn is_plain(name: &str) -> bool {
    !(name.is_empty() || name.contains(['/', '\\', '\0']) || name == "." || name == "..")
}

/// Reads a listed file. Nothing but a regular file of the directory itself is opened, no link followed, and where a tensor has its data in it
/// nothing that has another name besides, which may stand outside.
fn read_listed(path: &Path, name: &str, tensor: Option<&str>) -> Result<Summed, Fault> {
    let at = format!("files.{name}");
    if !is_plain(name) {
        let fix = "name files of the bundle's directory itself";
        return Err(Fault::new(at, "is not a plain file name", fix));
    }
    let unreadable = |cause: io::Error| {
        let fix = "copy the file into the bundle, or take it out of the manifest";
        Fault::new(at.clone(), format!("cannot be read: {cause}"), fix)
    };
    let is_fit = |metadata: fs::Metadata| match (metadata.is_file(), metadata.nlink(), tensor) {
        (false, ..) => Err(Fault::new(&at, "is not a regular file", "put the file itself there")),
        (true, links, Some(tensor)) if links != 1 => {
            let wrong = format!("has {links} links, and {tensor} has its data in it");
            let fix = "copy the file into the bundle, so that nothing else names it";
            Err(Fault::new(&at, wrong, fix))
        }
        _ => Ok(metadata.len()),
    };
    let file = path.join(name);
    is_fit(fs::symlink_metadata(&file).map_err(unreadable)?)?;
    // It may have been replaced since: what was opened counts.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let mut opened =
        fs::OpenOptions::new().read(true).custom_flags(flags).open(&file).map_err(unreadable)?;
    let length = is_fit(opened.metadata().map_err(unreadable)?)?;
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    opened.read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(Summed::of(bytes))
}

fn unlisted(path: &Path, manifest: &Manifest) -> Vec<Fault> {
    let names: BTreeSet<String> = fs::read_dir(path)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names
        .into_iter()
        .filter(|name| name != MANIFEST && !manifest.files.contains_key(name))
        .map(|name| {
            let fix = "list it under [files] with its sha256sum, or remove it";
            Fault::new(name, "is in the directory but not in the manifest", fix)
        })
        .collect()
}

/// Bytes as lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, want: Option<&str>) {
        let manifest: Manifest = toml::from_str(
            "format = 1\nrole = 'ranker'\n[files]\n'w.bin' = ''\n'%2e%2e' = ''\n'model.onnx' = ''\n'../w' = ''",
        )
        .unwrap();
        let is_listed = |name: &str| manifest.files.contains_key(name);
        let fault = unfit_location(name, "the tensor `w`", is_listed);
        match (fault, want) {
            (None, None) => {}
            (Some(fault), Some(words)) => {
                assert!(fault.wrong.contains(words), "{fault}");
                assert!(fault.wrong.starts_with("the tensor `w` has its data in"), "{fault}");
            }
            (got, want) => panic!("{name:?}: {got:?} is not {want:?}"),
        }
    }

    #[test]
    fn data_stands_in_a_listed_file_of_the_bundle_itself() {
        check("w.bin", None);
        check("%2e%2e", None);
        for name in ["", ".", "..", "../w", "/etc/hostname", "./w.bin", "a/w.bin", "w.bin\0", "\\w"]
        {
            check(name, Some("not a plain file name"));
        }
        check("model.onnx", Some("the model itself"));
        check("model.toml", Some("not listed"));
        check("v.bin", Some("not listed"));
        check("%2e%2e%2fw", Some("not listed"));
        check("*/_ORT_MEM_ADDR_/*", Some("plain file name"));
    }

    #[test]
    fn nothing_but_a_regular_file_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        fs::write(path.join("file"), "x").unwrap();
        fs::hard_link(path.join("file"), path.join("again")).unwrap();
        std::os::unix::fs::symlink("file", path.join("link")).unwrap();
        fs::create_dir(path.join("folder")).unwrap();
        let mode = rustix::fs::Mode::RWXU;
        rustix::fs::mknodat(
            rustix::fs::CWD,
            path.join("pipe"),
            rustix::fs::FileType::Fifo,
            mode,
            0,
        )
        .unwrap();
        let read = |name: &str| read_listed(path, name, None).map(|file| file.bytes);
        assert_eq!(read("file").unwrap(), b"x");
        for name in ["link", "folder", "pipe"] {
            assert_eq!(read(name).unwrap_err().wrong, "is not a regular file", "{name}");
        }
        assert!(read("nothing").unwrap_err().wrong.contains("cannot be read"));
        let linked = read_listed(path, "again", Some("the tensor `w`")).unwrap_err();
        assert!(linked.wrong.contains("has 2 links, and the tensor `w`"), "{linked}");
        fs::remove_file(path.join("file")).unwrap();
        assert!(read_listed(path, "again", Some("the tensor `w`")).is_ok());
    }
}
