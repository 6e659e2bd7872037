//! What the client commands share: reaching a server, and saying what it refused.

use std::time::Duration;

use clap::Args;
use tonic::{
    Status,
    transport::{Channel, Endpoint},
};
use tonic_types::StatusExt;

use crate::transport::pb::{
    info_service_client::InfoServiceClient, rank_service_client::RankServiceClient,
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
        let target = &self.target;
        let endpoint = Endpoint::from_shared(target.clone())
            .map_err(|e| format!("--target {target}: {e}; write http://HOST:PORT"))?
            .connect_timeout(Duration::from_secs(5));
        let channel = endpoint.connect().await.map_err(|e| {
            let cause = std::error::Error::source(&e).map(ToString::to_string).unwrap_or_default();
            format!("no server answers at {target} ({e} {cause}). Start one with `make serve`, or name another with --target")
        })?;
        Ok(Client {
            rank: RankServiceClient::new(channel.clone()).max_decoding_message_size(LARGEST_ANSWER),
            users: UserServiceClient::new(channel.clone()),
            info: InfoServiceClient::new(channel).max_decoding_message_size(LARGEST_ANSWER),
        })
    }
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
