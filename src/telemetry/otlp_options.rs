//! How one kind of message reaches its collector: what is said of it alone goes before what is said of all.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use crate::telemetry::options::{Compression, OtlpProtocol, TelemetryOptions};

/// How one kind of message reaches its collector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtlpOptions {
    /// The URL; of HTTP with its path.
    pub endpoint: String,
    /// How it is spoken to.
    pub protocol: OtlpProtocol,
    /// Sent with each message.
    pub headers: BTreeMap<String, String>,
    /// How long a message may take.
    pub timeout: Duration,
    /// How it is compressed.
    pub compression: Compression,
    /// The authorities; empty: the system's.
    pub certificate: PathBuf,
    /// This server's certificate; empty: none.
    pub client_certificate: PathBuf,
    /// The key for it.
    pub client_key: PathBuf,
}

/// What may be said of one kind of message alone.
const KEYS: [&str; 8] = [
    "endpoint",
    "protocol",
    "headers",
    "timeout",
    "compression",
    "certificate",
    "client_certificate",
    "client_key",
];

impl TelemetryOptions {
    /// How spans reach their collector; none where they are not sent.
    ///
    /// # Errors
    /// The key and what is wrong with it.
    pub fn for_traces(&self) -> Result<Option<OtlpOptions>, (String, String)> {
        let options = self.otlp(&self.traces.otlp, "/v1/traces");
        let options = options.map_err(|(key, wrong)| (format!("traces.otlp.{key}"), wrong))?;
        Ok(options.filter(|_| self.traces.enabled))
    }

    /// How metrics reach their collector; none where they are not sent.
    ///
    /// # Errors
    /// The key and what is wrong with it.
    pub fn for_metrics(&self) -> Result<Option<OtlpOptions>, (String, String)> {
        let options = self.otlp(&self.metrics.otlp, "/v1/metrics");
        let options = options.map_err(|(key, wrong)| (format!("metrics.otlp.{key}"), wrong))?;
        Ok(options.filter(|_| self.metrics.otlp_enabled))
    }

    fn otlp(
        &self,
        own: &BTreeMap<String, String>,
        path: &str,
    ) -> Result<Option<OtlpOptions>, (String, String)> {
        if let Some(key) = own.keys().find(|key| !KEYS.contains(&key.as_str())) {
            return Err((key.clone(), format!("is unknown; there are {}", KEYS.join(", "))));
        }
        let text = |key: &str| own.get(key).filter(|value| !value.is_empty());
        let path_of =
            |key: &str, general: &PathBuf| text(key).map_or_else(|| general.clone(), PathBuf::from);
        let protocol = match text("protocol").map(String::as_str) {
            None => self.otlp_protocol,
            Some("grpc") => OtlpProtocol::Grpc,
            Some("http/protobuf") => OtlpProtocol::HttpProtobuf,
            Some(_) => {
                return Err(("protocol".to_owned(), "must be grpc or http/protobuf".to_owned()));
            }
        };
        let endpoint = match (text("endpoint"), protocol) {
            (Some(own), _) => own.clone(),
            (None, _) if self.otlp_endpoint.is_empty() => return Ok(None),
            (None, OtlpProtocol::Grpc) => self.otlp_endpoint.clone(),
            (None, OtlpProtocol::HttpProtobuf) => {
                format!("{}{path}", self.otlp_endpoint.trim_end_matches('/'))
            }
        };
        let timeout = match text("timeout") {
            None => self.otlp_timeout,
            Some(own) => humantime_serde::re::humantime::parse_duration(own).map_err(|_| {
                ("timeout".to_owned(), "must be a time with its unit, such as `10s`".to_owned())
            })?,
        };
        let compression = match text("compression").map(String::as_str) {
            None => self.otlp_compression,
            Some("none") => Compression::None,
            Some("gzip") => Compression::Gzip,
            Some(_) => return Err(("compression".to_owned(), "must be none or gzip".to_owned())),
        };
        let headers = match text("headers") {
            None => self.otlp_headers.clone(),
            Some(own) => key_values(own).map_err(|wrong| ("headers".to_owned(), wrong))?,
        };
        Ok(Some(OtlpOptions {
            endpoint,
            protocol,
            headers,
            timeout,
            compression,
            certificate: path_of("certificate", &self.otlp_certificate),
            client_certificate: path_of("client_certificate", &self.otlp_client_certificate),
            client_key: path_of("client_key", &self.otlp_client_key),
        }))
    }
}

/// Reads `key=value,key=value`, where values may hold `%` and two digits for a byte.
///
/// # Errors
/// What is wrong with it.
pub fn key_values(text: &str) -> Result<BTreeMap<String, String>, String> {
    let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    let pair = |entry: &str| {
        let (key, value) = entry.split_once('=')?;
        let value = percent_encoding::percent_decode_str(value.trim()).decode_utf8().ok()?;
        Some((key.trim().to_owned(), value.into_owned()))
    };
    let wrong = || "must be key=value pairs with commas between them".to_owned();
    entries.map(|entry| pair(entry).ok_or_else(wrong)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> TelemetryOptions {
        TelemetryOptions {
            otlp_endpoint: "http://c:4318/".to_owned(),
            otlp_protocol: OtlpProtocol::HttpProtobuf,
            ..TelemetryOptions::default()
        }
    }

    #[test]
    fn a_general_endpoint_gets_the_path_and_an_own_one_does_not() {
        let mut options = options();
        let endpoint = |options: &TelemetryOptions| options.for_traces().unwrap().unwrap().endpoint;
        assert_eq!(endpoint(&options), "http://c:4318/v1/traces");
        options.traces.otlp.insert("endpoint".to_owned(), "http://d/x".to_owned());
        assert_eq!(endpoint(&options), "http://d/x");
        options.traces.otlp.insert("protocol".to_owned(), "grpc".to_owned());
        options.traces.otlp.insert("timeout".to_owned(), "3s".to_owned());
        let own = options.for_traces().unwrap().unwrap();
        assert_eq!((own.protocol, own.timeout), (OtlpProtocol::Grpc, Duration::from_secs(3)));
        let metrics = options.for_metrics().unwrap().unwrap();
        assert_eq!(metrics.endpoint, "http://c:4318/v1/metrics");
        options.traces.enabled = false;
        assert_eq!(options.for_traces().unwrap(), None);
        assert_eq!(TelemetryOptions::default().for_traces().unwrap(), None);
    }

    #[test]
    fn what_is_wrong_is_told_by_its_key() {
        for (key, value) in [("protocol", "http/json"), ("timeout", "soon"), ("endpint", "x")] {
            let mut options = options();
            options.traces.otlp.insert(key.to_owned(), value.to_owned());
            assert_eq!(options.for_traces().unwrap_err().0, format!("traces.otlp.{key}"));
        }
    }

    #[test]
    fn pairs_are_read_with_their_escapes() {
        let pairs = key_values("a=1, b = x%20y%2Cz ,,c=").unwrap();
        let want = [("a", "1"), ("b", "x y,z"), ("c", "")];
        assert_eq!(pairs, want.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
        assert!(key_values("a").is_err());
    }
}
