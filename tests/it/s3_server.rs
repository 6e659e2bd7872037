//! A real S3-compatible server, `s3s-fs`: started on a free port over a folder; ended on drop.

use std::{
    collections::BTreeMap,
    fs,
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use podium::repository::{Place, PlaceOptions};
use tempfile::TempDir;

use crate::{patience::wait_for, ports::free_port};

const BUCKET: &str = "shop";

/// One server process with one bucket.
pub struct S3Server {
    port: u16,
    folder: TempDir,
    child: Child,
}

impl S3Server {
    /// Starts the server over an empty bucket.
    pub fn start() -> Self {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/bin/s3s-fs");
        assert!(program.is_file(), "run scripts/s3-server, which builds {}", program.display());
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        fs::create_dir_all(folder.path().join("s3").join(BUCKET)).unwrap();
        let child = Command::new(program)
            .args(["--host", "127.0.0.1", "--port", &port.to_string()])
            .args(["--access-key", "a-key", "--secret-key", "a-secret"])
            .arg(folder.path().join("s3"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let listens = || TcpStream::connect(("127.0.0.1", port)).ok();
        wait_for("the S3 server listens", Duration::from_secs(20), listens);
        Self { port, folder, child }
    }

    /// A client of a repository in the bucket, with a cache of its own.
    pub fn place(&self, prefix: &str) -> Place {
        self.place_with(prefix, &[])
    }

    /// The same, with further options of the store.
    pub fn place_with(&self, prefix: &str, more: &[(&str, &str)]) -> Place {
        let endpoint = format!("http://127.0.0.1:{}", self.port);
        let mut store = BTreeMap::from([
            ("access_key_id".to_owned(), "a-key".to_owned()),
            ("secret_access_key".to_owned(), "a-secret".to_owned()),
            ("endpoint".to_owned(), endpoint),
            ("allow_http".to_owned(), "true".to_owned()),
        ]);
        store.extend(more.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        Place::open(&PlaceOptions {
            address: format!("s3://{BUCKET}/{prefix}"),
            store,
            environment: Vec::new(),
            cache_dir: self.folder.path().join("cache"),
            cache_bytes: 1 << 30,
        })
        .unwrap()
    }

    /// Where the bucket's objects lie.
    pub fn objects(&self) -> std::path::PathBuf {
        self.folder.path().join("s3").join(BUCKET)
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
