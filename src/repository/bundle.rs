//! One bundle: its directory read, its files held against their sums.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use crate::{
    ids::{ModelId, ModelName, Version},
    repository::{
        error::{Fault, RepositoryError},
        manifest::{FORMAT, GoldenSpec, Manifest},
    },
};

/// The manifest of a bundle.
pub(super) const MANIFEST: &str = "model.toml";
const GRAPH: &str = "model.onnx";

/// A bundle, read.
#[derive(Debug)]
pub struct Bundle {
    /// The model and its version, from the directory's name.
    pub id: ModelId,
    /// The directory.
    pub path: PathBuf,
    /// The manifest.
    pub manifest: Manifest,
    /// The graph, in ONNX's wire format: the very bytes whose sum was checked. Empty where the sum was wrong.
    pub graph: Vec<u8>,
    faults: Vec<Fault>,
    configured_catalogue: Option<PathBuf>,
}

/// Where a catalogue is read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogueFile {
    /// The file.
    pub path: PathBuf,
    /// What names it: the bundle's file, or the key of the configuration with the path.
    pub at: String,
}

impl Bundle {
    /// Reads a bundle and checks every file's sum, at the cost of reading all of them.
    ///
    /// Files that are at fault are told together with the graph's faults, by the check against its graph.
    ///
    /// # Errors
    /// [`RepositoryError::NotABundle`] when the path does not end in a name and a version, [`RepositoryError::Faulty`]
    /// when the manifest cannot be read.
    pub fn open(path: &Path) -> Result<Self, RepositoryError> {
        let id =
            id_of(path).ok_or_else(|| RepositoryError::NotABundle { path: path.to_owned() })?;
        let manifest = read_manifest(path).map_err(|fault| RepositoryError::Faulty {
            path: path.to_owned(),
            faults: vec![fault],
        })?;
        let (graph, faults) = check_files(path, &manifest);
        let path = path.to_owned();
        Ok(Self { id, path, manifest, graph, faults, configured_catalogue: None })
    }

    /// Has the catalogue read from a file that the configuration names, instead of one of its own.
    pub fn use_catalogue(&mut self, path: &Path) {
        self.configured_catalogue = Some(path.to_owned());
    }

    /// Where its catalogue is read from; none where it declares none, or no file is named.
    pub fn catalogue_file(&self) -> Option<CatalogueFile> {
        let spec = self.manifest.catalogue.as_ref()?;
        match &self.configured_catalogue {
            Some(path) => {
                let at = format!("models.catalogues.{} ({})", self.id.name, path.display());
                Some(CatalogueFile { path: path.clone(), at })
            }
            None => {
                let name = spec.file.as_ref()?;
                Some(CatalogueFile { path: self.file(name), at: name.clone() })
            }
        }
    }

    /// The path of a file of the bundle.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The golden vectors' file and tolerance, where the bundle has them.
    pub(super) fn golden(&self) -> Option<&GoldenSpec> {
        self.manifest.golden.as_ref()
    }

    /// What is wrong with its files; empty where they are what the manifest says.
    pub fn file_faults(&self) -> &[Fault] {
        &self.faults
    }

    /// An error that says what is wrong with this bundle.
    pub fn faulty(&self, faults: Vec<Fault>) -> RepositoryError {
        RepositoryError::Faulty { path: self.path.clone(), faults }
    }
}

fn id_of(path: &Path) -> Option<ModelId> {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let version = Version::parse(path.file_name()?.to_str()?)?;
    let name = ModelName::parse(path.parent()?.file_name()?.to_str()?)?;
    Some(ModelId { name, version })
}

/// Reads the manifest of a bundle's directory, and nothing else of it.
///
/// # Errors
/// A [`Fault`] that says what is wrong with it.
pub fn read_manifest(path: &Path) -> Result<Manifest, Fault> {
    let text = fs::read_to_string(path.join(MANIFEST)).map_err(|cause| {
        let fix = "put the manifest there; docs/bundle.md describes it";
        Fault::new(MANIFEST, format!("cannot be read: {cause}"), fix)
    })?;
    let manifest: Manifest = toml::from_str(&text).map_err(|cause| {
        let fix = "mend that line; docs/bundle.md lists every key";
        Fault::new(MANIFEST, cause.to_string().trim_end().to_owned(), fix)
    })?;
    match manifest.format {
        FORMAT => Ok(manifest),
        other => Err(Fault::new(
            "format",
            format!("is {other}, and this build reads {FORMAT}"),
            "export the bundle again, or use a build that reads it",
        )),
    }
}

/// Reads every file of the bundle; returns the graph's bytes and all faults.
fn check_files(path: &Path, manifest: &Manifest) -> (Vec<u8>, Vec<Fault>) {
    let mut faults = Vec::new();
    let mut graph = Vec::new();
    for name in manifest.named_files() {
        if !manifest.files.contains_key(name) {
            let fix = "add it with its sha256sum";
            faults.push(Fault::new(format!("files.{name}"), "is not listed", fix));
        }
    }
    for (name, want) in &manifest.files {
        match read_listed(path, name) {
            Ok(bytes) if hex(&Sha256::digest(&bytes)) != want.to_ascii_lowercase() => {
                let wrong = format!("has the sha256 {}", hex(&Sha256::digest(&bytes)));
                faults.push(Fault::new(
                    format!("files.{name}"),
                    format!("{wrong}, and the manifest says {want}"),
                    "copy the file again, or write the new sum",
                ));
            }
            Ok(bytes) if name == GRAPH => graph = bytes,
            Ok(_) => {}
            Err(fault) => faults.push(fault),
        }
    }
    faults.extend(unlisted(path, manifest));
    (graph, faults)
}

/// Whether a name is one of a file in the bundle's directory itself.
pub(super) fn is_plain_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(['/', '\\', '\0']) && name != "." && name != ".."
}

fn read_listed(path: &Path, name: &str) -> Result<Vec<u8>, Fault> {
    let at = format!("files.{name}");
    if !is_plain_name(name) {
        let fix = "name files of the bundle's directory itself";
        return Err(Fault::new(at, "is not a plain file name", fix));
    }
    let file = path.join(name);
    let unreadable = |cause: io::Error| {
        let fix = "copy the file into the bundle, or take it out of the manifest";
        Fault::new(at.clone(), format!("cannot be read: {cause}"), fix)
    };
    let metadata = fs::symlink_metadata(&file).map_err(unreadable)?;
    if !metadata.file_type().is_file() {
        let fix = "put the file itself there";
        return Err(Fault::new(at, "is not a regular file", fix));
    }
    fs::read(&file).map_err(unreadable)
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
