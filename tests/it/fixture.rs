//! The test bundles and the runtime that the tests share.

use std::path::{Path, PathBuf};

use podium::{
    config,
    repository::Bundle,
    runtime::{Device, Runtime},
};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The models that come with the server.
pub fn shipped_models() -> PathBuf {
    root().join("models")
}

/// A bundle that `tests/fixtures/make_bundles.py` made.
pub fn bundle(path: &str) -> PathBuf {
    let folder = root().join("target").join("test-models");
    assert!(folder.is_dir(), "no test bundles in {}: run `make test`", folder.display());
    folder.join(path)
}

/// The directory with the bundle whose texts are long, which only those load that need it.
pub fn long_models() -> PathBuf {
    let folder = root().join("target").join("test-models-long");
    assert!(folder.is_dir(), "no test bundles in {}: run `make test`", folder.display());
    folder
}

/// The model repository whose models have no manifest.
pub fn plain_models() -> PathBuf {
    let folder = root().join("target").join("test-models-plain");
    assert!(folder.is_dir(), "no test models in {}: run `make test`", folder.display());
    folder
}

/// A bundle that the project ships.
pub fn shipped(path: &str) -> PathBuf {
    root().join("models").join(path)
}

/// Opens a bundle that is right.
pub fn open(path: &Path) -> Bundle {
    Bundle::open(path).unwrap_or_else(|error| panic!("{error}"))
}

/// ONNX Runtime on the CPU, as the configuration finds it.
pub fn runtime() -> Runtime {
    let (config, _) = config::load(None, &[]).unwrap();
    let runtime = Runtime::load(config.runtime_options()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(*runtime.device(), Device::Cpu);
    runtime
}
