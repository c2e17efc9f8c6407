//! Why an act of the owner does not happen.

use keyrig_ctap::cose::Algorithm;
use thiserror::Error;

use crate::credential::{MAX_NAME, MAX_USER_ID};
use crate::pin::{LONGEST_PIN, MAX_PIN_RETRIES, SHORTEST_PIN};

/// The longest credential id, bytes (WebAuthn Level 3 §6.5.1).
pub const MAX_CREDENTIAL_ID: usize = 1023;

/// Why a credential is not imported.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ImportRefused {
    /// The id is empty, or longer than the key takes one in a request.
    #[error("the credential id has {length} bytes: 1 to {longest} are possible")]
    Id {
        /// Its length, bytes.
        length: usize,
        /// `maxCredentialIdLength`; without it what a credential id, or the key handle of a key of CTAP1/U2F alone, can have.
        longest: usize,
    },
    /// It is found by an allow list alone, and no request with one fits into a message.
    #[error(
        "a login with the credential id and the RP ID takes a message of {length} bytes: the key takes {longest} at most"
    )]
    Request {
        /// The shortest message, bytes.
        length: usize,
        /// `maxMsgSize`, bytes.
        longest: usize,
    },
    /// The counter is at its end: it could sign nothing any more, because a counter only rises (WebAuthn Level 3 §6.1.1).
    #[error("the signature counter is {}, its last value: no signature could follow", u32::MAX)]
    Counter,
    /// The key does not have the extension that left something with it.
    #[error("a {profile} has no {extension}")]
    Extension {
        /// The key's profile.
        profile: String,
        /// The extension's identifier.
        extension: &'static str,
    },
    /// The key has no BE and BS: for what is older than CTAP 2.1 the bits are reserved (WebAuthn Level 1 §6.1).
    #[error("a {0} has no backup flags, BE and BS")]
    BackupFlags(String),
    /// Of several accounts one would have no user handle in the key's answers, which have to tell them apart (CTAP 2.3 §6.2.2).
    #[error(
        "the key leaves out an empty user handle: beside another account of {0} its answers would not tell whose they are"
    )]
    EmptyUserId(String),
    /// The RP ID is longer than a message that would make the credential.
    #[error("the RP ID has {length} bytes: a message to the key has {longest} at most")]
    RpId {
        /// Its length, bytes.
        length: usize,
        /// `maxMsgSize`, bytes.
        longest: usize,
    },
    /// The user handle is too long, or empty on a key that takes no empty one.
    #[error("the user handle has {length} bytes: {shortest} to {MAX_USER_ID} are possible")]
    UserId {
        /// Its length, bytes.
        length: usize,
        /// How many it has at least.
        shortest: usize,
    },
    /// A name of the user is longer than what is kept of one.
    #[error("a name of the user has {0} bytes: {MAX_NAME} are kept")]
    UserName(usize),
    /// A credential with this id is there.
    #[error("the key has a credential with this id already: delete it first")]
    Exists,
    /// A discoverable credential of this user is there: a relying party has at most one per user (CTAP 2.3 §6.1.2 step 17).
    #[error("the key has a discoverable credential of this user of {0} already: delete it first")]
    SameUser(String),
    /// There is no room for it.
    #[error("the key has no room for another credential of this kind")]
    Full,
    /// The key has no discoverable credentials.
    #[error("a {0} has no discoverable credentials")]
    NotDiscoverable(String),
    /// The key does not sign by this algorithm.
    #[error("a {profile} has no {}", algorithm.name())]
    Algorithm {
        /// The key's profile.
        profile: String,
        /// The algorithm.
        algorithm: Algorithm,
    },
    /// It is said to be backed up, and not to be eligible for that (WebAuthn Level 3 §6.1.3).
    #[error("what is not backup eligible cannot be backed up")]
    BackupState,
    /// The blob is longer than the key stores, or the credential is not discoverable.
    #[error("the credBlob has {0} bytes: a discoverable credential of this key may have {1}")]
    CredBlob(usize, usize),
}

/// Why it is not changed what a credential says of its backup.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BackupRefused {
    /// The key stores no such credential.
    #[error("the key stores no credential with this id")]
    NoCredential,
    /// It is said to be backed up, and not to be eligible for that (WebAuthn Level 3 §6.1.3).
    #[error("what is not backup eligible cannot be backed up")]
    State,
    /// The key has no BE and BS: for what is older than CTAP 2.1 the bits are reserved (WebAuthn Level 1 §6.1).
    #[error("a {0} has no backup flags, BE and BS")]
    Flags(String),
}

/// Why a PIN is not set or changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PinRefused {
    /// The key has no PINs.
    #[error("the key has no PINs")]
    NotSupported,
    /// Another PIN is set.
    #[error("another PIN is set already")]
    AlreadySet,
    /// None is set.
    #[error("no PIN is set")]
    NotSet,
    /// It is shorter or longer than the key takes, or too simple for its policy.
    #[error("the PIN is not one that the key takes: it has {minimum} characters at least and {LONGEST_PIN} bytes at most{}",
        if *.complexity { ", and neither one character again and again nor neighbours in order" } else { "" })]
    Policy {
        /// `minPINLength`, code points.
        minimum: u8,
        /// Whether there is a complexity policy.
        complexity: bool,
    },
    /// The current PIN is wrong, which has cost a try.
    #[error("the PIN is wrong: {} left", if *.left == 1 { "1 try is".to_owned() } else { format!("{} tries are", .left) })]
    Wrong {
        /// How many tries are left.
        left: u8,
    },
    /// After three wrong PINs in a row the key has to be power-cycled.
    #[error("after three wrong PINs in a row the key takes none before it was power-cycled")]
    PowerCycleNeeded,
    /// No try is left.
    #[error("no try is left: a reset makes room for a new PIN, and deletes the credentials")]
    Blocked,
}

/// Why a large-blob array is not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LargeBlobsRefused {
    /// The key has none.
    #[error("the key has no large blobs")]
    NotSupported,
    /// It is too long.
    #[error("the array has {length} bytes: the key has room for {room}")]
    TooLong {
        /// Its length, bytes.
        length: usize,
        /// `maxSerializedLargeBlobArray`, bytes.
        room: u64,
    },
    /// It does not end with the first half of its SHA-256 (CTAP 2.3 §6.10.2).
    #[error("the array does not end with the first 16 bytes of the SHA-256 of what is before them")]
    Hash,
}

/// Why something is not done about fingerprints.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FingerprintRefused {
    /// The key has no sensor.
    #[error("it knows no fingerprints")]
    NotSupported,
    /// As many are known as there is room for.
    #[error("it knows {0} fingers already, and no more")]
    Full(u8),
    /// There is no such one.
    #[error("it knows no finger with this template id")]
    NotKnown,
    /// The name is too long for the key.
    #[error("the name has {length} bytes: the key takes {longest}")]
    Name {
        /// Its length, bytes.
        length: usize,
        /// How long one may be, bytes.
        longest: u8,
    },
}

/// Why a key does not keep what a snapshot holds: no key of its profile would come to that.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RestoreRefused {
    /// The key has no PINs.
    #[error("the PIN: a {0} has none")]
    NoPins(String),
    /// The length of the PIN.
    #[error("the PIN's length is {length} code points: {SHORTEST_PIN} to {longest} are possible")]
    PinLength {
        /// Its length, code points.
        length: u8,
        /// How many it has at most.
        longest: u8,
    },
    /// The tries that are left.
    #[error("the PIN retries are {0}: a key has {MAX_PIN_RETRIES} at most")]
    PinRetries(u8),
    /// The failures of built-in user verification.
    #[error("user verification failed {failed} times: {most} are possible")]
    UvAttempts {
        /// How often it failed.
        failed: u8,
        /// How often it may.
        most: u8,
    },
    /// The fingerprints.
    #[error("the fingerprints: {0}")]
    Fingerprints(FingerprintRefused),
    /// A member of what authenticatorConfig sets, by its name there.
    #[error("the configuration's {0} is not one that the key can have")]
    Configuration(&'static str),
    /// A credential, by the beginning of its id in hexadecimal.
    #[error("credential {id}: {refused}")]
    Credential {
        /// The beginning of its id.
        id: String,
        /// Why it is none of this key's.
        refused: ImportRefused,
    },
    /// The count by which discoverable credentials are ordered.
    #[error("credential {id}: its creation count is another credential's, or too large")]
    Creation {
        /// The beginning of its id.
        id: String,
    },
    /// The large-blob array.
    #[error("the large blobs: {0}")]
    LargeBlobs(LargeBlobsRefused),
}
