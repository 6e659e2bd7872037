//! Makes the client of an object store out of an address and options.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use object_store::{
    BackoffConfig, ObjectStore, ObjectStoreScheme, RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
    azure::{AzureConfigKey, MicrosoftAzureBuilder},
    gcp::{GoogleCloudStorageBuilder, GoogleConfigKey},
    path::Path,
};
use url::Url;

use crate::repository::place_options::PlaceOptions;

/// What holds unless the options say otherwise: a store that is gone is noticed within seconds, and a large file may take its time.
const DEFAULTS: [(&str, &str); 3] =
    [("connect_timeout", "3 seconds"), ("read_timeout", "10 seconds"), ("timeout", "1 hour")];

/// The URLs that are understood, for people.
const KNOWN: &str = "write a directory, or a URL such as s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX or abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/PREFIX";

/// A client, and where in the store the repository is.
pub(super) struct Opened {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) prefix: Path,
    /// Whether the store tells the states of an object apart by a generation, and not by its tag.
    pub(super) by_generation: bool,
}

/// Makes a client; nothing is asked of the store yet.
pub(super) fn open(options: &PlaceOptions) -> Result<Opened, String> {
    // The HTTP client takes the process's cryptography, and panics where nobody chose one. Another choice than this one is right too.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let url = Url::parse(&options.address).map_err(|e| format!("the URL is none: {e}; {KNOWN}"))?;
    if url.password().is_some() {
        return Err(
            "the URL holds a password; take it out, and write it under [models.store]".to_owned()
        );
    }
    let (scheme, prefix) = ObjectStoreScheme::parse(&url).map_err(|e| format!("{e}; {KNOWN}"))?;
    let by_generation = scheme == ObjectStoreScheme::GoogleCloudStorage;
    let store: Arc<dyn ObjectStore> = match scheme {
        ObjectStoreScheme::AmazonS3 => {
            let builder = AmazonS3Builder::new().with_url(url).with_retry(retries());
            let set = |b: AmazonS3Builder, key: AmazonS3ConfigKey, value| b.with_config(key, value);
            Arc::new(configured(builder, options, set)?.build().map_err(|e| e.to_string())?)
        }
        ObjectStoreScheme::GoogleCloudStorage => {
            let builder = GoogleCloudStorageBuilder::new().with_url(url).with_retry(retries());
            let set = |b: GoogleCloudStorageBuilder, key: GoogleConfigKey, value| {
                b.with_config(key, value)
            };
            Arc::new(configured(builder, options, set)?.build().map_err(|e| e.to_string())?)
        }
        ObjectStoreScheme::MicrosoftAzure => {
            let builder = MicrosoftAzureBuilder::new().with_url(url).with_retry(retries());
            let set =
                |b: MicrosoftAzureBuilder, key: AzureConfigKey, value| b.with_config(key, value);
            Arc::new(configured(builder, options, set)?.build().map_err(|e| e.to_string())?)
        }
        _ => return Err(format!("{}:// is no object store that is known; {KNOWN}", url.scheme())),
    };
    Ok(Opened { store, prefix, by_generation })
}

/// Sets the defaults, then what the environment says of this kind of store, then the options, all of which must be known.
fn configured<B, K: std::str::FromStr>(
    mut builder: B,
    options: &PlaceOptions,
    set: impl Fn(B, K, String) -> B,
) -> Result<B, String> {
    let defaults = DEFAULTS.map(|(key, value)| (key.to_owned(), value.to_owned()));
    for (key, value) in defaults.iter().chain(&options.environment) {
        if let Ok(key) = key.to_ascii_lowercase().parse() {
            builder = set(builder, key, value.clone());
        }
    }
    let unknown: BTreeMap<&String, &String> =
        options.store.iter().filter(|(key, _)| key.parse::<K>().is_err()).collect();
    if !unknown.is_empty() {
        let keys: Vec<&str> = unknown.keys().map(|key| key.as_str()).collect();
        return Err(format!(
            "models.store.{}: no option of this kind of store; docs/models.md says where they are listed",
            keys.join(", models.store.")
        ));
    }
    for (key, value) in &options.store {
        if let Ok(key) = key.parse() {
            builder = set(builder, key, value.clone());
        }
    }
    Ok(builder)
}

/// A look comes again anyway, so little is tried twice within one.
fn retries() -> RetryConfig {
    let second = Duration::from_secs(1);
    let backoff =
        BackoffConfig { init_backoff: Duration::from_millis(100), max_backoff: second, base: 2.0 };
    RetryConfig { backoff, max_retries: 2, retry_timeout: 5 * second }
}
