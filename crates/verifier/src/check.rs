//! The checks, each with a stable identifier and its place in WebAuthn Level 3.

use serde::{Serialize, Serializer};

const SPECIFICATION: &str = "https://www.w3.org/TR/webauthn-3/";

macro_rules! checks {
    ($($name:ident = $id:literal, $anchor:literal, $requirement:literal;)+) => {
        /// One check of a ceremony. The specification's steps are cited by anchor, as its step numbers move.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Check {
            $(#[doc = $requirement] $name,)+
        }

        impl Check {
            /// Every check there is.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The stable name that reports, logs and policies use.
            #[must_use]
            pub fn id(self) -> &'static str {
                match self { $(Self::$name => $id,)+ }
            }

            /// What the check asks for.
            #[must_use]
            pub fn requirement(self) -> &'static str {
                match self { $(Self::$name => $requirement,)+ }
            }

            /// The place in the specification, without the leading `#`.
            #[must_use]
            pub fn anchor(self) -> &'static str {
                match self { $(Self::$name => $anchor,)+ }
            }
        }
    };
}

checks! {
    CredentialType = "credential-type", "iface-pkcredential",
        "The credential's type is public-key.";
    CredentialIdEncoding = "credential-id-encoding", "iface-pkcredential",
        "id is rawId in base64url without padding.";
    AllowCredentials = "allow-credentials", "dom-publickeycredentialrequestoptions-allowcredentials",
        "The credential is one of allowCredentials, unless that was empty.";
    CredentialRecord = "credential-record", "credential-record",
        "The user's account has a credential record with this id.";
    UserHandle = "user-handle", "dom-authenticatorassertionresponse-userhandle",
        "userHandle is the account's; it must be there if nothing else named the user.";
    ClientDataJson = "client-data-json", "dictionary-client-data",
        "clientDataJSON is a JSON object after UTF-8 decoding, which strips a byte-order mark.";
    ClientDataType = "client-data-type", "dom-collectedclientdata-type",
        "type is webauthn.create in a registration and webauthn.get in an authentication.";
    Challenge = "challenge", "dom-collectedclientdata-challenge",
        "challenge is the ceremony's challenge in base64url without padding.";
    Origin = "origin", "sctn-validating-origin",
        "The relying party expects the origin.";
    CrossOrigin = "cross-origin", "dom-collectedclientdata-crossorigin",
        "crossOrigin is true only if the relying party expects to be in a frame of another origin.";
    TopOrigin = "top-origin", "dom-collectedclientdata-toporigin",
        "topOrigin is there only in such a frame, and is a page in which the relying party expects to be framed.";
    AttestationObject = "attestation-object", "sctn-generating-an-attestation-object",
        "attestationObject is a CBOR map in canonical form with fmt, attStmt and authData.";
    AuthenticatorData = "authenticator-data", "sctn-authenticator-data",
        "Authenticator data has the parts that its flags announce, and nothing more.";
    RpIdHash = "rp-id-hash", "authdata-rpidhash",
        "rpIdHash is the SHA-256 of the RP ID, or of the AppID if the appid extension was used.";
    UserPresent = "user-present", "authdata-flags-up",
        "The UP flag is set, unless a credential was created conditionally.";
    UserVerified = "user-verified", "authdata-flags-uv",
        "The UV flag is set if user verification is required.";
    BackupStateConsistent = "backup-state-consistent", "sctn-credential-backup",
        "The BS flag is not set without the BE flag.";
    BackupEligibilityUnchanged = "backup-eligibility-unchanged", "sctn-credential-backup",
        "The BE flag is what it was at registration.";
    BackupEligibility = "backup-eligibility", "authdata-flags-be",
        "The BE flag is what the relying party's policy wants.";
    BackupState = "backup-state", "authdata-flags-bs",
        "The BS flag is what the relying party's policy wants.";
    AttestedCredentialData = "attested-credential-data", "sctn-attested-credential-data",
        "Attested credential data is there in a registration and not in an authentication.";
    CredentialIdMatch = "credential-id-match", "authdata-attestedcredentialdata-credentialid",
        "The credential id in the attested credential data is rawId.";
    CredentialIdLength = "credential-id-length", "authdata-attestedcredentialdata-credentialidlength",
        "The credential id has at most 1023 bytes.";
    PublicKey = "public-key", "authdata-attestedcredentialdata-credentialpublickey",
        "The credential public key is a COSE_Key with exactly the parameters of an algorithm that is known here.";
    Algorithm = "algorithm", "dom-publickeycredentialcreationoptions-pubkeycredparams",
        "The credential public key's algorithm was offered in pubKeyCredParams.";
    AttestationFormat = "attestation-format", "sctn-attstn-fmt-ids",
        "The attestation statement format is known here: none, packed, tpm, android-key, apple, fido-u2f or compound.";
    AttestationStatement = "attestation-statement", "sctn-defined-attestation-formats",
        "The attestation statement has the members of its format, with an algorithm that fits.";
    AttestationSignature = "attestation-signature", "reg-ceremony-verify-attestation",
        "The attestation signature is valid.";
    AttestationCertificate = "attestation-certificate", "sctn-packed-attestation-cert-requirements",
        "The attestation certificate has the version, subject, key and constraints that its format asks for, and tells a serial number only if enterprise attestation was asked for.";
    AttestationCertificateAaguid = "attestation-certificate-aaguid", "sctn-packed-attestation-cert-requirements",
        "If the attestation certificate names an AAGUID, it is the authenticator data's.";
    AttestationType = "attestation-type", "sctn-attestation-types",
        "No attestation, or self attestation, is acceptable where it was given.";
    AttestationMetadata = "attestation-metadata", "sctn-registering-a-new-credential",
        "If metadata is asked: it is up to date, has the model, and reports nothing against it.";
    AttestationTrust = "attestation-trust", "attestation-trust-path",
        "The attestation certificate chains up to a trust anchor, or is one.";
    AttestationAaguid = "attestation-aaguid", "authdata-attestedcredentialdata-aaguid",
        "The relying party's policy accepts the AAGUID.";
    CredentialIdUnregistered = "credential-id-unregistered", "sctn-registering-a-new-credential",
        "The credential id is not registered for any user.";
    Signature = "signature", "assertion-signature",
        "The signature over authenticator data and client data hash is valid for the record's public key.";
    SignatureCounter = "signature-counter", "sctn-sign-counter",
        "The signature counter is greater than the record's, unless both are zero.";
    ClientExtensions = "client-extensions", "client-extension-output",
        "The client extension outputs are as expected.";
    AuthenticatorExtensions = "authenticator-extensions", "authenticator-extension-output",
        "The authenticator extension outputs are as expected.";
}

impl Check {
    /// The checks of a registration (WebAuthn Level 3, §7.1), in the order of reports.
    pub const REGISTRATION: &'static [Self] = &[
        Self::CredentialType,
        Self::CredentialIdEncoding,
        Self::ClientDataJson,
        Self::ClientDataType,
        Self::Challenge,
        Self::Origin,
        Self::CrossOrigin,
        Self::TopOrigin,
        Self::AttestationObject,
        Self::AuthenticatorData,
        Self::RpIdHash,
        Self::UserPresent,
        Self::UserVerified,
        Self::BackupStateConsistent,
        Self::BackupEligibility,
        Self::BackupState,
        Self::AttestedCredentialData,
        Self::CredentialIdMatch,
        Self::CredentialIdLength,
        Self::PublicKey,
        Self::Algorithm,
        Self::AttestationFormat,
        Self::AttestationStatement,
        Self::AttestationSignature,
        Self::AttestationCertificate,
        Self::AttestationCertificateAaguid,
        Self::AttestationType,
        Self::AttestationMetadata,
        Self::AttestationTrust,
        Self::AttestationAaguid,
        Self::CredentialIdUnregistered,
        Self::ClientExtensions,
        Self::AuthenticatorExtensions,
    ];

    /// The checks of an authentication (WebAuthn Level 3, §7.2), in the order of reports.
    pub const AUTHENTICATION: &'static [Self] = &[
        Self::CredentialType,
        Self::CredentialIdEncoding,
        Self::AllowCredentials,
        Self::CredentialRecord,
        Self::UserHandle,
        Self::ClientDataJson,
        Self::ClientDataType,
        Self::Challenge,
        Self::Origin,
        Self::CrossOrigin,
        Self::TopOrigin,
        Self::AuthenticatorData,
        Self::RpIdHash,
        Self::UserPresent,
        Self::UserVerified,
        Self::BackupStateConsistent,
        Self::BackupEligibilityUnchanged,
        Self::BackupEligibility,
        Self::BackupState,
        Self::AttestedCredentialData,
        Self::PublicKey,
        Self::Signature,
        Self::SignatureCounter,
        Self::ClientExtensions,
        Self::AuthenticatorExtensions,
    ];

    /// The place in the specification, as a link.
    #[must_use]
    pub fn link(self) -> String {
        format!("{SPECIFICATION}#{}", self.anchor())
    }
}

impl Serialize for Check {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.id())
    }
}
