//! Names for users that tell nothing of them to who does not have the key.

use std::fmt;

use hmac::{Hmac, Mac};
use rand::RngCore;
use sha2::Sha256;

/// How much of a hash is kept, in bytes: two users of ten billion have the same one with a chance below 1 in 10^18.
const KEPT: usize = 16;

/// Hashes texts with a key: HMAC-SHA256, cut to 128 bits, as hexadecimal digits.
///
/// Source: RFC 2104; truncation as in its section 5.
#[derive(Clone)]
pub struct KeyedHash(Hmac<Sha256>);

impl KeyedHash {
    /// Hashes with that key; with an empty one, under a key that is drawn now and forgotten with the process.
    pub fn new(key: &str) -> Self {
        let mut drawn = [0; 32];
        let key = match key {
            "" => {
                rand::rng().fill_bytes(&mut drawn);
                &drawn[..]
            }
            given => given.as_bytes(),
        };
        // The only error would be a key of a wrong length, and HMAC takes any.
        let mac = Hmac::new_from_slice(key).unwrap_or_else(|_| Hmac::new(&Default::default()));
        Self(mac)
    }

    /// The hash of a text.
    pub fn of(&self, text: &str) -> String {
        let mac = self.0.clone().chain_update(text.as_bytes());
        let sum = mac.finalize().into_bytes();
        sum.iter().take(KEPT).map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Debug for KeyedHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyedHash")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_hmac_as_the_rfc_has_it() {
        // Source: RFC 4231, test case 2.
        let hash = KeyedHash::new("Jefe").of("what do ya want for nothing?");
        assert_eq!(hash, "5bdcc146bf60754e6a042426089575c7");
    }

    #[test]
    fn a_key_that_is_drawn_is_another_one_each_time() {
        let (one, other) = (KeyedHash::new(""), KeyedHash::new(""));
        assert_eq!(one.of("anna"), one.of("anna"));
        assert_ne!(one.of("anna"), one.of("ann"));
        assert_ne!(one.of("anna"), other.of("anna"));
        assert!(!format!("{one:?}").contains("Hmac"));
    }
}
