//! What the client commands share: reaching a server, and saying what it refused.

use std::time::Duration;

use clap::Args;
use tonic::{
    Status,
    transport::{Channel, Endpoint},
};
use tonic_types::StatusExt;

use crate::transport::pb::{
    info_service_client::InfoServiceClient, model_service_client::ModelServiceClient,
    rank_service_client::RankServiceClient, telemetry_service_client::TelemetryServiceClient,
    user_service_client::UserServiceClient,
};

/// Largest answer that is taken, in bytes.
const LARGEST_ANSWER: usize = 256 << 20;

/// Which server.
#[derive(Debug, Clone, Args)]
pub(super) struct Target {
    /// The server
    #[arg(
        long,
        value_name = "URL",
        env = "PODIUM_TARGET",
        default_value = "http://127.0.0.1:50051"
    )]
    pub(super) target: String,
}

/// A connection with its clients.
#[derive(Debug, Clone)]
pub(super) struct Client {
    pub(super) rank: RankServiceClient<Channel>,
    pub(super) info: InfoServiceClient<Channel>,
    pub(super) users: UserServiceClient<Channel>,
}

impl Target {
    /// Connects.
    pub(super) async fn connect(&self) -> Result<Client, String> {
        let channel = connect(&self.target, "--target").await?;
        Ok(Client {
            rank: RankServiceClient::new(channel.clone()).max_decoding_message_size(LARGEST_ANSWER),
            users: UserServiceClient::new(channel.clone()),
            info: InfoServiceClient::new(channel).max_decoding_message_size(LARGEST_ANSWER),
        })
    }
}

/// Which server's admin listener.
#[derive(Debug, Clone, Args)]
pub(super) struct Admin {
    /// The server's admin listener
    #[arg(
        long,
        value_name = "URL",
        env = "PODIUM_ADMIN",
        default_value = "http://127.0.0.1:50052"
    )]
    admin: String,
}

impl Admin {
    /// Where it is.
    pub(super) fn url(&self) -> &str {
        &self.admin
    }

    /// Connects, for whatever the listener has.
    pub(super) async fn channel(&self) -> Result<Channel, String> {
        connect(&self.admin, "--admin").await
    }

    /// Connects.
    pub(super) async fn connect(&self) -> Result<ModelServiceClient<Channel>, String> {
        Ok(ModelServiceClient::new(self.channel().await?).max_decoding_message_size(LARGEST_ANSWER))
    }

    /// Connects to what shows and changes telemetry.
    pub(super) async fn telemetry(&self) -> Result<TelemetryServiceClient<Channel>, String> {
        Ok(TelemetryServiceClient::new(connect(&self.admin, "--admin").await?))
    }
}

/// Connects to the address that a flag names.
pub(super) async fn connect(url: &str, flag: &str) -> Result<Channel, String> {
    let endpoint = Endpoint::from_shared(url.to_owned())
        .map_err(|e| format!("{flag} {url}: {e}; write http://HOST:PORT"))?
        .connect_timeout(Duration::from_secs(5));
    endpoint.connect().await.map_err(|e| {
        let cause = std::error::Error::source(&e).map(ToString::to_string).unwrap_or_default();
        format!("no server answers at {url} ({e} {cause}). Start one with `make serve`, or name another with {flag}")
    })
}

/// A refusal in words: the code, the message, and each faulty field.
pub(super) fn refusal(status: &Status) -> String {
    let faults = status.get_details_bad_request().map_or_else(Vec::new, |b| b.field_violations);
    let mut text = match faults.is_empty() {
        true => format!("{:?}: {}", status.code(), status.message()),
        false => format!("{:?}, in {} field(s):", status.code(), faults.len()),
    };
    for fault in faults {
        text.push_str(&format!("\n  - {}: {}", fault.field, fault.description));
    }
    text
}
