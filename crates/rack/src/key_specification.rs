//! Specifications of keys, by what people call them.

use keyrig_authenticator::Profile;
use keyrig_metadata::Blob;
use thiserror::Error;

use crate::certified::{self, NoProfile};
use crate::command::known_profiles;
use crate::key_name::{InvalidKeyName, KeyName};
use crate::rack::KeySpecification;

/// There can be no such key.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidKeySpecification {
    /// No profile has this name.
    #[error("no profile is called {0:?}: the profiles are {known}", known = known_profiles())]
    UnknownProfile(String),
    /// There is no such profile of a certified key.
    #[error(transparent)]
    NoProfile(#[from] NoProfile),
    /// No key can have this name.
    #[error(transparent)]
    Name(#[from] InvalidKeyName),
}

impl KeySpecification {
    /// The key that a built-in profile describes, under a name: `built_in("yubikey-5.7", "a")`.
    ///
    /// # Errors
    /// [`InvalidKeySpecification`]: there is no such profile, or the name is none.
    pub fn built_in(profile: &str, name: &str) -> Result<Self, InvalidKeySpecification> {
        let found = Profile::built_in(profile);
        let profile =
            found.ok_or_else(|| InvalidKeySpecification::UnknownProfile(profile.chars().take(64).collect()))?;
        Ok(Self { name: name.parse::<KeyName>()?, profile })
    }

    /// The key that a profile describes, under a name: a built-in one, or `mds:AAGUID` out of metadata.
    ///
    /// # Errors
    /// As [`Self::built_in`], and if the metadata yields no such key, or there is none.
    pub fn named(profile: &str, name: &str, metadata: Option<&Blob>) -> Result<Self, InvalidKeySpecification> {
        if !profile.starts_with(certified::PREFIX) {
            return Self::built_in(profile, name);
        }
        let name = name.parse::<KeyName>()?;
        Ok(Self { name, profile: certified::profile(profile, metadata)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_specified_by_its_profile_and_its_name() {
        let key = KeySpecification::built_in("yubikey-5.7", "a").unwrap();
        assert_eq!((key.name.as_str(), key.profile.name.as_str()), ("a", "yubikey-5.7"));
        let unknown = KeySpecification::built_in("yubikey-9", "a").unwrap_err().to_string();
        assert!(
            unknown.starts_with(
                "no profile is called \"yubikey-9\": the profiles are keyrig, keyrig-ml-dsa, keyrig-uv, synced-passkey, yubikey-5.8"
            ),
            "{unknown}"
        );
        assert!(KeySpecification::built_in("keyrig", "a/b").unwrap_err().to_string().contains("not a name for a key"));
    }
}
