//! Where Redis is and how to be let in, from the options.

use std::{fs, time::Duration};

use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo,
    IntoConnectionInfo, ProtocolVersion, RedisConnectionInfo, TlsCertificates,
};

use crate::users::options::RedisOptions;

/// Nodes to ask, and how to be let in.
#[derive(Debug, Clone)]
pub(super) struct Address {
    nodes: Vec<ConnectionInfo>,
    certificates: Option<TlsCertificates>,
    connect_timeout: Duration,
}

impl Address {
    /// Reads the options and the files that they name.
    ///
    /// # Errors
    /// What is wrong with which key.
    pub(super) fn of(options: &RedisOptions) -> Result<Self, String> {
        let url = options.url.as_str();
        let first = url.into_connection_info().map_err(|e| {
            format!("users.redis.url is no address of Redis ({e}); write redis://HOST:PORT")
        })?;
        let mut settings = first.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        if !options.username.is_empty() {
            settings = settings.set_username(&options.username);
        }
        if !options.password.is_empty() {
            settings = settings.set_password(&options.password);
        }
        let first = first.set_redis_settings(settings.clone());
        let mut nodes = vec![first];
        for node in &options.nodes {
            let address = host_and_port(node)
                .ok_or_else(|| format!("users.redis.nodes: `{node}` is not HOST:PORT"))?;
            nodes.push(nodes[0].clone().set_addr(beside(nodes[0].addr(), address)));
        }
        let certificates = certificates(options)?;
        let address = Self { nodes, certificates, connect_timeout: options.connect_timeout };
        if address.is_tls() {
            // The client takes the process's cryptography, and panics where nobody chose one. Another choice than this one is right too.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        Ok(address)
    }

    /// The nodes.
    pub(super) fn nodes(&self) -> &[ConnectionInfo] {
        &self.nodes
    }

    /// Certificates, where files were named.
    pub(super) fn certificates(&self) -> Option<TlsCertificates> {
        self.certificates.clone()
    }

    /// Whether connections are encrypted.
    pub(super) fn is_tls(&self) -> bool {
        matches!(self.nodes[0].addr(), ConnectionAddr::TcpTls { .. })
    }

    /// User, password and database.
    pub(super) fn settings(&self) -> RedisConnectionInfo {
        self.nodes[0].redis_settings().clone()
    }

    /// A client of a node.
    pub(super) fn client(&self, node: ConnectionInfo) -> redis::RedisResult<Client> {
        match &self.certificates {
            Some(certificates) if self.is_tls() => {
                Client::build_with_tls(node, certificates.clone())
            }
            _ => Client::open(node),
        }
    }

    /// A client of the node at a host and port, let in as the others are.
    pub(super) fn client_at(&self, host: String, port: u16) -> redis::RedisResult<Client> {
        let address = beside(self.nodes[0].addr(), (host, port));
        self.client(self.nodes[0].clone().set_addr(address))
    }

    /// How a connection is made; answers are waited for by whoever asks.
    pub(super) fn connection(&self) -> AsyncConnectionConfig {
        AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect_timeout))
            .set_response_timeout(None)
            .set_pipeline_buffer_size(1024)
    }

    /// The nodes as text, without passwords.
    pub(super) fn text(&self) -> String {
        let nodes: Vec<String> = self.nodes.iter().map(|node| node.addr().to_string()).collect();
        nodes.join(", ")
    }
}

/// The same kind of address at another host and port.
fn beside(address: &ConnectionAddr, (host, port): (String, u16)) -> ConnectionAddr {
    match address {
        ConnectionAddr::TcpTls { insecure, tls_params, .. } => ConnectionAddr::TcpTls {
            host,
            port,
            insecure: *insecure,
            tls_params: tls_params.clone(),
        },
        _ => ConnectionAddr::Tcp(host, port),
    }
}

fn host_and_port(node: &str) -> Option<(String, u16)> {
    let (host, port) = node.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    (!host.is_empty()).then_some(())?;
    Some((host.to_owned(), port.parse().ok()?))
}

fn certificates(options: &RedisOptions) -> Result<Option<TlsCertificates>, String> {
    let file = |key: &str, path: &str| match path {
        "" => Ok(None),
        path => fs::read(path).map(Some).map_err(|e| {
            format!("users.redis.{key}: {path} cannot be read ({e}); name a PEM file")
        }),
    };
    let root_cert = file("tls_ca", &options.tls_ca)?;
    let pair = (file("tls_cert", &options.tls_cert)?, file("tls_key", &options.tls_key)?);
    let client_tls = match pair {
        (Some(client_cert), Some(client_key)) => Some(ClientTlsConfig { client_cert, client_key }),
        _ => None,
    };
    let any = root_cert.is_some() || client_tls.is_some();
    Ok(any.then_some(TlsCertificates { client_tls, root_cert }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, nodes: &[&str], want: Result<&str, &str>) {
        let nodes = nodes.iter().map(|node| (*node).to_owned()).collect();
        let options = RedisOptions { url: url.to_owned(), nodes, ..RedisOptions::default() };
        match (Address::of(&options).map(|address| address.text()), want) {
            (Ok(got), Ok(want)) => assert_eq!(got, want),
            (Err(got), Err(want)) => assert!(got.contains(want), "{got}"),
            (got, want) => panic!("{got:?} is not {want:?}"),
        }
    }

    #[test]
    fn addresses_are_read_and_shown_without_passwords() {
        check("redis://127.0.0.1", &[], Ok("127.0.0.1:6379"));
        check("redis://u:secret@h:7/3", &["b:8", "[::1]:9"], Ok("h:7, b:8, ::1:9"));
        check("rediss://h:7", &[], Ok("h:7"));
        check("http://h:7", &[], Err("users.redis.url"));
        check("redis://h", &["b"], Err("`b` is not HOST:PORT"));
        check("redis://h", &[":6"], Err("users.redis.nodes"));
    }

    #[test]
    fn a_user_of_the_options_goes_before_that_of_the_url() {
        let options = RedisOptions {
            url: "redis://u:old@h".to_owned(),
            username: "app".to_owned(),
            password: "new".to_owned(),
            ..RedisOptions::default()
        };
        let settings = Address::of(&options).unwrap().settings();
        assert_eq!((settings.username(), settings.password()), (Some("app"), Some("new")));
    }
}
