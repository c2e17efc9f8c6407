//! Where a fault can happen at all: in which commands, and by which ways to a key.

use std::collections::BTreeSet;

use crate::kind::{Kind, Layer};

/// Whether a fault can happen in a command, of [`COMMANDS`](crate::COMMANDS): by CTAP 2.3 §6 and §11.2.9, and FIDO U2F Raw Message
/// Formats 1.2.
pub(crate) fn can_happen(kind: Kind, command: &str) -> bool {
    let is_ctaphid = command.starts_with("CTAPHID_");
    let is_ctap2 = command.starts_with("authenticator");
    let is_registration = matches!(command, "authenticatorMakeCredential" | "U2F_REGISTER");
    let is_login =
        matches!(command, "authenticatorGetAssertion" | "authenticatorGetNextAssertion" | "U2F_AUTHENTICATE");
    // Of these the answer is a status, and no more.
    let has_map =
        is_ctap2 && !matches!(command, "authenticatorReset" | "authenticatorSelection" | "authenticatorConfig");
    // Retries, keys, tokens and fragments are numbers and bytes.
    let has_text = has_map && !matches!(command, "authenticatorClientPIN" | "authenticatorLargeBlobs");
    let fills_packets = has_map || is_registration || is_login || command == "CTAPHID_PING";
    let commits = !is_ctaphid && !matches!(command, "authenticatorGetInfo" | "authenticatorSelection" | "U2F_VERSION");
    match kind {
        Kind::CtaphidLostContinuation
        | Kind::CtaphidRepeatedContinuation
        | Kind::CtaphidReorderedContinuations
        | Kind::CtaphidWrongSequence => fills_packets,
        Kind::CtaphidWrongNonce => command == "CTAPHID_INIT",
        Kind::CtaphidNoKeepalive | Kind::CtaphidUnknownKeepalive => !is_ctaphid,
        Kind::CtapEmpty | Kind::CtapTrailingBytes | Kind::CtapTruncated | Kind::CtapSlow | Kind::CtapNoAnswer => {
            !is_ctaphid
        }
        Kind::CtapStatus => is_ctap2,
        Kind::CtapCutText => has_text,
        Kind::BadSignature | Kind::CounterFrozen | Kind::CounterBack => is_login,
        Kind::OtherUserHandle => is_login && is_ctap2,
        Kind::OtherAaguid | Kind::OtherPublicKey | Kind::AttestationWrongAlgorithm => is_registration && is_ctap2,
        Kind::PublicKeyOffCurve
        | Kind::AttestationBadSignature
        | Kind::AttestationUnknownRoot
        | Kind::AttestationWrongChain
        | Kind::AttestationExpired
        | Kind::AttestationNotYetValid
        | Kind::AttestationWrongAaguid
        | Kind::AttestationWrongUnit
        | Kind::AttestationSelfAsFull => is_registration,
        Kind::OtherCredentialId => is_registration || is_login && is_ctap2,
        Kind::WrongRpIdHash => is_registration || is_login,
        _ => match kind.layer() {
            Layer::Usb => false,
            Layer::Ctaphid => true,
            Layer::Ctap => has_map,
            // A registration of U2F has neither flags nor counter, nor extensions.
            Layer::Sealing => is_login || is_registration && is_ctap2,
            Layer::Storage => commits,
            Layer::Clock => !is_ctaphid,
        },
    }
}

/// What hosts of a rack's keys do without, so that nothing can go wrong there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Absent(BTreeSet<Layer>);

impl Absent {
    /// Hosts come by USB and CTAPHID, or may.
    #[must_use]
    pub fn nothing() -> Self {
        Self::default()
    }

    /// Programs speak CTAPHID with the keys, and no USB is between them.
    #[must_use]
    pub fn usb() -> Self {
        Self([Layer::Usb].into())
    }

    /// Messages of CTAP come to the keys as they are.
    #[must_use]
    pub fn usb_and_ctaphid() -> Self {
        Self([Layer::Usb, Layer::Ctaphid].into())
    }

    /// # Errors
    /// [`Nowhere`]: it could never happen.
    pub fn check(&self, kind: Kind) -> Result<(), Nowhere> {
        let layer = kind.layer();
        if self.0.contains(&layer) { Err(Nowhere { kind, layer }) } else { Ok(()) }
    }
}

/// A fault could never happen at these keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} can never happen here: {}", why(*layer))]
pub struct Nowhere {
    /// The fault.
    pub kind: Kind,
    /// What there is not.
    pub layer: Layer,
}

fn why(layer: Layer) -> &'static str {
    match layer {
        Layer::Usb => "it is of USB, by which nothing reaches these keys; it can over USB/IP, and in front of a kernel",
        _ => "it is of CTAPHID, by which nothing reaches these keys; it can where programs open them, over USB or not",
    }
}
