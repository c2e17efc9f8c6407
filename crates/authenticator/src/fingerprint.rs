//! A fingerprint that the key knows (CTAP 2.3 §6.7).

/// What is kept of a fingerprint. What a sensor would make of it is not: whether a finger is known is said by whoever touches the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// `templateId`.
    pub id: Vec<u8>,
    /// `templateFriendlyName`, empty before it is given one.
    pub name: String,
}
