//! The models as a server tells them, now and whenever they change.

use tonic::{Streaming, transport::Channel};

use crate::{
    cli::client::refusal,
    transport::pb::{
        ListModelsResponse, WatchModelsRequest, WatchModelsResponse,
        model_service_client::ModelServiceClient,
    },
};

/// A server that tells.
pub(super) struct Watch {
    told: Streaming<WatchModelsResponse>,
}

impl Watch {
    /// Asks to be told of a model.
    pub(super) async fn open(
        client: &mut ModelServiceClient<Channel>,
        name: &str,
    ) -> Result<Self, String> {
        let request = WatchModelsRequest { name: name.to_owned() };
        let told = client.watch_models(request).await.map_err(|status| refusal(&status))?;
        Ok(Self { told: told.into_inner() })
    }

    /// The next state; the first one comes at once.
    pub(super) async fn next(&mut self) -> Result<ListModelsResponse, String> {
        let told = self.told.message().await.map_err(|status| refusal(&status))?;
        let told = told.ok_or("the server has stopped telling; it may be about to stop")?;
        Ok(told.state.unwrap_or_default())
    }
}
