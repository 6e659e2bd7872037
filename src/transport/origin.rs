//! Who may be answered by the operations page's paths: nobody whom another site's page sends.
//!
//! A browser sends requests to this listener for any page that it shows. A page of another site cannot read the answers, unless its name
//! was made to lead here (DNS rebinding): its own name is then in `Host`. So hosts are addresses, `localhost`, or names that the
//! configuration lists.

use std::net::IpAddr;

use http::{HeaderMap, Uri, header};

/// Why a request is not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stranger {
    /// It asks for a host that is not known here.
    Host(String),
    /// Another site's page sends it.
    Origin,
}

/// Holds a request against the hosts that are known, beside addresses and `localhost`.
///
/// # Errors
/// [`Stranger`].
pub(super) fn check(uri: &Uri, headers: &HeaderMap, known: &[String]) -> Result<(), Stranger> {
    let named = headers.get(header::HOST).and_then(|value| value.to_str().ok());
    let authority = uri.authority().map(http::uri::Authority::as_str).or(named);
    let authority = authority.unwrap_or_default();
    let host = host_of(authority);
    if !is_known(host, known) {
        return Err(Stranger::Host(host.chars().take(80).collect()));
    }
    match headers.get(header::ORIGIN) {
        None => Ok(()),
        Some(origin) => {
            let origin = origin.to_str().unwrap_or_default();
            let own = origin.split_once("://").is_some_and(|(scheme, rest)| {
                matches!(scheme, "http" | "https") && rest.eq_ignore_ascii_case(authority)
            });
            if own { Ok(()) } else { Err(Stranger::Origin) }
        }
    }
}

/// The host of `host:port` or `[address]:port`.
fn host_of(authority: &str) -> &str {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split_once(']').map_or(rest, |(address, _)| address);
    }
    authority.rsplit_once(':').map_or(authority, |(host, _)| host)
}

fn is_known(host: &str, known: &[String]) -> bool {
    let is_local = host.eq_ignore_ascii_case("localhost");
    is_local
        || host.parse::<IpAddr>().is_ok()
        || known.iter().any(|name| name.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[track_caller]
    fn check_host(host: &str, origin: Option<&str>, want: Result<(), Stranger>) {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_str(host).unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, HeaderValue::from_str(origin).unwrap());
        }
        let got = check(&Uri::from_static("/rank"), &headers, &["podium.shop".to_owned()]);
        assert_eq!(got, want, "{host} {origin:?}");
    }

    #[test]
    fn hosts_are_addresses_localhost_or_listed() {
        let unknown = |host: &str| Err(Stranger::Host(host.to_owned()));
        check_host("127.0.0.1:50052", None, Ok(()));
        check_host("10.1.2.3", None, Ok(()));
        check_host("[::1]:50052", None, Ok(()));
        check_host("LocalHost:1", None, Ok(()));
        check_host("podium.shop:443", None, Ok(()));
        check_host("evil.example:50052", None, unknown("evil.example"));
        check_host("localhost.evil.example", None, unknown("localhost.evil.example"));
        check_host("127.0.0.1.evil.example:1", None, unknown("127.0.0.1.evil.example"));
        check_host("", None, unknown(""));
    }

    #[test]
    fn only_the_own_page_may_send() {
        check_host("127.0.0.1:1", Some("http://127.0.0.1:1"), Ok(()));
        check_host("podium.shop", Some("https://podium.shop"), Ok(()));
        check_host("127.0.0.1:1", Some("http://127.0.0.1:2"), Err(Stranger::Origin));
        check_host("127.0.0.1:1", Some("http://evil.example"), Err(Stranger::Origin));
        check_host("127.0.0.1:1", Some("null"), Err(Stranger::Origin));
        check_host("127.0.0.1:1", Some("file://127.0.0.1:1"), Err(Stranger::Origin));
    }

    #[test]
    fn the_authority_of_http_2_counts_as_the_host() {
        let check = |uri: &'static str| check(&Uri::from_static(uri), &HeaderMap::new(), &[]);
        assert_eq!(check("http://127.0.0.1:1/statusz"), Ok(()));
        assert!(check("http://evil.example:1/statusz").is_err());
    }
}
