//! The client: one method for each call.

use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};
use tonic::{Request, Response, Status, Streaming, transport::Channel};

use crate::{
    attempts::Attempts,
    builder::ClientBuilder,
    error::Error,
    options::Options,
    pb::{
        self, info_service_client::InfoServiceClient, rank_service_client::RankServiceClient,
        user_service_client::UserServiceClient,
    },
    rank_stream::RankAnswers,
};

/// Bytes of the largest answer that is taken.
const LARGEST_ANSWER: usize = 64 << 20;

/// How much longer than its deadline a call is waited for, so that the server can say in which stage time ran out.
const GRACE: Duration = Duration::from_millis(50);

/// Calls a server. Cheap to clone: all clones share connections and the retry budget.
#[derive(Debug, Clone)]
pub struct Client {
    channel: Channel,
    options: Options,
}

impl ClientBuilder {
    /// Makes the client. It connects with its first call, and again whenever it has to.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument): the address is no URL, the caller's name cannot be sent, or
    /// what is given for TLS cannot be used.
    pub fn connect(self) -> Result<Client, Error> {
        let (channel, options) = self.parts()?;
        Ok(Client { channel, options })
    }
}

impl Client {
    /// A client of the server at `http://HOST:PORT`, with a deadline of a second. It connects with its first call.
    ///
    /// # Errors
    /// Those of [`ClientBuilder::connect`].
    pub fn new(address: &str) -> Result<Self, Error> {
        Self::builder(address).connect()
    }

    /// Begins a client of the server at `http://HOST:PORT`.
    pub fn builder(address: &str) -> ClientBuilder {
        ClientBuilder::new(address)
    }

    /// The same with another deadline.
    #[must_use]
    pub fn with_deadline(&self, deadline: Duration) -> Self {
        let mut own = self.clone();
        own.options.deadline = deadline;
        own
    }

    /// The same for calls that stand below a span: its W3C `traceparent`, and its `tracestate`, empty where it has none.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument): what cannot be sent as metadata.
    pub fn with_trace(&self, traceparent: &str, tracestate: &str) -> Result<Self, Error> {
        let mut own = self.clone();
        for (key, value) in [("traceparent", traceparent), ("tracestate", tracestate)] {
            if !value.is_empty() {
                let value = value.parse();
                let wrong = |_| Error::unusable(format!("{key}: has characters other than ASCII"));
                own.options.set(key, value.map_err(wrong)?);
            }
        }
        Ok(own)
    }

    /// The connection, for the generated stubs in [`pb`]; calls by them have no deadline of their own and are not tried again.
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// Orders candidates.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn rank(&self, request: pb::RankRequest) -> Result<pb::RankResponse, Error> {
        let id = request.request_id.clone();
        self.call(&id, request, async |request| self.ranks().rank(request).await).await
    }

    /// Orders many requests over one stream: answers come in any order, and one that fails ends no other. All share one deadline, and
    /// none is tried again.
    ///
    /// # Errors
    /// [`Error`], where there is no stream at all.
    pub async fn rank_stream(&self, requests: Vec<pb::RankRequest>) -> Result<RankAnswers, Error> {
        let request = self.options.request(tokio_stream::iter(requests), self.options.deadline);
        let begun = Instant::now();
        let answers = self.in_time(self.ranks().rank_stream(request)).await?;
        Ok(RankAnswers::new(answers, begun, self.options.deadline.saturating_add(GRACE)))
    }

    /// Tells what users did. Each event counts once by its id, however often it is sent.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn record_events(
        &self,
        events: Vec<pb::UserEvent>,
    ) -> Result<pb::RecordEventsResponse, Error> {
        let message = pb::RecordEventsRequest { request_id: String::new(), events };
        self.call("", message, async |request| self.users().record_events(request).await).await
    }

    /// What is known of a user; `model` is empty for the default one.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn get_user(&self, user: &str, model: &str) -> Result<pb::GetUserResponse, Error> {
        let model = pb::ModelSelector { name: model.to_owned(), selector: None };
        let message = pb::GetUserRequest { user_id: user.to_owned(), model: Some(model) };
        self.call("", message, async |request| self.users().get_user(request).await).await
    }

    /// Erases a user.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn delete_user(&self, user: &str) -> Result<pb::DeleteUserResponse, Error> {
        let message = pb::DeleteUserRequest { user_id: user.to_owned() };
        self.call("", message, async |request| self.users().delete_user(request).await).await
    }

    /// Stores embeddings that were computed elsewhere, a message for each part; tells how many are stored. Not tried again.
    ///
    /// # Errors
    /// [`Error`]; its metadata says how many are `stored`.
    pub async fn put_embeddings(&self, parts: Vec<pb::PutEmbeddingsRequest>) -> Result<u64, Error> {
        let request = self.options.request(tokio_stream::iter(parts), self.options.deadline);
        Ok(self.in_time(self.users().put_embeddings(request)).await?.stored)
    }

    /// Has embeddings computed before they are needed; the stream tells how far that is. Not tried again.
    ///
    /// # Errors
    /// [`Error`], where there is no stream at all.
    pub async fn warm_users(
        &self,
        message: pb::WarmUsersRequest,
    ) -> Result<Streaming<pb::WarmUsersResponse>, Error> {
        let request = self.options.request(message, self.options.deadline);
        self.in_time(self.users().warm_users(request)).await
    }

    /// Limits, models and their features.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn server_info(&self) -> Result<pb::GetServerInfoResponse, Error> {
        let message = pb::GetServerInfoRequest {};
        self.call("", message, async |request| self.infos().get_server_info(request).await).await
    }

    /// What the catalogue of a model says of items; `model` is empty for the default one.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn items(
        &self,
        ids: impl IntoIterator<Item = impl Into<String>>,
        model: &str,
    ) -> Result<pb::GetItemsResponse, Error> {
        let model = pb::ModelSelector { name: model.to_owned(), selector: None };
        let ids = ids.into_iter().map(Into::into).collect();
        let message = pb::GetItemsRequest { model: Some(model), ids };
        self.call("", message, async |request| self.infos().get_items(request).await).await
    }

    fn ranks(&self) -> RankServiceClient<Channel> {
        RankServiceClient::new(self.channel()).max_decoding_message_size(LARGEST_ANSWER)
    }

    fn users(&self) -> UserServiceClient<Channel> {
        UserServiceClient::new(self.channel()).max_decoding_message_size(LARGEST_ANSWER)
    }

    fn infos(&self) -> InfoServiceClient<Channel> {
        InfoServiceClient::new(self.channel()).max_decoding_message_size(LARGEST_ANSWER)
    }

    /// The beginning of a stream, within the deadline.
    async fn in_time<A>(
        &self,
        sent: impl Future<Output = Result<Response<A>, Status>>,
    ) -> Result<A, Error> {
        let answer = timeout(self.options.deadline.saturating_add(GRACE), sent).await;
        Ok(answer.map_err(|_| Error::late())??.into_inner())
    }

    /// Sends a message, and sends it again as far as that can help and the deadline and the budget allow.
    async fn call<M: Clone, A>(
        &self,
        request_id: &str,
        message: M,
        send: impl AsyncFn(Request<M>) -> Result<Response<A>, Status>,
    ) -> Result<A, Error> {
        let Options { deadline, policy, budget, .. } = &self.options;
        let mut attempts = Attempts::new(Instant::now(), *deadline, policy, budget);
        loop {
            let left = attempts.begin(Instant::now());
            let request = self.options.request(message.clone(), left);
            let error = match timeout(left.saturating_add(GRACE), send(request)).await {
                Ok(Ok(answer)) => return Ok(answer.into_inner()),
                Ok(Err(status)) => status.into(),
                Err(_) => Error::late(),
            };
            match attempts.pause_after(Instant::now(), &error, rand::random()) {
                Some(pause) => sleep(pause).await,
                None => return Err(error.with_call(request_id, attempts.made())),
            }
        }
    }
}
