//! Changes `serving.toml` in an object store: by a conditional write, so that of two writers one is told.

use std::{io, sync::atomic::Ordering};

use object_store::{Error, ObjectStore, PutMode, PutPayload, UpdateVersion, path};

use crate::repository::{
    bucket::{
        cause::cause_of,
        operations::{Bucket, PATIENCE, silence},
    },
    error::RepositoryError,
    serving_file::SERVING_FILE,
    serving_text::Revision,
};

/// An object that shows whether the store takes conditional writes for what they are.
const PROBE: &str = ".serving.toml.probe";

impl Bucket {
    /// Replaces `serving.toml`, unless it is no longer what it was at a revision.
    pub(in crate::repository) async fn set_serving_text(
        &self,
        text: &str,
        since: &Revision,
    ) -> Result<Revision, RepositoryError> {
        if !self.conditional.load(Ordering::Relaxed) {
            self.check_conditional().await?;
            self.conditional.store(true, Ordering::Relaxed);
        }
        let key = self.prefix.clone().join(SERVING_FILE);
        let mode = match since.name() {
            None => PutMode::Create,
            Some(name) => {
                let name = Some(name.to_owned());
                PutMode::Update(match self.by_generation {
                    true => UpdateVersion { e_tag: None, version: name },
                    false => UpdateVersion { e_tag: name, version: None },
                })
            }
        };
        let creates = mode == PutMode::Create;
        match self.put(&key, text, mode).await? {
            Ok(revision) if revision != Revision::default() => Ok(revision),
            Ok(_) => Ok(self.serving_text().await?.revision),
            Err(Error::NotFound { .. }) if !creates => Err(RepositoryError::Conflict),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => {
                Err(RepositoryError::Conflict)
            }
            Err(error) => Err(unwritable(cause_of(&error))),
        }
    }

    /// Sees to it that a write that must fail fails: some stores take no notice of conditions.
    async fn check_conditional(&self) -> Result<(), RepositoryError> {
        let key = self.prefix.clone().join(PROBE);
        for _ in 0..2 {
            match self.put(&key, "", PutMode::Create).await? {
                Ok(_) => {}
                Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => return Ok(()),
                Err(error) => return Err(unwritable(cause_of(&error))),
            }
        }
        let cause = "the store takes no notice of conditions on writes (If-None-Match), so that two writers could undo each other's changes";
        Err(unwritable(cause.to_owned()))
    }

    async fn put(
        &self,
        key: &path::Path,
        text: &str,
        mode: PutMode,
    ) -> Result<Result<Revision, Error>, RepositoryError> {
        let payload = PutPayload::from(text.as_bytes().to_vec());
        let written = self.store.put_opts(key, payload, mode.into());
        match tokio::time::timeout(PATIENCE, written).await {
            Ok(written) => Ok(written.map(|put| self.revision(put.e_tag, put.version))),
            Err(_) => Err(unwritable(silence())),
        }
    }
}

fn unwritable(cause: String) -> RepositoryError {
    RepositoryError::Unwritable { cause: io::Error::other(cause) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::{future::join_all, stream::BoxStream};
    use object_store::{
        CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
        ObjectStoreExt, PutMultipartOptions, PutOptions, PutResult, memory::InMemory,
    };

    use crate::repository::{bucket::operations::bucket, serving_text::ServingText};

    use super::*;

    type Answer<T> = object_store::Result<T>;

    /// A store that takes every write, whatever its condition.
    #[derive(Debug)]
    struct Careless(InMemory);

    impl std::fmt::Display for Careless {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            self.0.fmt(f)
        }
    }

    #[tonic::async_trait]
    impl ObjectStore for Careless {
        async fn put_opts(
            &self,
            key: &path::Path,
            payload: PutPayload,
            _: PutOptions,
        ) -> Answer<PutResult> {
            self.0.put(key, payload).await
        }

        async fn put_multipart_opts(
            &self,
            key: &path::Path,
            options: PutMultipartOptions,
        ) -> Answer<Box<dyn MultipartUpload>> {
            self.0.put_multipart_opts(key, options).await
        }

        async fn get_opts(&self, key: &path::Path, options: GetOptions) -> Answer<GetResult> {
            self.0.get_opts(key, options).await
        }

        fn delete_stream(
            &self,
            keys: BoxStream<'static, Answer<path::Path>>,
        ) -> BoxStream<'static, Answer<path::Path>> {
            self.0.delete_stream(keys)
        }

        fn list(&self, prefix: Option<&path::Path>) -> BoxStream<'static, Answer<ObjectMeta>> {
            self.0.list(prefix)
        }

        async fn list_with_delimiter(&self, prefix: Option<&path::Path>) -> Answer<ListResult> {
            self.0.list_with_delimiter(prefix).await
        }

        async fn copy_opts(
            &self,
            from: &path::Path,
            to: &path::Path,
            options: CopyOptions,
        ) -> Answer<()> {
            self.0.copy_opts(from, to, options).await
        }
    }

    #[tokio::test]
    async fn one_of_many_writers_wins() {
        let folder = tempfile::tempdir().unwrap();
        let bucket = bucket(Arc::new(InMemory::new()), folder.path());
        let mut since = Revision::default();
        for _ in 0..3 {
            let texts: Vec<String> = (0..16).map(|number| format!("# {number}\n")).collect();
            let written =
                join_all(texts.iter().map(|text| bucket.set_serving_text(text, &since))).await;
            let won: Vec<usize> = (0..16).filter(|at| written[*at].is_ok()).collect();
            let conflicts =
                written.iter().filter(|w| matches!(w, Err(RepositoryError::Conflict))).count();
            assert_eq!((won.len(), conflicts), (1, 15));
            let said = bucket.serving_text().await.unwrap();
            assert_eq!(said.text, texts[won[0]]);
            assert_eq!(Some(&said.revision), written[won[0]].as_ref().ok());
            since = said.revision;
        }
    }

    #[tokio::test]
    async fn a_store_that_takes_no_notice_of_conditions_is_not_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Careless(InMemory::new()));
        let bucket = bucket(store, folder.path());
        let error = bucket.set_serving_text("[models.a]", &Revision::default()).await.unwrap_err();
        assert!(error.to_string().contains("If-None-Match"), "{error}");
        assert_eq!(bucket.serving_text().await.unwrap(), ServingText::default());
    }
}
