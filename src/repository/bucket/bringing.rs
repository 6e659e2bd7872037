//! Brings a bundle's files into the cache: those that are not there yet, each held against the sum that the manifest gives it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    ids::ModelId,
    repository::{
        bucket::{
            cache::{is_regular, uncacheable},
            cause::cause_of,
            fetch::{Trouble, copy, fetch, sum_of},
            incoming::Incoming,
            listing::{Objects, key_of},
            operations::Bucket,
        },
        bundle::read_manifest,
        contents::{MANIFEST, is_plain},
        error::{Fault, RepositoryError},
        manifest::Manifest,
        serving_text::MOST_BYTES,
    },
};

/// A file that is not there yet.
struct Lacking<'a> {
    name: &'a str,
    /// The sum that it shall have.
    sum: &'a str,
    bytes: u64,
}

impl Bucket {
    /// Has a bundle in its directory of the cache, with the files that its manifest lists.
    pub(in crate::repository) async fn bring(
        &self,
        found: &Path,
        in_use: &[PathBuf],
    ) -> Result<PathBuf, RepositoryError> {
        self.prepare()?;
        let gone = || RepositoryError::Unreachable {
            place: self.address().to_owned(),
            cause: format!(
                "{} is no longer what it listed; it is looked at again",
                found.display()
            ),
        };
        let (id, objects) = self.seen_at(found).ok_or_else(gone)?;
        if !found.join(MANIFEST).is_file() {
            if objects.get(MANIFEST).is_some_and(|manifest| manifest.bytes > MOST_BYTES) {
                let fix = "list fewer files; docs/bundle.md describes it";
                let fault = Fault::new(MANIFEST, "is larger than 1 MiB", fix);
                return Err(self.faulty(&id, vec![fault]));
            }
            let text = self.manifest_text(&id).await?.ok_or_else(gone)?;
            let kept = self.cache.keep_manifest(&id, &text)?;
            if self.cache.home(&id, &kept) != found {
                return Err(gone());
            }
        }
        let Ok(manifest) = read_manifest(found) else {
            // Whoever opens it says what is wrong with it.
            return Ok(found.to_owned());
        };
        let lacking =
            lacking(found, &manifest, &objects).map_err(|faults| self.faulty(&id, faults))?;
        let needed: u64 = lacking.iter().map(|file| file.bytes).sum();
        if needed > 0 {
            let in_use: Vec<&Path> = in_use.iter().map(PathBuf::as_path).chain([found]).collect();
            self.cache.make_room(needed, &in_use, &self.listed())?;
        }
        let mut faults = Vec::new();
        for file in &lacking {
            faults.extend(self.bring_file(&id, found, file).await?);
        }
        self.cache.touch(found);
        match faults.is_empty() {
            true => Ok(found.to_owned()),
            false => Err(self.faulty(&id, faults)),
        }
    }

    /// Brings one file; returns what is wrong with it.
    async fn bring_file(
        &self,
        id: &ModelId,
        home: &Path,
        file: &Lacking<'_>,
    ) -> Result<Option<Fault>, RepositoryError> {
        let place = home.join(file.name);
        let full = |cause| uncacheable(&place, cause);
        if let Some(known) = self.cache.known(file.sum) {
            let mut incoming = self.cache.begin()?;
            copy(&known, &mut incoming).map_err(full)?;
            if incoming.sum() == file.sum.to_ascii_lowercase() {
                incoming.keep(&place).map_err(full)?;
                return Ok(None);
            }
            // It is not what it was: the store is asked.
            fs::remove_file(&known).map_err(full)?;
        }
        let Some(key) = key_of(&self.prefix, id, file.name) else {
            return Ok(Some(not_there(file.name)));
        };
        let mut incoming = self.cache.begin()?;
        match fetch(self.store.as_ref(), &key, file.bytes, &mut incoming).await {
            Ok(()) => self.keep(incoming, file, &place),
            Err(Trouble::Store(object_store::Error::NotFound { .. })) => {
                Ok(Some(not_there(file.name)))
            }
            Err(Trouble::Store(error)) => Err(self.unreachable(cause_of(&error))),
            Err(Trouble::Disk(cause)) => Err(full(cause)),
            Err(Trouble::TooLong) => {
                let fix = "leave a version as it is once it is published";
                let wrong = "has become longer while it was fetched";
                Ok(Some(Fault::new(format!("files.{}", file.name), wrong, fix)))
            }
        }
    }

    fn keep(
        &self,
        incoming: Incoming,
        file: &Lacking<'_>,
        place: &Path,
    ) -> Result<Option<Fault>, RepositoryError> {
        let sum = incoming.sum();
        if sum != file.sum.to_ascii_lowercase() {
            let wrong = format!("has the sha256 {sum}, and the manifest says {}", file.sum);
            let fix = "upload the file again, or write the new sum";
            return Ok(Some(Fault::new(format!("files.{}", file.name), wrong, fix)));
        }
        incoming.keep(place).map_err(|cause: io::Error| uncacheable(place, cause))?;
        Ok(None)
    }

    fn faulty(&self, id: &ModelId, faults: Vec<Fault>) -> RepositoryError {
        RepositoryError::Faulty { path: format!("{}/{id}", self.address()).into(), faults }
    }
}

/// The files of a manifest that are not there, or not what they were; names that are none are left to whoever opens the bundle.
fn lacking<'a>(
    home: &Path,
    manifest: &'a Manifest,
    objects: &Objects,
) -> Result<Vec<Lacking<'a>>, Vec<Fault>> {
    let mut lacking = Vec::new();
    let mut faults = Vec::new();
    for (name, sum) in manifest.files.iter().filter(|(name, _)| is_plain(name)) {
        let path = home.join(name);
        if is_regular(&path) && sum_of(&path).is_ok_and(|is| is == sum.to_ascii_lowercase()) {
            continue;
        }
        match objects.get(name) {
            Some(object) => lacking.push(Lacking { name, sum, bytes: object.bytes }),
            None => faults.push(not_there(name)),
        }
    }
    match faults.is_empty() {
        true => Ok(lacking),
        false => Err(faults),
    }
}

fn not_there(name: &str) -> Fault {
    let fix = "upload the file, and model.toml after all others";
    Fault::new(format!("files.{name}"), "is not in the repository", fix)
}
