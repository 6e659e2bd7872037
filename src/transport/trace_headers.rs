//! What a call's headers say of its caller's trace.

use std::sync::Arc;

use http::HeaderMap;

use crate::{
    observing::{Carried, Observer},
    telemetry::TraceContext,
};

/// Longest `tracestate` that is passed on, in bytes; a longer one is left out.
///
/// Source: W3C Trace Context, 3.3.1.5: at least 512 characters should be propagated.
const LONGEST_STATE: usize = 512;

/// Longest value of an entry of `baggage` that is read, in bytes.
const LONGEST_VALUE: usize = 256;

/// The caller's span; none where it sends none, or one that cannot be read.
pub(super) fn parent_of(headers: &HeaderMap) -> Option<TraceContext> {
    TraceContext::parse(headers.get("traceparent")?.to_str().ok()?)
}

/// What else the caller's trace brings: of `baggage` the entries whose keys the observer tells.
pub(super) fn carried_by(headers: &HeaderMap, observer: &Observer) -> Option<Arc<Carried>> {
    let keys = if observer.reads("baggage") { observer.baggage_keys() } else { &[] };
    let state = headers.get("tracestate").and_then(|value| value.to_str().ok());
    let state = state.filter(|state| state.len() <= LONGEST_STATE).unwrap_or_default();
    let baggage: Vec<(String, String)> = match keys {
        [] => Vec::new(),
        keys => {
            let lines = headers.get_all("baggage").iter().filter_map(|value| value.to_str().ok());
            lines.flat_map(|line| line.split(',')).filter_map(|entry| named(entry, keys)).collect()
        }
    };
    (!state.is_empty() || !baggage.is_empty())
        .then(|| Arc::new(Carried { trace_state: state.to_owned(), baggage }))
}

/// An entry of `baggage`, `key=value;property`, where its key is one of those.
///
/// Source: W3C Baggage, 3.3.
fn named(entry: &str, keys: &[String]) -> Option<(String, String)> {
    let (key, value) = entry.split(';').next()?.split_once('=')?;
    let (key, value) = (key.trim(), value.trim());
    let known = keys.iter().any(|known| known == key) && value.len() <= LONGEST_VALUE;
    known.then(|| (key.to_owned(), decoded(value)))
}

/// A text in which bytes may stand as `%` and two digits.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        let digits = behind.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let code = digits.and_then(|two| u8::from_str_radix(two, 16).ok());
        (rest, _) = match (first, code) {
            (b'%', Some(code)) => (&behind[2..], bytes.push(code)),
            _ => (behind, bytes.push(*first)),
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use crate::telemetry::{SpanQueue, TelemetryOptions};

    use super::*;

    #[track_caller]
    fn check(baggage: &str, want: &[(&str, &str)]) {
        let mut headers = HeaderMap::new();
        headers.insert("baggage", http::HeaderValue::from_str(baggage).unwrap());
        let mut options = TelemetryOptions::default();
        options.traces.baggage_keys = vec!["tenant".to_owned(), "campaign".to_owned()];
        let got = carried_by(&headers, &Observer::new(&options, SpanQueue::default()))
            .map(|carried| carried.baggage.clone());
        let got = got.unwrap_or_default();
        let got: Vec<_> = got.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(got, want, "{baggage}");
    }

    #[test]
    fn baggage_is_read_by_its_key_alone() {
        check("tenant=shop-7", &[("tenant", "shop-7")]);
        check(
            "user=canary, tenant = a%20b;secret=1 ,campaign=%C3%BC",
            &[("tenant", "a b"), ("campaign", "ü")],
        );
        check("tenant=100%", &[("tenant", "100%")]);
        check("user=canary", &[]);
        check("tenant", &[]);
        check(&format!("tenant={}", "x".repeat(300)), &[]);
    }

    #[test]
    fn nothing_is_carried_without_headers() {
        let observer = Observer::new(&TelemetryOptions::default(), SpanQueue::default());
        assert_eq!(carried_by(&HeaderMap::new(), &observer), None);
        assert_eq!(parent_of(&HeaderMap::new()), None);
    }
}
