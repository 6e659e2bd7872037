//! The flags that override the configuration.

use std::path::PathBuf;

use clap::Args;

use crate::config::{Config, Flag, Setting, load};

/// The configuration and what overrides it.
#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    /// The configuration file [default: podium.toml, where it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The model repository: a directory, or a URL such as s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX [default: models]
    #[arg(long, value_name = "DIR|URL")]
    models: Option<String>,
    /// A model's catalogue outside of its bundle, CSV or .csv.gz; may be given more than once
    #[arg(long, value_name = "MODEL=FILE")]
    catalogue: Vec<String>,
    /// Where to serve gRPC [default: 127.0.0.1:50051]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Where to answer probes and operators: metrics, the operations page, changes of what is served [default: 127.0.0.1:50052]
    #[arg(long, value_name = "ADDR")]
    admin_listen: Option<String>,
    /// The Redis that keeps users, `redis://HOST:PORT` or `rediss://HOST:PORT`; none: they are kept in process
    #[arg(long, value_name = "URL")]
    redis: Option<String>,
}

impl ConfigArgs {
    pub(super) fn load(&self) -> Result<(Config, Vec<Setting>), String> {
        let given = [
            ("models.dir", &self.models, "--models"),
            ("server.listen", &self.listen, "--listen"),
            ("server.admin_listen", &self.admin_listen, "--admin-listen"),
            ("users.redis.url", &self.redis, "--redis"),
        ];
        let mut flags: Vec<Flag> = given
            .into_iter()
            .filter_map(|(key, value, name)| {
                let value = value.clone()?;
                Some(Flag { key, entry: None, value, name })
            })
            .collect();
        for given in &self.catalogue {
            let (model, file) = given
                .split_once('=')
                .ok_or_else(|| format!("--catalogue {given}: write MODEL=FILE"))?;
            flags.push(Flag {
                key: "models.catalogues",
                entry: Some(model.to_owned()),
                value: file.to_owned(),
                name: "--catalogue",
            });
        }
        load(self.config.as_deref(), &flags).map_err(|error| error.to_string())
    }
}
