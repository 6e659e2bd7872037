//! How a client is set up.

use std::{sync::Arc, time::Duration};

use tonic::transport::{Channel, ClientTlsConfig, Endpoint};

use crate::{budget::RetryBudget, error::Error, options::Options, policy::RetryPolicy};

/// A connection on which calls wait is asked so often whether it is still there, and is given up after so long without an answer.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(5));

/// How a client is set up: [`Client::builder`](crate::Client::builder) begins.
#[derive(Debug)]
#[must_use = "`connect` makes the client"]
pub struct ClientBuilder {
    address: String,
    caller: String,
    deadline: Duration,
    policy: RetryPolicy,
    budget: RetryBudget,
    tls: Option<ClientTlsConfig>,
}

impl ClientBuilder {
    pub(crate) fn new(address: &str) -> Self {
        Self {
            address: address.to_owned(),
            caller: String::new(),
            deadline: Duration::from_secs(1),
            policy: RetryPolicy::default(),
            budget: RetryBudget::default(),
            tls: None,
        }
    }

    /// Who calls, such as `homepage`: the server gives callers equal shares, and counts them apart.
    pub fn caller(self, caller: &str) -> Self {
        Self { caller: caller.to_owned(), ..self }
    }

    /// How long a call may take, all attempts together; one second unless it is set.
    pub fn deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// How often calls are tried.
    pub fn retries(self, policy: RetryPolicy) -> Self {
        Self { policy, ..self }
    }

    /// What retries of all calls together may add.
    pub fn budget(self, budget: RetryBudget) -> Self {
        Self { budget, ..self }
    }

    /// Encrypts, for an address of `https://`; `ClientTlsConfig::new().with_native_roots()` trusts whom the machine trusts.
    pub fn tls(self, tls: ClientTlsConfig) -> Self {
        Self { tls: Some(tls), ..self }
    }

    /// The connection, which is made by the first call, and what all calls have in common.
    pub(crate) fn parts(self) -> Result<(Channel, Options), Error> {
        let told = |why: &dyn std::fmt::Display| {
            Error::unusable(format!("{}: {why}; write http://HOST:PORT", self.address))
        };
        let endpoint = Endpoint::from_shared(self.address.clone()).map_err(|e| told(&e))?;
        let endpoint = endpoint
            .tcp_nodelay(true)
            .connect_timeout(self.deadline)
            .http2_keep_alive_interval(KEEP_ALIVE.0)
            .keep_alive_timeout(KEEP_ALIVE.1);
        let endpoint = match self.tls.clone() {
            Some(tls) => endpoint.tls_config(tls).map_err(|e| told(&e))?,
            None => endpoint,
        };
        let (deadline, policy, budget) = (self.deadline, self.policy, Arc::new(self.budget));
        let mut options = Options { deadline, policy, budget, metadata: Vec::new() };
        if !self.caller.is_empty() {
            let caller = self.caller.parse();
            let wrong = |_| Error::unusable("caller: a name has letters, digits, - and _ only");
            options.set("podium-caller", caller.map_err(wrong)?);
        }
        Ok((endpoint.connect_lazy(), options))
    }
}
