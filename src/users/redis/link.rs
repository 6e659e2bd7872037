//! The connections to one Redis, whatever kind it is.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use redis::{
    Client, Pipeline, ProtocolVersion, RedisError, RedisResult, TlsMode, Value,
    aio::MultiplexedConnection,
    cluster::ClusterClientBuilder,
    cluster_async::ClusterConnection,
    cmd,
    sentinel::{SentinelClientBuilder, SentinelServerType},
};

use crate::users::{
    options::{RedisMode, RedisOptions},
    redis::address::Address,
};

/// Answers to the commands of a pipeline, each for itself.
pub(super) type Answers = Vec<RedisResult<Value>>;

/// Connections that all requests share; cloning shares them too.
#[derive(Clone)]
pub(super) enum Link {
    /// Some connections to one node, used in turn.
    Node(Arc<Node>),
    /// One connection to each node of a Cluster.
    Cluster(ClusterConnection),
}

pub(super) struct Node {
    connections: Vec<MultiplexedConnection>,
    next: AtomicUsize,
    /// Whether Sentinels may make another node the master.
    watched: bool,
}

/// Connections, and what else is to be known of where they lead.
pub(super) struct Linked {
    pub(super) link: Link,
    /// One client for each master, to be told by of changes.
    pub(super) masters: Vec<Client>,
    /// What it is, for people.
    pub(super) kind: &'static str,
}

impl Link {
    /// Whether another node may become the master without the connection breaking.
    pub(super) fn may_be_demoted(&self) -> bool {
        matches!(self, Self::Node(node) if node.watched)
    }

    /// Sends commands for one slot at once; waits for their answers as long as it takes.
    pub(super) async fn send(&self, pipe: &Pipeline) -> RedisResult<Answers> {
        match self {
            Self::Node(node) => {
                let at = node.next.fetch_add(1, Ordering::Relaxed) % node.connections.len();
                pipe.query_async(&mut node.connections[at].clone()).await
            }
            Self::Cluster(connection) => pipe.query_async(&mut connection.clone()).await,
        }
    }
}

/// Connects to what the options name, at the cost of a few round trips.
///
/// # Errors
/// That of the last node that was asked.
pub(super) async fn connect(address: &Address, options: &RedisOptions) -> RedisResult<Linked> {
    let mode = match options.mode {
        RedisMode::Auto => detect(address).await?,
        told => told,
    };
    match mode {
        RedisMode::Cluster => cluster(address, options).await,
        RedisMode::Sentinel => {
            let master = ask_sentinels(address, options).await?;
            node(address, options, master, true).await
        }
        RedisMode::Single | RedisMode::Auto => {
            let client = first_of(address, |client| async move { Ok(client) }).await?;
            node(address, options, client, false).await
        }
    }
}

/// The first node's answer, or the next one's where it has none.
async fn first_of<T, F: Future<Output = RedisResult<T>>>(
    address: &Address,
    ask: impl Fn(Client) -> F,
) -> RedisResult<T> {
    let mut failed = RedisError::from((redis::ErrorKind::InvalidClientConfig, "no node is named"));
    for node in address.nodes() {
        match ask(address.client(node.clone())?).await {
            Ok(answer) => return Ok(answer),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// Asks a node what it is.
async fn detect(address: &Address) -> RedisResult<RedisMode> {
    let config = address.connection();
    let ask = |client: Client| {
        let config = config.clone();
        async move {
            let mut connection =
                client.get_multiplexed_async_connection_with_config(&config).await?;
            cmd("INFO").arg("server").query_async::<String>(&mut connection).await
        }
    };
    let info = match first_of(address, ask).await {
        // Its ACL does not let us ask.
        Err(error) if error.code() == Some("NOPERM") => return Ok(RedisMode::Single),
        info => info?,
    };
    let mode = info.lines().find_map(|line| {
        line.strip_prefix("redis_mode:").or_else(|| line.strip_prefix("server_mode:"))
    });
    Ok(match mode.map(str::trim) {
        Some("cluster") => RedisMode::Cluster,
        Some("sentinel") => RedisMode::Sentinel,
        _ => RedisMode::Single,
    })
}

async fn node(
    address: &Address,
    options: &RedisOptions,
    client: Client,
    watched: bool,
) -> RedisResult<Linked> {
    let config = address.connection();
    let mut connections = Vec::with_capacity(options.connections);
    for _ in 0..options.connections {
        connections.push(client.get_multiplexed_async_connection_with_config(&config).await?);
    }
    let node = Node { connections, next: AtomicUsize::new(0), watched };
    let kind = if watched { "the master that Sentinels name" } else { "a single node" };
    Ok(Linked { link: Link::Node(Arc::new(node)), masters: vec![client], kind })
}

/// Has Sentinels name the master, and the master say that it is one.
async fn ask_sentinels(address: &Address, options: &RedisOptions) -> RedisResult<Client> {
    let sentinels = address.nodes().iter().map(|node| node.addr().clone());
    let settings = address.settings();
    let mut builder =
        SentinelClientBuilder::new(sentinels, &options.master_name, SentinelServerType::Master)?
            .set_client_to_redis_db(settings.db())
            .set_client_to_redis_protocol(ProtocolVersion::RESP3);
    if let Some(username) = settings.username() {
        builder = builder.set_client_to_redis_username(username);
    }
    if let Some(password) = settings.password() {
        builder = builder.set_client_to_redis_password(password);
    }
    if !options.sentinel_username.is_empty() {
        builder = builder.set_client_to_sentinel_username(&options.sentinel_username);
    }
    if !options.sentinel_password.is_empty() {
        builder = builder.set_client_to_sentinel_password(&options.sentinel_password);
    }
    if address.is_tls() {
        builder = builder
            .set_client_to_redis_tls_mode(TlsMode::Secure)
            .set_client_to_sentinel_tls_mode(TlsMode::Secure);
    }
    if let Some(certificates) = address.certificates() {
        builder = builder
            .set_client_to_redis_certificates(certificates.clone())
            .set_client_to_sentinel_certificates(certificates);
    }
    builder.build()?.async_get_client().await
}

async fn cluster(address: &Address, options: &RedisOptions) -> RedisResult<Linked> {
    let mut builder = ClusterClientBuilder::new(address.nodes().iter().cloned())
        .use_protocol(ProtocolVersion::RESP3)
        .connection_timeout(options.connect_timeout)
        .response_timeout(options.write_timeout)
        .retries(2)
        .min_retry_wait(1)
        .max_retry_wait(20);
    if let Some(certificates) = address.certificates() {
        builder = builder.certs(certificates);
    }
    let mut connection = builder.build()?.get_async_connection().await?;
    let slots: Value = cmd("CLUSTER").arg("SLOTS").query_async(&mut connection).await?;
    let masters = masters_of(&slots);
    let masters = masters.into_iter().map(|(host, port)| address.client_at(host, port));
    Ok(Linked {
        masters: masters.collect::<RedisResult<_>>()?,
        link: Link::Cluster(connection),
        kind: "a Cluster",
    })
}

/// The masters that an answer to `CLUSTER SLOTS` names, each once.
pub(super) fn masters_of(slots: &Value) -> Vec<(String, u16)> {
    let list = |value: &Value| match value {
        Value::Array(values) => values.clone(),
        _ => Vec::new(),
    };
    let of_range = |range: Value| {
        let master = list(&list(&range).into_iter().nth(2)?);
        let host: String = redis::from_redis_value(master.first()?.clone()).ok()?;
        let port: u16 = redis::from_redis_value(master.get(1)?.clone()).ok()?;
        Some((host, port))
    };
    let mut masters: Vec<(String, u16)> = list(slots).into_iter().filter_map(of_range).collect();
    masters.sort();
    masters.dedup();
    masters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masters_are_read_once_each() {
        let text = |text: &str| Value::BulkString(text.into());
        let node = |host, port| Value::Array(vec![text(host), Value::Int(port), text("id")]);
        let range = |from, host, port| {
            Value::Array(vec![
                Value::Int(from),
                Value::Int(from + 9),
                node(host, port),
                node("replica", 1),
            ])
        };
        let slots = Value::Array(vec![range(0, "b", 7), range(10, "a", 7), range(20, "b", 7)]);
        assert_eq!(masters_of(&slots), [("a".to_owned(), 7), ("b".to_owned(), 7)]);
        assert_eq!(masters_of(&Value::Nil), []);
    }
}
