//! Asks a server's admin listener for its status.

use std::{future::poll_fn, pin::Pin, time::Duration};

use tonic::{
    body::Body,
    codegen::{Body as _, Service, http},
    transport::Channel,
};

use crate::{cli::client::Admin, transport::Report};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Largest answer that is taken, in bytes.
const LARGEST: usize = 16 << 20;

/// A connection to the admin listener.
pub(super) struct Asking {
    channel: Channel,
    url: String,
}

impl Asking {
    /// Connects.
    pub(super) async fn connect(admin: &Admin) -> Result<Self, String> {
        Ok(Self { channel: admin.channel().await?, url: admin.url().to_owned() })
    }

    /// What the server says of itself now.
    pub(super) async fn report(&mut self) -> Result<Report, String> {
        let url = self.url.clone();
        let body = match tokio::time::timeout(PATIENCE, self.get("/statusz")).await {
            Ok(answer) => answer?,
            Err(_) => return Err(format!("{url} does not answer within {} s", PATIENCE.as_secs())),
        };
        serde_json::from_slice(&body).map_err(|error| {
            format!("{url}/statusz is not what this version of podium reads: {error}. Use the server's own version")
        })
    }

    async fn get(&mut self, path: &'static str) -> Result<Vec<u8>, String> {
        let url = &self.url;
        let gone = |error: &dyn std::error::Error| {
            format!(
                "no server answers at {url} ({error}). Start one with `make serve`, or name another with --admin"
            )
        };
        let channel = &mut self.channel;
        poll_fn(|cx| channel.poll_ready(cx)).await.map_err(|error| gone(&error))?;
        let request = http::Request::get(path).body(Body::empty()).map_err(|e| e.to_string())?;
        let answer = channel.call(request).await.map_err(|error| gone(&error))?;
        let status = answer.status();
        let mut body = answer.into_body();
        let mut bytes = Vec::new();
        while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            let frame = frame.map_err(|error| gone(&error))?;
            bytes.extend(frame.data_ref().into_iter().flatten());
            if bytes.len() > LARGEST {
                return Err(format!("{url}{path} answers more than {LARGEST} bytes"));
            }
        }
        match status.is_success() {
            true => Ok(bytes),
            false => Err(format!("{url}{path}: {}", refusal(status, &bytes))),
        }
    }
}

/// What the listener says of a refusal, else the status.
fn refusal(status: http::StatusCode, body: &[u8]) -> String {
    let json: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let message = json.as_ref().and_then(|json| json.get("error")?.get("message")?.as_str());
    message
        .map_or_else(|| format!("HTTP status {status}; is it the admin listener?"), str::to_owned)
}
