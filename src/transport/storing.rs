//! Stores the embeddings of one stream, message by message.

use std::sync::Arc;

use tonic::Status;

use crate::{
    ranking::{Encoder, Engine, RankError, Stage},
    transport::{
        call::Call,
        conversation::{Next, Requests},
        convert::given_embeddings,
        flow::Flow,
        limits::Limits,
        pb,
        status::{status_of, with_fact},
    },
};

/// One call that brings embeddings.
pub(super) struct Storing<'a> {
    engine: &'a Engine,
    limits: &'a Limits,
    flow: &'a Flow,
    /// The encoder of the message before.
    encoder: Option<Arc<Encoder>>,
    stored: u64,
}

impl<'a> Storing<'a> {
    pub(super) fn new(engine: &'a Engine, limits: &'a Limits, flow: &'a Flow) -> Self {
        Self { engine, limits, flow, encoder: None, stored: 0 }
    }

    /// Stores each message as it comes, until the caller ends the stream.
    ///
    /// # Errors
    /// A status whose ErrorInfo says how many are `stored`.
    pub(super) async fn take_all(
        mut self,
        mut requests: Requests<pb::PutEmbeddingsRequest>,
    ) -> Result<pb::PutEmbeddingsResponse, Status> {
        let status = loop {
            match requests.next().await {
                Next::Request(message) => match self.take(message, requests.arriving()).await {
                    Ok(()) => {}
                    Err(error) => break status_of(&error, ""),
                },
                Next::Ended => return Ok(pb::PutEmbeddingsResponse { stored: self.stored }),
                Next::Draining => break status_of(&RankError::Draining, ""),
                Next::Broken(status) => break status,
            }
        };
        Err(with_fact(&status, "stored", self.stored))
    }

    async fn take(
        &mut self,
        message: pb::PutEmbeddingsRequest,
        call: Call,
    ) -> Result<(), RankError> {
        let _admitted = self.flow.admit()?;
        let encoder = self.encoder(&message)?;
        let embeddings = given_embeddings(message.embeddings, &encoder, self.limits)?;
        let count = embeddings.len() as u64;
        let put = self.engine.users().put(encoder.id(), embeddings);
        tokio::time::timeout_at(call.deadline.at().into(), put)
            .await
            .map_err(|_| RankError::Expired(Stage::Store))??;
        self.encoder = Some(encoder);
        self.stored += count;
        Ok(())
    }

    /// The encoder that a message names, or that of the message before.
    fn encoder(&self, message: &pb::PutEmbeddingsRequest) -> Result<Arc<Encoder>, RankError> {
        let before = self.encoder.as_ref().map(|encoder| encoder.id());
        let name = match (message.encoder_name.as_str(), before) {
            ("", Some(before)) => before.name.as_str(),
            ("", None) => {
                return Err(RankError::field("encoder_name", "is empty; name the encoder once"));
            }
            (name, _) => name,
        };
        let version = match message.encoder_version {
            0 => before.filter(|before| before.name.as_str() == name).map(|id| id.version.0),
            version => Some(version),
        };
        self.engine.encoder(name, version)
    }
}
