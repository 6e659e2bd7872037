//! A file that is on its way into the cache: summed while it comes, and put in its place only when it is whole.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
};

use sha2::{Digest, Sha256};

use crate::repository::contents::hex;

/// Makes the names of files different within this process.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// A file that is on its way; without [`Incoming::keep`] nothing is left of it.
pub(super) struct Incoming {
    path: PathBuf,
    /// Locked for as long as it is open, so that whoever clears the place knows that it is not left over.
    file: File,
    sum: Sha256,
    bytes: u64,
}

impl Incoming {
    /// Begins a file in the folder of those on their way.
    pub(super) fn begin(folder: &Path) -> io::Result<Self> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!("{}-{number}", process::id()));
        let file = File::create(&path)?;
        let incoming = Self { path, file, sum: Sha256::new(), bytes: 0 };
        incoming.file.lock()?;
        Ok(incoming)
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.sum.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// How many bytes have come.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The sha256 of what has come.
    pub(super) fn sum(&self) -> String {
        hex(&self.sum.clone().finalize())
    }

    /// Puts the file in its place.
    pub(super) fn keep(self, place: &Path) -> io::Result<()> {
        fs::rename(&self.path, place)
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        // Where it was kept, there is nothing by that name any more.
        let _ = fs::remove_file(&self.path);
    }
}

/// Takes away what processes left behind that ended in the middle of it.
pub(super) fn clear(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let left_over = File::open(&path).is_ok_and(|file| file.try_lock().is_ok());
        if left_over {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn nothing_is_left_of_what_was_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let mut incoming = Incoming::begin(folder.path()).unwrap();
        incoming.write(b"ab").unwrap();
        incoming.write(b"c").unwrap();
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!((incoming.sum().as_str(), incoming.bytes()), (abc, 3));
        clear(folder.path()).unwrap();
        assert_eq!(names(folder.path()), 1, "a file was cleared that is on its way");
        drop(incoming);
        assert_eq!(names(folder.path()), 0);
        let mut incoming = Incoming::begin(folder.path()).unwrap();
        incoming.write(b"abc").unwrap();
        let place = folder.path().join("kept");
        incoming.keep(&place).unwrap();
        assert_eq!(fs::read(&place).unwrap(), b"abc");
        assert_eq!(names(folder.path()), 1);
    }

    #[test]
    fn what_a_process_left_is_cleared() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("1-1"), "half").unwrap();
        clear(folder.path()).unwrap();
        assert_eq!(names(folder.path()), 0);
    }
}
