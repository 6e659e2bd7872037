//! The names of keys: no id can name another user's key, and all keys of a user are in one slot of a Cluster.

use std::fmt::Write;

use crate::users::{options::RedisOptions, store::UserKey};

/// Over how many keys the index of active users is spread.
pub(super) const ACTIVE_SHARDS: u64 = 64;

/// Makes the names of keys.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    prefix: String,
    tenant: String,
}

impl Keys {
    pub(super) fn new(options: &RedisOptions) -> Self {
        Self { prefix: options.key_prefix.clone(), tenant: escaped(&options.tenant) }
    }

    /// The hash of a user's events.
    pub(super) fn user(&self, user: &str) -> String {
        format!("{}u:{{{}:{}}}", self.prefix, self.tenant, escaped(user))
    }

    /// The embedding of an encoder version.
    pub(super) fn embedding(&self, key: &UserKey) -> String {
        self.versioned("e", key)
    }

    /// Who computes that embedding.
    pub(super) fn lease(&self, key: &UserKey) -> String {
        self.versioned("l", key)
    }

    fn versioned(&self, kind: &str, key: &UserKey) -> String {
        let (prefix, tenant, user) = (&self.prefix, &self.tenant, escaped(&key.user));
        format!("{prefix}{kind}:{{{tenant}:{user}}}:{}:{}", key.owner.name, key.owner.version)
    }

    /// The embedding that a field of the user's hash speaks of.
    pub(super) fn embedding_of_field(&self, user: &str, field: &str) -> Option<String> {
        let version = field.strip_prefix("e:")?;
        Some(format!("{}e:{{{}:{}}}:{version}", self.prefix, self.tenant, escaped(user)))
    }

    /// A part of the index of active users.
    pub(super) fn active(&self, shard: u64) -> String {
        format!("{}a:{{{}:{shard}}}", self.prefix, self.tenant)
    }

    /// What the keys begin with that tell of users.
    pub(super) fn tracked(&self) -> [String; 2] {
        ["u", "e"].map(|kind| format!("{}{kind}:{{{}:", self.prefix, self.tenant))
    }

    /// The user that a key belongs to.
    pub(super) fn user_of(&self, key: &[u8]) -> Option<String> {
        let key = std::str::from_utf8(key).ok()?;
        let own = self.tracked().iter().find_map(|prefix| key.strip_prefix(prefix.as_str()))?;
        unescaped(own.split_once('}')?.0)
    }
}

/// The field of a user's hash that says which embedding there is.
pub(super) fn embedding_field(key: &UserKey) -> String {
    format!("e:{}:{}", key.owner.name, key.owner.version)
}

/// Writes every byte but `A-Z a-z 0-9 - _ . ~` as `%XX`.
fn escaped(id: &str) -> String {
    let mut out = String::with_capacity(id.len());
    for byte in id.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            other => {
                let _ = write!(out, "%{other:02X}");
            }
        }
    }
    out
}

fn unescaped(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digit = |c: u8| char::from(c).to_digit(16);
                let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
                u8::try_from(high * 16 + low).ok()?
            }
            plain => plain,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::ids::{ModelId, ModelName, Version};

    use super::*;

    fn keys() -> Keys {
        Keys::new(&RedisOptions { tenant: "shop:1".to_owned(), ..RedisOptions::default() })
    }

    fn key(user: &str) -> UserKey {
        let name = ModelName::parse("enc").unwrap();
        UserKey { owner: ModelId { name, version: Version(3) }, user: user.into() }
    }

    #[test]
    fn keys_read_as_documented() {
        assert_eq!(keys().user("a b"), "podium:u:{shop%3A1:a%20b}");
        assert_eq!(keys().embedding(&key("a}")), "podium:e:{shop%3A1:a%7D}:enc:3");
        let field = embedding_field(&key("a}"));
        let named = keys().embedding_of_field("a}", &field);
        assert_eq!(named.as_deref(), Some("podium:e:{shop%3A1:a%7D}:enc:3"));
        assert_eq!(keys().embedding_of_field("a", "log"), None);
        assert_eq!(keys().user_of(b"other:u:{shop%3A1:a}"), None);
        assert_eq!(keys().user_of(b"podium:u:{shop%3A2:a}"), None);
    }

    /// The part of a key that a Cluster hashes.
    fn hash_tag(key: &str) -> &str {
        let from = key.find('{').unwrap() + 1;
        &key[from..from + key[from..].find('}').unwrap()]
    }

    proptest! {
        #[test]
        fn a_key_belongs_to_one_user(a in ".*", b in "[%:{}\\x00a-]{0,6}") {
            let keys = keys();
            for user in [&a, &b] {
                for name in [keys.user(user), keys.embedding(&key(user))] {
                    prop_assert_eq!(keys.user_of(name.as_bytes()), Some(user.clone()));
                    let lease = keys.lease(&key(user));
                    prop_assert_eq!(hash_tag(&name), hash_tag(&lease));
                }
            }
            prop_assert_eq!(a == b, keys.user(&a) == keys.user(&b));
        }
    }
}
