//! What can go wrong.

use core::fmt;

use serde::{Deserialize, Serialize, Serializer};

/// Where a fault is put in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Layer {
    /// Where the URBs of a USB host end: [`keyrig_usb::Host`].
    Usb,
    /// Where reports leave CTAPHID: [`Edge::report_out`](keyrig_rack::seams::Edge::report_out).
    Ctaphid,
    /// Where answers leave the authenticator: [`Edge::response`](keyrig_rack::seams::Edge::response).
    Ctap,
    /// Where the authenticator seals what it says of credentials:
    /// [`Environment`](keyrig_authenticator::environment::Environment).
    Sealing,
    /// What makes commits durable: [`Storage`](keyrig_rack::storage::Storage).
    Storage,
    /// What time a key has: [`Clock`](keyrig_rack::clock::Clock).
    Clock,
}

/// What a parameter's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A number, written with decimal digits.
    Number,
    /// A code, written with hexadecimal digits.
    Code,
    /// A status of CTAP: a code, or its name.
    Status,
}

/// A parameter of a fault's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// What its value is.
    pub unit: Unit,
    /// The value without a word about it.
    pub default: u64,
    /// The least.
    pub least: u64,
    /// The most.
    pub most: u64,
}

macro_rules! kinds {
    ($($layer:ident: $($name:ident $text:literal
        $(($parameter:literal $unit:ident $default:literal in $least:literal..$most:literal))?,)*;)*) => {
        /// What goes wrong. `catalogue.toml` says of each what happens and who notices.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
        #[serde(try_from = "String")]
        #[non_exhaustive]
        pub enum Kind {
            $($(#[doc = concat!("`", $text, "`")] $name,)*)*
        }

        impl Kind {
            /// All that there are, by layer.
            pub const ALL: &[Self] = &[$($(Self::$name,)*)*];

            /// Its name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $($(Self::$name => $text,)*)*
                }
            }

            /// Where it is put in.
            #[must_use]
            pub const fn layer(self) -> Layer {
                match self {
                    $($(Self::$name => Layer::$layer,)*)*
                }
            }

            /// Its own parameter, if it has one.
            #[must_use]
            pub const fn parameter(self) -> Option<Parameter> {
                match self {
                    $($($(Self::$name => Some(Parameter {
                        name: $parameter,
                        unit: Unit::$unit,
                        default: $default,
                        least: $least,
                        most: $most,
                    }),)?)*)*
                    _ => None,
                }
            }
        }
    };
}

kinds! {
    Usb:
        UsbDelay "usb-delay" ("ms" Number 500 in 1..600_000),
        UsbShortRead "usb-short-read" ("bytes" Number 32 in 0..63),
        UsbStallIn "usb-stall-in",
        UsbStallOut "usb-stall-out",
        UsbProtocolError "usb-protocol-error",
        UsbBabble "usb-babble",
        UsbDisconnect "usb-disconnect",
        UsbLateUnlink "usb-late-unlink" ("ms" Number 500 in 1..600_000),
    ;
    Ctaphid:
        CtaphidLostStart "ctaphid-lost-start",
        CtaphidLostContinuation "ctaphid-lost-continuation",
        CtaphidRepeatedContinuation "ctaphid-repeated-continuation",
        CtaphidReorderedContinuations "ctaphid-reordered-continuations",
        CtaphidWrongSequence "ctaphid-wrong-sequence" ("by" Number 1 in 1..127),
        CtaphidWrongChannel "ctaphid-wrong-channel",
        CtaphidWrongCommand "ctaphid-wrong-command" ("code" Code 0x01 in 0..127),
        CtaphidWrongLength "ctaphid-wrong-length" ("by" Number 64 in 1..65_535),
        CtaphidWrongNonce "ctaphid-wrong-nonce",
        CtaphidBusy "ctaphid-busy",
        CtaphidError "ctaphid-error" ("code" Code 0x7F in 0..255),
        CtaphidNoKeepalive "ctaphid-no-keepalive",
        CtaphidUnknownKeepalive "ctaphid-unknown-keepalive" ("status" Code 0x03 in 0..255),
        CtaphidSilence "ctaphid-silence",
        CtaphidSlow "ctaphid-slow" ("ms" Number 500 in 1..600_000),
    ;
    Ctap:
        CtapStatus "ctap-status" ("status" Status 0x7F in 0..255),
        CtapUnsorted "ctap-unsorted",
        CtapLongNumber "ctap-long-number",
        CtapIndefiniteLength "ctap-indefinite-length",
        CtapRepeatedMember "ctap-repeated-member",
        CtapMissingMember "ctap-missing-member" ("member" Number 2 in 0..65_535),
        CtapExtraMember "ctap-extra-member" ("member" Number 99 in 0..65_535),
        CtapRetypedMember "ctap-retyped-member" ("member" Number 2 in 0..65_535),
        CtapCutText "ctap-cut-text",
        CtapOversized "ctap-oversized" ("bytes" Number 7_609 in 1..7_609),
        CtapTrailingBytes "ctap-trailing-bytes" ("bytes" Number 1 in 1..7_609),
        CtapTruncated "ctap-truncated" ("bytes" Number 1 in 1..7_609),
        CtapEmpty "ctap-empty",
        CtapSlow "ctap-slow" ("ms" Number 2_000 in 1..600_000),
        CtapNoAnswer "ctap-no-answer",
    ;
    Sealing:
        BadSignature "bad-signature",
        WrongRpIdHash "wrong-rp-id-hash",
        UpCleared "up-cleared",
        UpSet "up-set",
        UvCleared "uv-cleared",
        UvSet "uv-set",
        BeCleared "be-cleared",
        BeSet "be-set",
        BsCleared "bs-cleared",
        BsSet "bs-set",
        OtherAaguid "other-aaguid",
        CounterFrozen "counter-frozen",
        CounterBack "counter-back" ("by" Number 1 in 1..4_294_967_295),
        CounterHuge "counter-huge",
        OtherCredentialId "other-credential-id",
        OtherUserHandle "other-user-handle",
        OtherPublicKey "other-public-key",
        PublicKeyOffCurve "public-key-off-curve",
        AuthenticatorDataTrailingBytes "authenticator-data-trailing-bytes",
        AttestationBadSignature "attestation-bad-signature",
        AttestationWrongAlgorithm "attestation-wrong-algorithm",
        AttestationUnknownRoot "attestation-unknown-root",
        AttestationWrongChain "attestation-wrong-chain",
        AttestationExpired "attestation-expired",
        AttestationNotYetValid "attestation-not-yet-valid",
        AttestationWrongAaguid "attestation-wrong-aaguid",
        AttestationWrongUnit "attestation-wrong-unit",
        AttestationSelfAsFull "attestation-self-as-full",
        ExtensionMissing "extension-missing",
        ExtensionWrong "extension-wrong",
        ExtensionUnasked "extension-unasked",
        HmacSecretWrong "hmac-secret-wrong",
    ;
    Storage:
        StorageFailing "storage-failing",
        StorageFull "storage-full",
        StorageSlow "storage-slow" ("ms" Number 500 in 1..60_000),
    ;
    Clock:
        ClockJump "clock-jump" ("ms" Number 30_000 in 1..86_400_000),
    ;
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Layer {
    /// What it is called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Usb => "usb",
            Self::Ctaphid => "ctaphid",
            Self::Ctap => "ctap",
            Self::Sealing => "sealing",
            Self::Storage => "storage",
            Self::Clock => "clock",
        }
    }

    /// Where that is, for people.
    #[must_use]
    pub const fn place(self) -> &'static str {
        match self {
            Self::Usb => "where USB transfers end: at hosts over USB/IP, and this kernel",
            Self::Ctaphid => "where CTAPHID packets leave the key: at whatever is connected to it, but 'keyrig client'",
            Self::Ctap => "where answers leave the authenticator, before CTAPHID",
            Self::Sealing => "where the authenticator seals what it says of a credential, before and after it signs",
            Self::Storage => "where the key's changes are made durable",
            Self::Clock => "what the key takes for the time",
        }
    }
}
