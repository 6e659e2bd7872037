//! Brings the bytes of one file, from the store or from another version's directory, and sums them.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use futures::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt, path};
use sha2::{Digest, Sha256};

use crate::repository::{bucket::incoming::Incoming, contents::hex};

/// How much of a file is read at once.
const CHUNK_BYTES: usize = 1 << 16;

/// Why a file did not come.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The store did not give it.
    Store(object_store::Error),
    /// The disk did not take it.
    Disk(io::Error),
    /// It is longer than the store said when it listed it.
    TooLong,
}

/// Fetches an object that has at most so many bytes.
pub(super) async fn fetch(
    store: &dyn ObjectStore,
    key: &path::Path,
    most_bytes: u64,
    incoming: &mut Incoming,
) -> Result<(), Trouble> {
    let mut chunks = store.get(key).await.map_err(Trouble::Store)?.into_stream();
    while let Some(chunk) = chunks.try_next().await.map_err(Trouble::Store)? {
        if incoming.bytes() + chunk.len() as u64 > most_bytes {
            return Err(Trouble::TooLong);
        }
        incoming.write(&chunk).map_err(Trouble::Disk)?;
    }
    Ok(())
}

/// Copies a file of this machine.
pub(super) fn copy(from: &Path, incoming: &mut Incoming) -> io::Result<()> {
    each_chunk(from, |chunk| incoming.write(chunk))
}

/// The sha256 of a file.
pub(super) fn sum_of(path: &Path) -> io::Result<String> {
    let mut sum = Sha256::new();
    each_chunk(path, |chunk| {
        sum.update(chunk);
        Ok(())
    })?;
    Ok(hex(&sum.finalize()))
}

fn each_chunk(path: &Path, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut file = File::open(path)?;
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(()),
            count => take(&chunk[..count])?,
        }
    }
}
