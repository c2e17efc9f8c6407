//! Profiles of certified keys, out of the metadata statements that their makers publish.
//!
//! A statement has getInfo of the key, as it was when it was certified. From that a profile is made like those that come with keyrig:
//! in factory state, announcing what is built, with the rest withheld by name. What a statement does not tell (how the key behaves, how it
//! looks on USB) is keyrig's own, and said to be.

mod fields;
#[cfg(test)]
mod tests;

use keyrig_authenticator::Profile;
use keyrig_authenticator::profile::InvalidProfile;
use keyrig_ctap::Aaguid;
use keyrig_metadata::{Blob, Entry, Statement};
use thiserror::Error;

use self::fields::{Fields, shown};

/// What the names of such profiles begin with: `mds:` and an AAGUID.
pub const PREFIX: &str = "mds:";

/// Why a statement yields no key.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NoKey {
    /// It is not of this generation.
    #[error("it is of {0}, and keys here are of FIDO2")]
    NotFido2(String),
    /// It names no model.
    #[error("it has no AAGUID")]
    NoAaguid,
    /// The entry has no statement.
    #[error("its entry has no metadata statement")]
    NoStatement,
    /// The statement does not say what the key says of itself.
    #[error("its statement has no authenticatorGetInfo, from which the key would be made")]
    NoGetInfo,
    /// It is part of a computer or a telephone.
    #[error("it is part of a platform (plat), and no security key")]
    Platform,
    /// No version that is built.
    #[error("it has none of the versions that are built, and says {}", if .0.is_empty() { "none" } else { .0 })]
    NoVersion(String),
    /// What was made of the statement is no profile.
    #[error("{0}")]
    Profile(#[from] Box<InvalidProfile>),
}

/// Why there is no profile of a name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NoProfile {
    /// The name is none of such a profile.
    #[error("{0:?} names no certified key: write mds: and an AAGUID, such as mds:2fc0579f-8113-47ea-b116-bb5a8db9202a")]
    Name(String),
    /// No BLOB was given.
    #[error("{PREFIX}{0} is looked up in FIDO metadata: give a BLOB, or the key's metadata statement, with --mds FILE")]
    NoMetadata(Aaguid),
    /// The BLOB has no such entry.
    #[error("the metadata has no entry of {0}: 'keyrig profiles --mds FILE' lists those that it has")]
    NoEntry(Aaguid),
    /// The entry yields no key.
    #[error("{aaguid} cannot be made into a key: {reason}")]
    NoKey {
        /// The model.
        aaguid: Aaguid,
        /// Why not.
        #[source]
        reason: NoKey,
    },
}

/// The profile of this name, `mds:AAGUID`, out of a BLOB.
///
/// # Errors
/// [`NoProfile`].
pub fn profile(name: &str, blob: Option<&Blob>) -> Result<Profile, NoProfile> {
    let aaguid = name.strip_prefix(PREFIX).and_then(|aaguid| aaguid.parse::<Aaguid>().ok());
    let aaguid = aaguid.ok_or_else(|| NoProfile::Name(name.chars().take(64).collect()))?;
    let blob = blob.ok_or(NoProfile::NoMetadata(aaguid))?;
    let entry = blob.entry(aaguid).ok_or(NoProfile::NoEntry(aaguid))?;
    of_entry(entry).map_err(|reason| NoProfile::NoKey { aaguid, reason })
}

/// The profile of the key that an entry is about.
///
/// # Errors
/// [`NoKey`].
pub fn of_entry(entry: &Entry) -> Result<Profile, NoKey> {
    let statement = entry.metadata_statement.as_ref().ok_or(NoKey::NoStatement)?;
    if !statement.protocol_family.is_empty() && statement.protocol_family != "fido2" {
        return Err(NoKey::NotFido2(shown(&statement.protocol_family)));
    }
    let aaguid = entry.aaguid.ok_or(NoKey::NoAaguid)?;
    let info = statement.authenticator_get_info.as_ref().ok_or(NoKey::NoGetInfo)?;
    if info.options.get("plat") == Some(&true) {
        return Err(NoKey::Platform);
    }
    let mut fields = Fields::new(statement, info);
    fields.identity(aaguid);
    fields.protocols();
    fields.algorithms();
    fields.options();
    fields.extensions();
    fields.sizes();
    fields.pins();
    fields.user_verification();
    fields.rest();
    let name = format!("{PREFIX}{aaguid}");
    let text = fields.text();
    let profile = Profile::parse(&name, &text).map_err(Box::new)?;
    if profile.info().versions.is_empty() {
        return Err(NoKey::NoVersion(shown(&info.versions.join(", "))));
    }
    Ok(profile)
}

/// Whether a statement says that the key can be plugged into USB: it names the transport, or names none and is attached by wire.
#[must_use]
pub fn is_usb(statement: &Statement) -> bool {
    let named = statement.authenticator_get_info.as_ref().map_or(&[][..], |info| &info.transports);
    if named.is_empty() {
        statement.attachment_hint.iter().any(|hint| hint == "wired")
    } else {
        named.iter().any(|transport| transport == "usb")
    }
}
