//! FIDO metadata of the keys here, under the TEST root: what a relying party that trusts the root can be given in place of the BLOB of
//! the FIDO Metadata Service, as it should be and in ways in which it should not.

mod statement;
#[cfg(test)]
mod tests;

use core::fmt;
use core::str::FromStr;
use core::time::Duration;
use std::collections::{BTreeMap, btree_map};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use keyrig_authenticator::Profile;
use keyrig_authenticator::attestation::{CertificateFailed, MetadataSigner, Root};
use keyrig_ctap::Aaguid;
use keyrig_metadata::{Blob, Certificate, Date, Entry, Header, Jwt, Status, StatusReport, signing_input};
use sha2::{Digest, Sha256};
use thiserror::Error;

use self::statement::{LEGAL_HEADER, hexadecimal};

/// How long a BLOB is good, days.
const LIFETIME: u32 = 30;

/// Metadata is of models: no key has this serial number.
const NO_KEY: u32 = 0;

const DAY: Duration = Duration::from_secs(86_400);

/// The AAGUID of no key, which stands where another's was put.
const OTHER_AAGUID: Aaguid = Aaguid(*b"keyrig: no key! ");

macro_rules! variants {
    ($($(#[doc = $doc:literal])+ $case:ident = $name:literal,)*) => {
        /// What is the matter with a BLOB.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Variant {
            $($(#[doc = $doc])+ $case,)*
        }

        impl Variant {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$case),*];

            /// As it is written, in addresses too.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$case => $name,)* }
            }

            /// What it is, for people.
            #[must_use]
            pub fn what(self) -> &'static str {
                match self { $(Self::$case => concat!($($doc),+).trim_ascii(),)* }
            }
        }
    };
}

variants! {
    /// Nothing: it is as it should be.
    Good = "good",
    /// Its next update was due yesterday.
    Expired = "expired",
    /// Its signature is not one of what is signed.
    BadSignature = "bad-signature",
    /// Its signer is vouched for by another root of the same name.
    WrongChain = "wrong-chain",
    /// Its signer's certificate is revoked: the list of revocations that it names has it.
    RevokedCertificate = "revoked-certificate",
    /// It reports of every key that it is revoked.
    Revoked = "revoked",
    /// It reports of every key that its attestation key is known to others.
    Compromised = "compromised",
    /// It reports of every key that there is newer firmware, which refuses nothing by itself.
    UpdateAvailable = "update-available",
    /// The entry of every key has a statement of another, with another root.
    WrongAaguid = "wrong-aaguid",
    /// It has no entries.
    MissingEntry = "missing-entry",
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// There is no such variant.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("there is no metadata {0:?}: there is {known}", known = known())]
pub struct UnknownVariant(pub String);

fn known() -> String {
    Variant::ALL.iter().map(|variant| variant.name()).collect::<Vec<_>>().join(", ")
}

impl FromStr for Variant {
    type Err = UnknownVariant;

    fn from_str(text: &str) -> Result<Self, UnknownVariant> {
        let found = Self::ALL.iter().find(|variant| variant.name() == text);
        found.copied().ok_or_else(|| UnknownVariant(text.chars().take(64).collect()))
    }
}

/// The metadata of some keys, at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Publication<'a> {
    /// Who vouches for the keys and the metadata.
    pub root: &'a Root,
    /// The keys. Of several with one AAGUID the first counts.
    pub profiles: &'a [Profile],
    /// Now, as the time since 1970 began.
    pub now: Duration,
    /// Where the list of revocations is, for the signer's certificate to name.
    pub crl: Option<&'a str>,
}

impl Publication<'_> {
    /// The BLOB, a JWT.
    ///
    /// # Errors
    /// [`CertificateFailed`] if a certificate cannot be encoded.
    pub fn jwt(&self, variant: Variant) -> Result<String, CertificateFailed> {
        let signer = match variant {
            Variant::WrongChain => self.other_root()?.metadata_signer("signer", self.crl)?,
            Variant::RevokedCertificate => self.revoked_signer()?,
            _ => self.root.metadata_signer("signer", self.crl)?,
        };
        let header = Header {
            alg: "ES256".to_owned(),
            typ: Some("JWT".to_owned()),
            x5c: vec![Certificate(signer.certificate().to_vec())],
            x5u: None,
        };
        let signed = signing_input(&header, &self.blob(variant)?.to_json());
        let mut signature = signer.sign(signed.as_bytes());
        if let (Variant::BadSignature, Some(last)) = (variant, signature.last_mut()) {
            *last ^= 1;
        }
        Ok(Jwt::compact(&signed, &signature))
    }

    /// What is in it.
    ///
    /// # Errors
    /// [`CertificateFailed`] if a certificate cannot be encoded.
    pub fn blob(&self, variant: Variant) -> Result<Blob, CertificateFailed> {
        let today = Date::of(self.now);
        let mut models = BTreeMap::new();
        for profile in self.profiles {
            let attestation = self.root.issue(profile, NO_KEY)?;
            let identifier = (!profile.has_ctap2()).then(|| attestation.key_identifier());
            let certificate =
                if profile.has_ctap2() { attestation.certificate() } else { attestation.u2f_certificate() };
            let model = (identifier.is_none().then_some(profile.aaguid.0), identifier);
            if let btree_map::Entry::Vacant(place) = models.entry(model) {
                place.insert(self.entry(profile, model.1, certificate, variant, today)?);
            }
        }
        let next_update = match variant {
            Variant::Expired => Date::of(self.now.saturating_sub(DAY)),
            _ => today.plus_days(LIFETIME),
        };
        Ok(Blob {
            legal_header: Some(LEGAL_HEADER.to_owned()),
            // Each one has a higher number than that of an earlier day.
            no: self.now.as_secs() / DAY.as_secs(),
            next_update,
            entries: if variant == Variant::MissingEntry { Vec::new() } else { models.into_values().collect() },
        })
    }

    fn entry(
        &self,
        profile: &Profile,
        identifier: Option<[u8; 20]>,
        certificate: &[u8],
        variant: Variant,
        today: Date,
    ) -> Result<Entry, CertificateFailed> {
        let mut statement = statement::of(profile, self.root);
        let aaguid = statement.aaguid;
        let identifiers = Vec::from_iter(identifier.map(|identifier| hexadecimal(&identifier)));
        statement.attestation_certificate_key_identifiers.clone_from(&identifiers);
        let version = statement.authenticator_version;
        if variant == Variant::WrongAaguid {
            statement.aaguid = aaguid.map(|_| OTHER_AAGUID);
            statement.attestation_root_certificates = vec![Certificate(self.other_root()?.certificate().to_vec())];
        }
        let first = StatusReport::new(Status::NotFidoCertified, Date::of(Duration::ZERO));
        let later = match variant {
            Variant::Revoked => Some(StatusReport::new(Status::Revoked, today)),
            Variant::Compromised => Some(StatusReport {
                certificate: Some(STANDARD.encode(certificate)),
                ..StatusReport::new(Status::AttestationKeyCompromise, today)
            }),
            Variant::UpdateAvailable => Some(StatusReport {
                authenticator_version: Some(version.saturating_add(1)),
                ..StatusReport::new(Status::UpdateAvailable, today)
            }),
            _ => None,
        };
        let time_of_last_status_change = if later.is_some() { today } else { Date::of(Duration::ZERO) };
        Ok(Entry {
            aaid: None,
            aaguid,
            attestation_certificate_key_identifiers: identifiers,
            metadata_statement: Some(statement),
            status_reports: [first].into_iter().chain(later).collect(),
            time_of_last_status_change,
        })
    }

    /// The list of revocations, DER.
    ///
    /// # Errors
    /// [`CertificateFailed`] if it cannot be encoded.
    pub fn crl(&self) -> Result<Vec<u8>, CertificateFailed> {
        // Clocks of those who read it may be behind.
        let from = self.now.saturating_sub(DAY);
        self.root.revocation_list(&[&self.revoked_signer()?], from, self.now + DAY * LIFETIME)
    }

    fn revoked_signer(&self) -> Result<MetadataSigner, CertificateFailed> {
        self.root.metadata_signer("signer that is revoked", self.crl)
    }

    /// A root of the same name that nobody trusts: everybody can know its secret.
    fn other_root(&self) -> Result<Root, CertificateFailed> {
        Root::new(Sha256::digest(self.root.certificate()).into())
    }
}

/// The profiles that come with keyrig.
#[must_use]
pub fn built_in() -> Vec<Profile> {
    Profile::built_in_names().filter_map(Profile::built_in).collect()
}

/// A certificate in PEM (RFC 7468).
#[must_use]
pub fn pem(certificate: &[u8]) -> String {
    let base64 = STANDARD.encode(certificate);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at_checked(64).unwrap_or((rest, ""));
        pem.push_str(line);
        pem.push('\n');
        rest = after;
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}
