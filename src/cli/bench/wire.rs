//! One HTTP/2 connection that sends framed requests of one method: gRPC with no more around it than a measurement needs.

use std::{net::SocketAddr, time::Duration};

use bytes::{Bytes, BytesMut};
use h2::client::{self, SendRequest};
use http::{HeaderMap, HeaderValue, Method, Request, Uri, header};
use tokio::{net::TcpStream, task::spawn_local, time::timeout};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::cli::bench::gathered::Gathered;

/// Bytes that may come unasked, of one answer and of all answers of a connection.
const WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 1 << 26;

/// How much longer than its deadline a caller waits here, so that an answer after the deadline is seen.
const GRACE: Duration = Duration::from_secs(1);

/// An open connection.
pub(super) struct Wire {
    send: SendRequest<Bytes>,
    uri: Uri,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// The code as gRPC spells it, with the reason where the server gives one: `RESOURCE_EXHAUSTED/QUEUE_FULL`.
    pub(super) name: String,
    /// What the server says.
    pub(super) message: String,
}

/// A deadline as it stands in the head of a request.
#[derive(Debug, Clone)]
pub(super) struct Deadline {
    /// The time from the call on.
    pub(super) time: Duration,
    header: HeaderValue,
}

impl Deadline {
    /// Encodes it once for many requests.
    pub(super) fn new(time: Duration) -> Self {
        // gRPC allows eight digits.
        let header = match time.as_micros() {
            us if us < 100_000_000 => format!("{us}u"),
            us => format!("{}m", us / 1000),
        };
        let header = HeaderValue::from_str(&header);
        Self { time, header: header.unwrap_or_else(|_| HeaderValue::from_static("1S")) }
    }
}

impl Failure {
    /// An answer that is none.
    pub(super) fn unreadable(message: String) -> Self {
        Self { name: "UNREADABLE_ANSWER".to_owned(), message }
    }
}

impl Wire {
    /// Connects to the method of that path; the connection is served by a task of this thread until it is dropped.
    pub(super) async fn connect(target: &str, path: &str) -> Result<Self, String> {
        let told = |cause: String| format!("{target}: {cause}");
        let uri: Uri = target.parse().map_err(|e| told(format!("{e}; write http://HOST:PORT")))?;
        let authority = uri.authority().ok_or_else(|| told("write http://HOST:PORT".to_owned()))?;
        let host = authority.host().trim_matches(['[', ']']);
        let port = authority.port_u16().unwrap_or(80);
        let addresses = tokio::net::lookup_host((host, port)).await;
        let addresses: Vec<SocketAddr> = addresses.map_err(|e| told(e.to_string()))?.collect();
        let stream = TcpStream::connect(&*addresses).await.map_err(|e| told(e.to_string()))?;
        stream.set_nodelay(true).map_err(|e| told(e.to_string()))?;
        let mut builder = client::Builder::new();
        builder.initial_window_size(WINDOW).initial_connection_window_size(CONNECTION_WINDOW);
        let (send, connection) =
            builder.handshake(Gathered(stream)).await.map_err(|e| told(e.to_string()))?;
        // What ends the connection is told to every request on it.
        spawn_local(async move { connection.await.ok() });
        let uri = Uri::builder().scheme("http").authority(authority.clone()).path_and_query(path);
        Ok(Self { send, uri: uri.build().map_err(|e| told(e.to_string()))? })
    }

    /// Sends a framed request and waits for its answer; whoever drops the future leaves.
    pub(super) async fn call(&self, framed: Bytes, deadline: &Deadline) -> Result<Bytes, Failure> {
        match timeout(deadline.time + GRACE, self.exchange(framed, deadline)).await {
            Ok(result) => result,
            Err(_) => Err(Failure {
                name: "NO_ANSWER".to_owned(),
                message: "nothing came within the deadline and a second more".to_owned(),
            }),
        }
    }

    async fn exchange(&self, framed: Bytes, deadline: &Deadline) -> Result<Bytes, Failure> {
        let mut send = self.send.clone().ready().await.map_err(broken)?;
        let (response, mut body) = send.send_request(self.head(deadline), false).map_err(broken)?;
        body.send_data(framed, true).map_err(broken)?;
        let response = response.await.map_err(broken)?;
        check(response.headers())?;
        let mut stream = response.into_body();
        let mut whole = Bytes::new();
        while let Some(part) = stream.data().await {
            let part = part.map_err(broken)?;
            stream.flow_control().release_capacity(part.len()).map_err(broken)?;
            whole = joined(whole, part);
        }
        if let Some(trailers) = stream.trailers().await.map_err(broken)? {
            check(&trailers)?;
        }
        Ok(whole)
    }

    fn head(&self, deadline: &Deadline) -> Request<()> {
        let mut head = Request::new(());
        *head.method_mut() = Method::POST;
        *head.uri_mut() = self.uri.clone();
        let headers = head.headers_mut();
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert("grpc-timeout", deadline.header.clone());
        head
    }
}

/// Both parts of a body; nothing is copied where there is one.
fn joined(whole: Bytes, part: Bytes) -> Bytes {
    match (whole.is_empty(), part.is_empty()) {
        (true, _) => part,
        (_, true) => whole,
        _ => {
            let mut both = BytesMut::from(whole);
            both.extend_from_slice(&part);
            both.freeze()
        }
    }
}

/// Fails where headers or trailers hold another status than OK.
fn check(headers: &HeaderMap) -> Result<(), Failure> {
    match headers.get("grpc-status") {
        None => Ok(()),
        Some(status) if status == "0" => Ok(()),
        Some(_) => Err(Status::from_header_map(headers).map_or_else(
            || Failure { name: "UNKNOWN".to_owned(), message: String::new() },
            |status| failure(&status),
        )),
    }
}

fn failure(status: &Status) -> Failure {
    let code = screaming(status.code());
    let name = match status.get_details_error_info() {
        Some(info) if !info.reason.is_empty() => format!("{code}/{}", info.reason),
        _ => code,
    };
    Failure { name, message: status.message().to_owned() }
}

fn broken(error: h2::Error) -> Failure {
    Failure { name: screaming(Code::Unavailable), message: error.to_string() }
}

/// `ResourceExhausted` as `RESOURCE_EXHAUSTED`.
fn screaming(code: Code) -> String {
    let mut text = String::new();
    for (at, letter) in format!("{code:?}").chars().enumerate() {
        if at > 0 && letter.is_uppercase() {
            text.push('_');
        }
        text.extend(letter.to_uppercase());
    }
    text
}

#[cfg(test)]
mod tests {
    use tonic_types::{ErrorDetails, StatusExt as _};

    use super::*;

    #[test]
    fn a_failure_is_named_by_code_and_reason() {
        let details = ErrorDetails::with_error_info("QUEUE_FULL", "podium", []);
        let full = Status::with_error_details(Code::ResourceExhausted, "full", details);
        assert_eq!(failure(&full).name, "RESOURCE_EXHAUSTED/QUEUE_FULL");
        assert_eq!(failure(&Status::deadline_exceeded("late")).name, "DEADLINE_EXCEEDED");
    }

    #[test]
    fn a_deadline_has_eight_digits_at_most() {
        let header = |ms| Deadline::new(Duration::from_millis(ms)).header;
        assert_eq!(header(5), "5000u");
        assert_eq!(header(86_400_000), "86400000m");
    }

    #[test]
    fn parts_of_a_body_are_joined() {
        let part = Bytes::from_static;
        assert_eq!(joined(joined(part(b""), part(b"ab")), part(b"cd")), part(b"abcd"));
    }
}
