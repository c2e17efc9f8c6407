//! Randomness for secrets, and how secrets are named in the store.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// Random bytes of the operating system.
///
/// # Panics
/// If it has none: nothing here could go on safely.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system has randomness");
    bytes
}

/// 16 random hexadecimal digits: names what need not be secret.
pub(crate) fn name() -> String {
    format!("{:016x}", u64::from_be_bytes(bytes()))
}

/// A password for somebody to whom it is shown once: 100 random bits in four groups, of characters that are not taken for
/// each other.
pub fn random_password() -> String {
    const ALPHABET: [char; 32] = [
        '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'j', 'k', 'm', 'n', 'p', 'q',
        'r', 's', 't', 'u', 'v', 'w', 'x', 'y', 'z', 'i',
    ];
    let characters = bytes::<20>().map(|byte| ALPHABET.get(usize::from(byte % 32)).copied().unwrap_or('2'));
    let groups: Vec<String> = characters.chunks(5).map(|group| group.iter().collect()).collect();
    groups.join("-")
}

/// A bearer token of 256 bits, base64url.
pub(crate) fn token() -> String {
    URL_SAFE_NO_PAD.encode(bytes::<32>())
}

/// What the store knows of a bearer token: who reads the database can't use it.
pub(crate) fn stored(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}
