//! Randomness as a parameter, so that everything random can follow from a seed; and how secrets are named in the store.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};

/// Where a relying party takes randomness from: for tokens, challenges, secrets, salts and identifiers. It comes with the
/// [`Store`](crate::Store).
pub trait Randomness: Send + Sync + 'static {
    /// Fills `bytes` with randomness.
    fn fill(&self, bytes: &mut [u8]);
}

/// The operating system's.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandomness;

impl Randomness for SystemRandomness {
    /// # Panics
    /// If it has none: nothing here could go on safely.
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the operating system has randomness");
    }
}

/// What follows from a seed, for replays: the same requests in the same order, at the same times, are answered by the same
/// bytes. Whoever knows the seed knows every secret.
pub struct DangerSeeded(Mutex<ChaCha20Rng>);

impl DangerSeeded {
    /// Randomness from a seed of 32 bytes.
    #[must_use]
    pub fn new(seed: [u8; 32]) -> Self {
        Self(Mutex::new(ChaCha20Rng::from_seed(seed)))
    }
}

impl Randomness for DangerSeeded {
    fn fill(&self, bytes: &mut [u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(bytes);
    }
}

impl fmt::Debug for DangerSeeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DangerSeeded(..)")
    }
}

/// Random bytes.
pub(crate) fn bytes<const N: usize>(random: &dyn Randomness) -> [u8; N] {
    let mut bytes = [0; N];
    random.fill(&mut bytes);
    bytes
}

/// 16 random hexadecimal digits: names what need not be secret.
pub(crate) fn name(random: &dyn Randomness) -> String {
    format!("{:016x}", u64::from_be_bytes(bytes(random)))
}

/// A password for somebody to whom it is shown once: 100 random bits in four groups, of characters that are not taken for
/// each other.
pub fn random_password(random: &dyn Randomness) -> String {
    const ALPHABET: [char; 32] = [
        '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'j', 'k', 'm', 'n', 'p', 'q',
        'r', 's', 't', 'u', 'v', 'w', 'x', 'y', 'z', 'i',
    ];
    let characters = bytes::<20>(random).map(|byte| ALPHABET.get(usize::from(byte % 32)).copied().unwrap_or('2'));
    let groups: Vec<String> = characters.chunks(5).map(|group| group.iter().collect()).collect();
    groups.join("-")
}

/// A random UUID (RFC 9562, section 5.4): 122 random bits.
pub(crate) fn uuid(random: &dyn Randomness) -> String {
    let bits = u128::from_be_bytes(bytes(random));
    let version_and_variant = (bits & !(0xf << 76) & !(0b11 << 62)) | 4 << 76 | 0b10 << 62;
    let digits = format!("{version_and_variant:032x}");
    let (a, rest) = digits.split_at(8);
    let (b, rest) = rest.split_at(4);
    let (c, rest) = rest.split_at(4);
    let (d, e) = rest.split_at(4);
    format!("{a}-{b}-{c}-{d}-{e}")
}

/// A bearer token of 256 bits, base64url.
pub(crate) fn token(random: &dyn Randomness) -> String {
    URL_SAFE_NO_PAD.encode(bytes::<32>(random))
}

/// What the store knows of a bearer token: who reads the database cannot use it.
pub(crate) fn stored(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}
