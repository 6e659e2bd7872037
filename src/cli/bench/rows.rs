//! The requests as tensors, built with the server's own code from the model's own directory.

use std::time::{Duration, Instant};

use crate::{
    app::App,
    config::Config,
    deadline::Deadline,
    repository::Bundle,
    tensor::Tensor,
    transport::{pb::RankRequest, rank_request},
};

/// How long the first run of an encoder for one user may take here.
const PATIENCE: Duration = Duration::from_secs(60);

/// A model outside of any server, with the tensors of requests to it.
pub(super) struct Rows {
    pub(super) app: App,
    pub(super) bundle: Bundle,
    /// The inputs of each request, in the order of the manifest.
    pub(super) inputs: Vec<Vec<Tensor>>,
}

impl Rows {
    /// Loads the models of the configuration, and builds the tensors of Rank requests.
    pub(super) async fn of_requests(
        config: Config,
        bundle: Bundle,
        requests: &[RankRequest],
    ) -> Result<Self, String> {
        let limits = config.limits.clone();
        let app = App::load(config).await.map_err(|e| e.to_string())?;
        let mut inputs = Vec::with_capacity(requests.len());
        for message in requests {
            let request = rank_request(message.clone(), &limits).map_err(|e| e.to_string())?;
            let deadline = Deadline::after(Instant::now(), PATIENCE);
            let built = app.engine().inputs(&request, deadline).await;
            inputs.push(built.map_err(|e| e.to_string())?);
        }
        Ok(Self { app, bundle, inputs })
    }

    /// The same of tensors that are there.
    pub(super) async fn of_tensors(
        config: Config,
        bundle: Bundle,
        inputs: Vec<Vec<Tensor>>,
    ) -> Result<Self, String> {
        let app = App::load(config).await.map_err(|e| e.to_string())?;
        Ok(Self { app, bundle, inputs })
    }
}
