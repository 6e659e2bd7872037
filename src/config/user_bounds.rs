//! The ranges of the user store's values.

use std::time::Duration;

use crate::{
    config::fault::ConfigFault,
    users::{RedisOptions, UsersOptions},
};

/// Longest name of a tenant in bytes.
const MAX_TENANT_BYTES: usize = 64;

/// Longest beginning of a key in bytes.
const MAX_PREFIX_BYTES: usize = 64;

/// Lists every value of `users` that lies outside of its bounds.
pub(super) fn user_faults(users: &UsersOptions) -> Vec<ConfigFault> {
    let mut faults = Vec::new();
    let mut need = |fits: bool, key: &str, wrong: &str| {
        if !fits {
            faults.push(ConfigFault { key: format!("users.{key}"), wrong: wrong.to_owned() });
        }
    };
    for (key, count) in [
        ("max_events", users.max_events),
        ("max_users", users.max_users),
        ("max_embeddings", users.max_embeddings),
    ] {
        need((1..=1 << 30).contains(&count), key, "must lie between 1 and 1073741824");
    }
    need(users.stale_up_to <= days(365), "stale_up_to", "must be at most 365days");
    for (key, wrong) in redis_faults(&users.redis) {
        need(false, &format!("redis.{key}"), wrong);
    }
    faults
}

fn redis_faults(redis: &RedisOptions) -> Vec<(&'static str, &'static str)> {
    let mut faults = Vec::new();
    let mut need = |fits: bool, key: &'static str, wrong: &'static str| {
        if !fits {
            faults.push((key, wrong));
        }
    };
    let schemes = ["redis://", "rediss://"];
    let has_scheme = schemes.iter().any(|scheme| redis.url.starts_with(scheme));
    let url_fits = redis.url.is_empty() || has_scheme;
    need(url_fits, "url", "must begin with redis:// or rediss://, or be empty");
    let odd = |c: char| c == '{' || c == '}' || c.is_whitespace() || c.is_control();
    let prefix_fits = !redis.key_prefix.contains(odd) && redis.key_prefix.len() <= MAX_PREFIX_BYTES;
    need(prefix_fits, "key_prefix", "must be at most 64 bytes without braces and white space");
    let tenant_fits = (1..=MAX_TENANT_BYTES).contains(&redis.tenant.len());
    need(tenant_fits, "tenant", "must have 1 to 64 bytes");
    let both = redis.tls_cert.is_empty() == redis.tls_key.is_empty();
    need(both, "tls_cert", "and users.redis.tls_key go together; name both or neither");
    let connections_fit = (1..=64).contains(&redis.connections);
    need(connections_fit, "connections", "must lie between 1 and 64");
    let active_fit = redis.max_active <= 1 << 30;
    need(active_fit, "max_active", "must be at most 1073741824; 0 remembers none");
    let millisecond = Duration::from_millis(1);
    for (key, time) in [
        ("connect_timeout", redis.connect_timeout),
        ("read_timeout", redis.read_timeout),
        ("write_timeout", redis.write_timeout),
    ] {
        let fits = (millisecond..=Duration::from_secs(60)).contains(&time);
        need(fits, key, "must lie between 1ms and 1m");
    }
    let ttl_fits = (Duration::from_secs(1)..=days(365)).contains(&redis.embedding_ttl);
    need(ttl_fits, "embedding_ttl", "must lie between 1s and 365days");
    let lease_fits = redis.lease <= Duration::from_secs(60);
    need(lease_fits, "lease", "must be at most 1m; 0s has no server wait for another");
    let local_fits = (millisecond..=days(1)).contains(&redis.local_ttl);
    need(local_fits, "local_ttl", "must lie between 1ms and 1day");
    let bytes_fit = redis.local_bytes <= 1 << 40;
    need(bytes_fit, "local_bytes", "must be at most 1099511627776; 0 keeps none at hand");
    faults
}

fn days(count: u64) -> Duration {
    Duration::from_secs(count * 86_400)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(change: impl FnOnce(&mut UsersOptions), want: &[&str]) {
        let mut users = UsersOptions::default();
        change(&mut users);
        let faults = user_faults(&users);
        let keys: Vec<&str> = faults.iter().map(|fault| fault.key.as_str()).collect();
        assert_eq!(keys, want, "{faults:?}");
    }

    #[test]
    fn values_have_bounds() {
        check(|_| {}, &[]);
        check(|users| users.max_users = 0, &["users.max_users"]);
        check(|users| users.max_events = 0, &["users.max_events"]);
        check(|users| users.stale_up_to = Duration::MAX, &["users.stale_up_to"]);
        check(|users| users.redis.connections = 0, &["users.redis.connections"]);
        check(|users| users.redis.read_timeout = Duration::ZERO, &["users.redis.read_timeout"]);
        check(|users| users.redis.lease = Duration::ZERO, &[]);
        check(|users| users.redis.lease = days(1), &["users.redis.lease"]);
        check(|users| users.redis.embedding_ttl = Duration::ZERO, &["users.redis.embedding_ttl"]);
    }

    #[test]
    fn names_of_redis_have_a_form() {
        for url in ["", "redis://127.0.0.1:6379", "rediss://user:word@shop:1/2"] {
            check(|users| users.redis.url = url.to_owned(), &[]);
        }
        for url in ["127.0.0.1:6379", "http://shop", "unix:/run/redis"] {
            check(|users| users.redis.url = url.to_owned(), &["users.redis.url"]);
        }
        for prefix in ["a{b", "a}b", "a b", "a\n"] {
            check(|users| users.redis.key_prefix = prefix.to_owned(), &["users.redis.key_prefix"]);
        }
        check(|users| users.redis.key_prefix = String::new(), &[]);
        check(|users| users.redis.tenant = String::new(), &["users.redis.tenant"]);
        check(|users| users.redis.tenant = "x".repeat(65), &["users.redis.tenant"]);
        check(|users| users.redis.tls_key = "k.pem".to_owned(), &["users.redis.tls_cert"]);
    }
}
