//! One bundle: its directory read, its files held against their sums.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    ids::{ModelId, ModelName, Version},
    repository::{
        contents::{MANIFEST, read_contents, read_plain},
        error::{Fault, RepositoryError},
        manifest::{FORMAT, GoldenSpec, Manifest},
        model_config::{ModelConfig, parse},
        plain::derived,
        plain_place::{CONFIG, config_path, is_plain_model, only_version_of},
        serving_spec::VersionLimits,
    },
    runtime::Graph,
};

/// A bundle, read.
#[derive(Debug)]
pub struct Bundle {
    /// The model and its version, from the directory's name.
    pub id: ModelId,
    /// The directory.
    pub path: PathBuf,
    /// The manifest, as it is written, or as it follows from the graph where there is none.
    pub manifest: Manifest,
    /// The graph, made of the very bytes whose sums were checked. Empty where one of its files is at fault.
    pub graph: Graph,
    /// What stands beside it and is not used, each with the reason.
    pub notes: Vec<String>,
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
    /// Reads a bundle as [`Self::open_within`] does, with the limits of a model of which `serving.toml` says nothing.
    ///
    /// # Errors
    /// Those of [`Self::open_within`].
    pub fn open(path: &Path) -> Result<Self, RepositoryError> {
        Self::open_within(path, &VersionLimits::default())
    }

    /// Reads a bundle, checks every file's sum and looks through its graph, at the cost of reading all of them.
    ///
    /// Files that are at fault are told together with the graph's faults, by the check against its graph.
    ///
    /// # Errors
    /// [`RepositoryError::NotABundle`] when the path does not end in a name and a version, [`RepositoryError::Faulty`]
    /// when the manifest cannot be read, or does not follow from a graph that has none.
    pub fn open_within(path: &Path, limits: &VersionLimits) -> Result<Self, RepositoryError> {
        let whole = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let id =
            id_of(&whole).ok_or_else(|| RepositoryError::NotABundle { path: path.to_owned() })?;
        if is_plain_model(&whole) {
            return Self::open_plain(id, &whole, limits);
        }
        let manifest = read_manifest(path).map_err(|fault| RepositoryError::Faulty {
            path: path.to_owned(),
            faults: vec![fault],
        })?;
        let contents = read_contents(path, &manifest, limits.max_graph_nodes);
        let (graph, faults) = (contents.graph, contents.faults);
        let path = path.to_owned();
        let notes = Vec::new();
        Ok(Self { id, path, manifest, graph, notes, faults, configured_catalogue: None })
    }

    /// Reads a model without a manifest.
    fn open_plain(
        id: ModelId,
        path: &Path,
        limits: &VersionLimits,
    ) -> Result<Self, RepositoryError> {
        let faulty = |faults| RepositoryError::Faulty { path: path.to_owned(), faults };
        let config = read_config(&config_path(path), id.name.as_str()).map_err(faulty)?;
        let plain = read_plain(path, limits.max_graph_nodes);
        let (graph, faults) = (plain.contents.graph, plain.contents.faults);
        if graph.is_empty() {
            return Err(faulty(faults));
        }
        let manifest = derived(&plain.signature, plain.files, config.as_ref()).map_err(faulty)?;
        let notes = config.map(|config| config.notes).unwrap_or_default();
        let path = path.to_owned();
        Ok(Self { id, path, manifest, graph, notes, faults, configured_catalogue: None })
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

    /// What its files take on disk, in bytes, the manifest left out.
    pub fn size_bytes(&self) -> u64 {
        let files = self.manifest.files.keys();
        files.filter_map(|name| Some(fs::metadata(self.file(name)).ok()?.len())).sum()
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
    let Some(version) = Version::parse(path.file_name()?.to_str()?) else {
        return only_version_of(path);
    };
    let name = ModelName::parse(path.parent()?.file_name()?.to_str()?)?;
    Some(ModelId { name, version })
}

/// Reads the `config.pbtxt` of a model, where there is one.
fn read_config(path: &Path, model: &str) -> Result<Option<ModelConfig>, Vec<Fault>> {
    match fs::read_to_string(path) {
        Ok(text) => parse(&text, model).map(Some),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => {
            let fix = "make it a file that the server may read, or take it away";
            Err(vec![Fault::new(CONFIG, format!("cannot be read: {cause}"), fix)])
        }
    }
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
