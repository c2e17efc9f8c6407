//! What a relying party expects of a ceremony. `new` gives the strict reading of WebAuthn Level 3; the rest is policy.

use std::time::SystemTime;

use keyrig_ctap::Aaguid;
use serde::{Deserialize, Serialize};

use crate::attestation::metadata::TrustedMetadata;
use crate::attestation::trust::TrustAnchors;
use crate::origin::OriginRule;
use crate::public_key::SUPPORTED_ALGORITHMS;
use crate::strictness::{Deviation, Strictness};

/// What a registration has to be like.
#[derive(Clone, Debug)]
pub struct RegistrationExpectations<'a> {
    /// The challenge of the options, as bytes.
    pub challenge: &'a [u8],
    /// The RP ID.
    pub rp_id: &'a str,
    /// The origins that the ceremony may come from.
    pub origins: &'a [OriginRule],
    /// Whether the page may be in a frame of another origin.
    pub framing: Framing<'a>,
    /// Whether the UP flag has to be set: always, except in a conditional creation (WebAuthn Level 3, §7.1, "UP").
    pub user_presence: bool,
    /// Whether the UV flag has to be set.
    pub user_verification: bool,
    /// What the backup flags may be.
    pub backup: BackupPolicy,
    /// The COSE algorithm identifiers of pubKeyCredParams.
    pub algorithms: &'a [i64],
    /// Which attestation is acceptable.
    pub attestation: AttestationPolicy<'a>,
    /// The time at which certificates have to be valid.
    pub now: SystemTime,
    /// Whether the credential id is registered to any user already.
    pub already_registered: bool,
    /// Which extension outputs are acceptable.
    pub extensions: ExtensionPolicy<'a>,
    /// The user handle that the options named: it goes into the record.
    pub user_handle: &'a [u8],
    /// How much of the specification's letter is insisted on.
    pub strictness: Strictness,
}

impl<'a> RegistrationExpectations<'a> {
    /// The strict reading: UP, no frames, any backup flags, the algorithms that are known here, any valid attestation.
    #[must_use]
    pub fn new(
        challenge: &'a [u8],
        rp_id: &'a str,
        origins: &'a [OriginRule],
        user_handle: &'a [u8],
        now: SystemTime,
    ) -> Self {
        Self {
            challenge,
            rp_id,
            origins,
            framing: Framing::Refused,
            user_presence: true,
            user_verification: false,
            backup: BackupPolicy::default(),
            algorithms: &SUPPORTED_ALGORITHMS,
            attestation: AttestationPolicy::none(),
            now,
            already_registered: false,
            extensions: ExtensionPolicy::default(),
            user_handle,
            strictness: Strictness::by_the_letter(),
        }
    }
}

/// What an authentication has to be like.
#[derive(Clone, Debug)]
pub struct AuthenticationExpectations<'a> {
    /// The challenge of the options, as bytes.
    pub challenge: &'a [u8],
    /// The RP ID.
    pub rp_id: &'a str,
    /// The AppID of the appid extension, if it was sent (WebAuthn Level 3, §10.1.1).
    pub app_id: Option<&'a str>,
    /// The origins that the ceremony may come from.
    pub origins: &'a [OriginRule],
    /// Whether the page may be in a frame of another origin.
    pub framing: Framing<'a>,
    /// Whether the UV flag has to be set.
    pub user_verification: bool,
    /// What the backup flags may be.
    pub backup: BackupPolicy,
    /// What a signature counter that did not grow leads to: by the specification a sign that the key may have been cloned,
    /// which the relying party takes into account or not (WebAuthn Level 3, §6.1.1).
    pub counter: Deviation,
    /// The ids of allowCredentials; empty if the client was to find a discoverable credential.
    pub allow_credentials: &'a [Vec<u8>],
    /// Who logs in.
    pub user: User,
    /// The record of the account that the credential belongs to: with [`User::Identified`], of that user; `None` if the
    /// account has no record with the credential's id.
    pub record: Option<&'a CredentialRecord>,
    /// Which extension outputs are acceptable.
    pub extensions: ExtensionPolicy<'a>,
    /// How much of the specification's letter is insisted on.
    pub strictness: Strictness,
}

impl<'a> AuthenticationExpectations<'a> {
    /// The strict reading: no frames, a counter that grows, for a user who is known before.
    #[must_use]
    pub fn new(
        challenge: &'a [u8],
        rp_id: &'a str,
        origins: &'a [OriginRule],
        allow_credentials: &'a [Vec<u8>],
        record: Option<&'a CredentialRecord>,
    ) -> Self {
        Self {
            challenge,
            rp_id,
            app_id: None,
            origins,
            framing: Framing::Refused,
            user_verification: false,
            backup: BackupPolicy::default(),
            counter: Deviation::Refuse,
            allow_credentials,
            user: User::Identified,
            record,
            extensions: ExtensionPolicy::default(),
            strictness: Strictness::by_the_letter(),
        }
    }
}

/// Whether a page may use WebAuthn in a frame of a page on another origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing<'a> {
    /// It may not.
    Refused,
    /// It may, and if the client says in which page, in these.
    AllowedIn(&'a [OriginRule]),
    /// It may, in any page: a page that frames it can trick its users into what they did not mean to do.
    AllowedAnywhere,
}

/// How the user of an authentication is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum User {
    /// By name or session, before the ceremony began.
    Identified,
    /// By the userHandle of the response, which must be there then.
    ByUserHandle,
}

/// What the BE and BS flags may be (WebAuthn Level 3, §6.1.3). That BS is never set without BE is not policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupPolicy {
    /// The BE flag: whether a credential may be backed up and synchronised.
    #[serde(default)]
    pub eligibility: FlagPolicy,
    /// The BS flag: whether it is at present.
    #[serde(default)]
    pub state: FlagPolicy,
}

/// What a flag has to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FlagPolicy {
    /// Set or not.
    #[default]
    Any,
    /// Set.
    Required,
    /// Not set.
    Refused,
}

/// Which attestation is acceptable (WebAuthn Level 3, §7.1). A statement that does not verify never is.
#[derive(Clone, Copy, Debug)]
pub struct AttestationPolicy<'a> {
    /// Whether a credential without attestation is acceptable.
    pub accept_none: bool,
    /// Whether self attestation is.
    pub accept_self: bool,
    /// Where certificates have to lead; `None` if it does not matter.
    pub trust_anchors: Option<&'a TrustAnchors>,
    /// The metadata that says where certificates have to lead, by the model, and which models are not to be relied on.
    pub metadata: Option<&'a TrustedMetadata>,
    /// The models that are acceptable; `None` for all. Without trust anchors an AAGUID is only a claim.
    pub aaguids: Option<&'a [Aaguid]>,
    /// Whether the options asked for enterprise attestation: without, a certificate tells no serial number of the key (WebAuthn Level 3,
    /// §8.2.2). `None` if it is not known what they asked for.
    pub enterprise: Option<bool>,
}

impl<'a> AttestationPolicy<'a> {
    /// Nothing is wanted: none, self, and certificates of anybody are acceptable.
    #[must_use]
    pub fn none() -> Self {
        Self {
            accept_none: true,
            accept_self: true,
            trust_anchors: None,
            metadata: None,
            aaguids: None,
            enterprise: None,
        }
    }

    /// Any attestation, self attestation included, from anybody.
    #[must_use]
    pub fn any() -> Self {
        Self { accept_none: false, ..Self::none() }
    }

    /// A certificate that leads to one of these roots.
    #[must_use]
    pub fn by_root(trust_anchors: &'a TrustAnchors) -> Self {
        Self { accept_self: false, trust_anchors: Some(trust_anchors), ..Self::any() }
    }

    /// A certificate of a model that this metadata has, and has nothing against.
    #[must_use]
    pub fn by_metadata(metadata: &'a TrustedMetadata) -> Self {
        Self { accept_self: false, metadata: Some(metadata), ..Self::any() }
    }

    /// One of these models, proven by a certificate that leads to one of these roots.
    #[must_use]
    pub fn by_aaguid(aaguids: &'a [Aaguid], trust_anchors: &'a TrustAnchors) -> Self {
        Self { aaguids: Some(aaguids), ..Self::by_root(trust_anchors) }
    }
}

/// Which extension outputs are acceptable.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExtensionPolicy<'a> {
    /// The client extensions that the options asked for.
    pub client: &'a [&'a str],
    /// The authenticator extensions that may follow from them, such as `hmac-secret` from `prf`.
    pub authenticator: &'a [&'a str],
    /// Whether outputs of others refuse the ceremony. Clients may add some of their own accord, so by default not.
    pub refuse_unsolicited: bool,
}

/// A credential record (WebAuthn Level 3, §4 "Credential Record"): what a relying party keeps of a registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialRecord {
    /// The credential id, at most 1023 bytes.
    pub id: Vec<u8>,
    /// The credential public key: a COSE_Key as it was encoded.
    pub public_key: Vec<u8>,
    /// The signature counter as of the last ceremony.
    pub sign_count: u32,
    /// Whether the credential has ever been used with user verification.
    pub uv_initialized: bool,
    /// How the key can be reached, as the client said at registration.
    pub transports: Vec<String>,
    /// The BE flag, which never changes.
    pub backup_eligible: bool,
    /// The BS flag as of the last ceremony.
    pub backup_state: bool,
    /// The model of the authenticator, as it claimed at registration.
    pub aaguid: Aaguid,
    /// The user handle that the credential was made for.
    pub user_handle: Vec<u8>,
}

/// What an accepted authentication changes in the credential record (WebAuthn Level 3, §7.2, last steps).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordUpdate {
    /// The new signature counter.
    pub sign_count: u32,
    /// The new BS flag.
    pub backup_state: bool,
    /// Whether the credential has now been used with user verification. That it becomes true should take a proof of the
    /// user beyond this credential, says the specification: that is the caller's to ask for.
    pub uv_initialized: bool,
}
