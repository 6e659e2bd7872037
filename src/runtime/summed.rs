//! Bytes with their sum.

use sha2::{Digest, Sha256};

/// The sha256 of something.
pub type Sum = [u8; 32];

/// A file's bytes and their sum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summed {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Their sha256.
    pub sum: Sum,
}

impl Summed {
    /// Sums bytes.
    pub fn of(bytes: Vec<u8>) -> Self {
        Self { sum: Sha256::digest(&bytes).into(), bytes }
    }
}
