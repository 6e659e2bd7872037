//! What must not be printed.

/// Keys whose values are secrets.
const SECRETS: [&str; 3] =
    ["users.redis.password", "users.redis.sentinel_password", "log.user_hash_key"];

/// Keys whose values are addresses that may hold a password.
const ADDRESSES: [&str; 2] = ["users.redis.url", "models.dir"];

/// A table of which nearly every value may be a secret.
const STORE: &str = "models.store";

/// What of that table is none.
const SHOWN: [&str; 12] = [
    "allow_http",
    "aws_allow_http",
    "aws_endpoint",
    "aws_region",
    "bucket",
    "conditional_put",
    "connect_timeout",
    "endpoint",
    "read_timeout",
    "region",
    "timeout",
    "virtual_hosted_style_request",
];

/// A table of which every value may be a secret.
const HEADERS: &str = "telemetry.otlp_headers";

/// Tables that may hold such headers, under this name.
const SIGNALS: [&str; 2] = ["telemetry.traces.otlp", "telemetry.metrics.otlp"];

/// What stands in a secret's place.
const HIDDEN: &str = "***";

/// Whether what is wrong with a key's value may not tell the value.
pub(super) fn is_secret(key: &str) -> bool {
    let tables = [STORE, HEADERS].contains(&key) || SIGNALS.contains(&key);
    SECRETS.contains(&key) || ADDRESSES.contains(&key) || tables
}

/// The value of a key as it may be printed.
pub(super) fn without_secrets(key: &str, value: &str) -> String {
    match value {
        "" => String::new(),
        _ if SECRETS.contains(&key) => HIDDEN.to_owned(),
        _ if key.starts_with(HEADERS) => HIDDEN.to_owned(),
        _ if SIGNALS.iter().any(|signal| key.strip_prefix(signal) == Some(".headers")) => {
            HIDDEN.to_owned()
        }
        url if ADDRESSES.contains(&key) && url.contains("://") => without_password(url),
        other => match key.strip_prefix(STORE).and_then(|rest| rest.strip_prefix('.')) {
            Some(option) if !SHOWN.contains(&option) => HIDDEN.to_owned(),
            Some("endpoint" | "aws_endpoint") => without_password(other),
            _ => other.to_owned(),
        },
    }
}

/// A URL whose password is hidden: all between the first colon behind the scheme and the last `@` before the path.
fn without_password(url: &str) -> String {
    let begin = url.find("://").map_or(0, |at| at + 3);
    let (scheme, rest) = url.split_at(begin);
    // A password that is not escaped as it should be may hold any character: the last `@` counts.
    let Some((user, host)) = rest.rsplit_once('@') else {
        return url.to_owned();
    };
    match user.split_once(':') {
        Some((name, _)) => format!("{scheme}{name}:{HIDDEN}@{host}"),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(key: &str, value: &str, want: &str) {
        assert_eq!(without_secrets(key, value), want);
    }

    #[test]
    fn passwords_are_hidden() {
        check("users.redis.password", "word", "***");
        check("users.redis.password", "", "");
        check("log.user_hash_key", "word", "***");
        check("users.redis.sentinel_password", "word", "***");
        check("users.redis.username", "shop", "shop");
        let key = "users.redis.url";
        check(key, "", "");
        check(key, "redis://shop:6379/0", "redis://shop:6379/0");
        check(key, "redis://me@shop:6379", "redis://me@shop:6379");
        check(key, "rediss://me:word@shop:6379/1", "rediss://me:***@shop:6379/1");
        check(key, "redis://:w@r:d/@shop", "redis://:***@shop");
        check("models.dir", "/a:b@c", "/a:b@c");
        check("models.dir", "s3://key:word@shop/x", "s3://key:***@shop/x");
        check("models.store.secret_access_key", "word", "***");
        check("models.store.sse_customer_key_base64", "word", "***");
        check("telemetry.otlp_headers.api-key", "word", "***");
        check("telemetry.traces.otlp.headers", "api-key=word", "***");
        check("telemetry.traces.otlp.endpoint", "http://c", "http://c");
        check("models.store.region", "here", "here");
        check("models.store.endpoint", "http://a:word@host", "http://a:***@host");
    }
}
