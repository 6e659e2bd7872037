//! The way to a collector: OTLP by gRPC or HTTP, tried again while that helps and there is time.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use bytes::{Buf, BufMut, Bytes};
use http::uri::PathAndQuery;
use tonic::{
    Code, Request, Status,
    client::Grpc,
    codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder},
    metadata::{Ascii, MetadataKey, MetadataValue},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};

use crate::telemetry::{
    options::{Compression, OtlpProtocol},
    otlp_options::OtlpOptions,
};

/// How long is waited before a message is tried again for the first time; twice as long each further time.
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// Why a collector cannot be spoken to.
#[derive(Debug, thiserror::Error)]
pub enum OtlpError {
    /// The options are at fault.
    #[error("{key}: {wrong}")]
    Options {
        /// The key below `telemetry`.
        key: &'static str,
        /// What is wrong with it, and what to do.
        wrong: String,
    },
    /// The collector does not take a message.
    #[error("the collector at {endpoint} does not take it: {cause}")]
    Refused {
        /// Where it is.
        endpoint: String,
        /// What it says, or what the way to it says.
        cause: String,
    },
    /// There was no time left to try again.
    #[error("the collector at {endpoint} did not take it within {timeout:?}: {cause}")]
    Late {
        /// Where it is.
        endpoint: String,
        /// The time that a message has.
        timeout: Duration,
        /// What came of the last attempt.
        cause: String,
    },
}

/// What a collector is told.
#[derive(Debug, Clone, Copy)]
pub enum Signal {
    /// Spans: messages of the type `ExportTraceServiceRequest`.
    Traces,
    /// Metrics: messages of the type `ExportMetricsServiceRequest`.
    Metrics,
}

impl Signal {
    /// The method that takes it by gRPC.
    fn method(self) -> PathAndQuery {
        PathAndQuery::from_static(match self {
            Self::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            Self::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        })
    }
}

/// Sends messages that are already written, and reads none of what is answered.
#[derive(Debug, Clone, Copy)]
struct Written;

impl Codec for Written {
    type Encode = Bytes;
    type Decode = ();
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Written {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.reserve(message.len());
        buffer.put(message);
        Ok(())
    }
}

impl Decoder for Written {
    type Item = ();
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<()>, Status> {
        buffer.advance(buffer.remaining());
        Ok(Some(()))
    }
}

/// What is sent beside each message by gRPC.
type Metadata = Vec<(MetadataKey<Ascii>, MetadataValue<Ascii>)>;

/// A certificate and its key.
type Pems = (Vec<u8>, Vec<u8>);

enum Wire {
    Grpc(Channel, Metadata),
    Http(reqwest::Client, String, http::HeaderMap),
}

/// What came of one attempt.
enum Attempt {
    Taken,
    /// Trying again may help.
    NotNow(String),
    Never(String),
}

/// A collector, for one kind of message.
pub struct Collector {
    wire: Wire,
    signal: Signal,
    options: OtlpOptions,
}

impl Collector {
    /// Makes ready to speak to the collector; connects at the first message. Needs a tokio runtime around it.
    ///
    /// # Errors
    /// [`OtlpError::Options`].
    pub fn new(options: OtlpOptions, signal: Signal) -> Result<Self, OtlpError> {
        let wire = match options.protocol {
            OtlpProtocol::Grpc => Wire::Grpc(channel(&options)?, metadata(&options.headers)?),
            OtlpProtocol::HttpProtobuf => {
                Wire::Http(client(&options)?, options.endpoint.clone(), headers(&options)?)
            }
        };
        Ok(Self { wire, signal, options })
    }

    /// Sends a message of its signal's type; tries again, with growing pauses, for as long as a message may take.
    ///
    /// # Errors
    /// [`OtlpError::Refused`] where trying again would not help, else [`OtlpError::Late`].
    pub async fn send(&self, message: Bytes) -> Result<(), OtlpError> {
        let (endpoint, timeout) = (self.options.endpoint.clone(), self.options.timeout);
        let until = tokio::time::Instant::now() + timeout;
        let (mut wait, mut cause) = (FIRST_WAIT, "no answer".to_owned());
        loop {
            let attempt = tokio::time::timeout_at(until, self.attempt(&message)).await;
            match attempt {
                Ok(Attempt::Taken) => return Ok(()),
                Ok(Attempt::Never(cause)) => return Err(OtlpError::Refused { endpoint, cause }),
                Ok(Attempt::NotNow(told)) => cause = told,
                Err(_) => return Err(OtlpError::Late { endpoint, timeout, cause }),
            }
            if tokio::time::Instant::now() + wait >= until {
                return Err(OtlpError::Late { endpoint, timeout, cause });
            }
            tokio::time::sleep(wait).await;
            wait *= 2;
        }
    }

    async fn attempt(&self, message: &Bytes) -> Attempt {
        let zipped = self.options.compression == Compression::Gzip;
        match &self.wire {
            Wire::Grpc(channel, metadata) => {
                let mut request = Request::new(message.clone());
                for (key, value) in metadata {
                    request.metadata_mut().insert(key.clone(), value.clone());
                }
                by_grpc(channel, self.signal.method(), zipped, request).await
            }
            Wire::Http(client, url, headers) => {
                by_http(client.post(url).headers(headers.clone()), message.clone(), zipped).await
            }
        }
    }
}

async fn by_grpc(
    channel: &Channel,
    method: PathAndQuery,
    zipped: bool,
    request: Request<Bytes>,
) -> Attempt {
    let client = Grpc::new(channel.clone());
    let mut client = match zipped {
        true => client.send_compressed(CompressionEncoding::Gzip),
        false => client,
    };
    if let Err(cause) = client.ready().await {
        return Attempt::NotNow(cause.to_string());
    }
    let answered = client.unary(request, method, Written).await.map(drop);
    match answered {
        Ok(()) => Attempt::Taken,
        Err(status) if is_worth_another(&status) => Attempt::NotNow(told(&status)),
        Err(status) => Attempt::Never(told(&status)),
    }
}

fn told(status: &Status) -> String {
    format!("{:?}: {}", status.code(), status.message())
}

/// Source: the OTLP specification's table of retryable codes.
fn is_worth_another(status: &Status) -> bool {
    match status.code() {
        Code::Cancelled | Code::DeadlineExceeded | Code::Aborted | Code::OutOfRange => true,
        Code::Unavailable | Code::DataLoss => true,
        // Only a collector that says when to come again wants to be asked again.
        Code::ResourceExhausted => !status.details().is_empty(),
        _ => false,
    }
}

async fn by_http(request: reqwest::RequestBuilder, body: Bytes, zipped: bool) -> Attempt {
    let (request, body) = match zipped {
        true => match gzip(&body) {
            Ok(body) => (request.header("content-encoding", "gzip"), body.into()),
            Err(cause) => return Attempt::Never(cause.to_string()),
        },
        false => (request, body),
    };
    let request = request.header("content-type", "application/x-protobuf").body(body);
    match request.send().await {
        Ok(answer) if answer.status().is_success() => Attempt::Taken,
        Ok(answer) if matches!(answer.status().as_u16(), 429 | 502 | 503 | 504) => {
            Attempt::NotNow(answer.status().to_string())
        }
        Ok(answer) => Attempt::Never(answer.status().to_string()),
        Err(cause) => Attempt::NotNow(cause.without_url().to_string()),
    }
}

fn gzip(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut zipped, bytes)?;
    zipped.finish()
}

fn channel(options: &OtlpOptions) -> Result<Channel, OtlpError> {
    let wrong = |cause: tonic::transport::Error| OtlpError::Options {
        key: "otlp_endpoint",
        wrong: format!(
            "`{}` cannot be used: {cause}; give a URL such as http://localhost:4317",
            options.endpoint
        ),
    };
    let endpoint = Endpoint::from_shared(options.endpoint.clone()).map_err(wrong)?;
    let endpoint = endpoint.timeout(options.timeout).connect_timeout(options.timeout);
    if !options.endpoint.starts_with("https://") {
        return Ok(endpoint.connect_lazy());
    }
    let mut tls = ClientTlsConfig::new();
    tls = match pem(&options.certificate, "otlp_certificate")? {
        Some(authority) => tls.ca_certificate(Certificate::from_pem(authority)),
        None => tls.with_native_roots(),
    };
    if let Some((certificate, key)) = identity(options)? {
        tls = tls.identity(Identity::from_pem(certificate, key));
    }
    Ok(endpoint.tls_config(tls).map_err(wrong)?.connect_lazy())
}

fn client(options: &OtlpOptions) -> Result<reqwest::Client, OtlpError> {
    let faulty = |key: &'static str| {
        move |cause: reqwest::Error| OtlpError::Options { key, wrong: cause.to_string() }
    };
    // The client takes the process's cryptography, and panics where nobody chose one. Another choice than this one is right too.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder().timeout(options.timeout);
    if let Some(authority) = pem(&options.certificate, "otlp_certificate")? {
        let authority = reqwest::Certificate::from_pem(&authority);
        builder = builder.tls_certs_only([authority.map_err(faulty("otlp_certificate"))?]);
    }
    if let Some((mut both, key)) = identity(options)? {
        both.extend(key);
        let identity = reqwest::Identity::from_pem(&both);
        builder = builder.identity(identity.map_err(faulty("otlp_client_certificate"))?);
    }
    builder.build().map_err(faulty("otlp_endpoint"))
}

/// The bytes of a PEM file; none where none is named.
fn pem(path: &Path, key: &'static str) -> Result<Option<Vec<u8>>, OtlpError> {
    if path.as_os_str().is_empty() {
        return Ok(None);
    }
    let read = fs::read(path).map_err(|cause| {
        let wrong = format!("{} cannot be read: {cause}; name a PEM file", path.display());
        OtlpError::Options { key, wrong }
    });
    read.map(Some)
}

fn identity(options: &OtlpOptions) -> Result<Option<Pems>, OtlpError> {
    let certificate = pem(&options.client_certificate, "otlp_client_certificate")?;
    let key = pem(&options.client_key, "otlp_client_key")?;
    match (certificate, key) {
        (Some(certificate), Some(key)) => Ok(Some((certificate, key))),
        (None, None) => Ok(None),
        _ => Err(OtlpError::Options {
            key: "otlp_client_key",
            wrong: "a certificate and its key are named together or not at all".to_owned(),
        }),
    }
}

fn metadata(headers: &BTreeMap<String, String>) -> Result<Metadata, OtlpError> {
    let pair = |(name, value): (&String, &String)| {
        let key = MetadataKey::from_bytes(name.to_lowercase().as_bytes()).ok()?;
        Some((key, value.parse().ok()?))
    };
    headers.iter().map(|header| pair(header).ok_or_else(|| no_header(header.0))).collect()
}

fn headers(options: &OtlpOptions) -> Result<http::HeaderMap, OtlpError> {
    let pair = |(name, value): (&String, &String)| {
        let name = http::HeaderName::from_bytes(name.as_bytes()).ok()?;
        Some((name, http::HeaderValue::from_str(value).ok()?))
    };
    let all = options.headers.iter();
    all.map(|header| pair(header).ok_or_else(|| no_header(header.0))).collect()
}

fn no_header(name: &str) -> OtlpError {
    let wrong = format!("`{name}` and its value make no header; use visible ASCII");
    OtlpError::Options { key: "otlp_headers", wrong }
}
