//! What it means for a ceremony of several keys that one of them cannot help: by each browser's way of weighing it.
//!
//! Chromium takes some statuses as said after a touch, whenever they come: they end the ceremony for all keys. For some it
//! has the key blink, and ends the ceremony when it is touched. With everything else the key is out, and the others go on.
//! Firefox has had the user choose a key before, so what that one says ends the ceremony.

use keyrig_ctap::{Command, Status};

use crate::browser::{AtKeys, Browser};
use crate::error::{Cause, InvalidResponse, Unsuitable};

/// Which ceremony a key failed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ceremony {
    Create,
    Get,
}

/// What a failure does to the ceremony.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    /// It ends it.
    Ends,
    /// The key blinks, and ends it when it is touched.
    Blinks,
    /// The same, by a credential that nobody wants; and whatever becomes of that, it counts as a touch.
    BlinksForADummy,
    /// The key is out; the others go on.
    Out,
}

/// Weighs why a key cannot help; `chosen`: whether the user has chosen this key before all others.
pub(crate) fn weigh(browser: Browser, ceremony: Ceremony, chosen: bool, cause: &Cause) -> Weight {
    match browser.at_keys() {
        AtKeys::Chromium => match chromium(ceremony, cause) {
            // The others were told to cancel.
            Weight::Out if chosen => Weight::Ends,
            weight => weight,
        },
        AtKeys::Firefox if !chosen => Weight::Out,
        AtKeys::Firefox if *cause == Unsuitable::Credential.into() => Weight::BlinksForADummy,
        AtKeys::Firefox => Weight::Ends,
    }
}

fn chromium(ceremony: Ceremony, cause: &Cause) -> Weight {
    match cause {
        Cause::Status { command, status } => match (ceremony, command) {
            (Ceremony::Create, Command::MakeCredential) => to_make_credential(*status),
            (Ceremony::Get, Command::GetAssertion | Command::GetNextAssertion) => to_get_assertion(*status),
            (_, Command::ClientPin) => to_built_in_user_verification(*status),
            _ => Weight::Out,
        },
        Cause::Unsuitable(Unsuitable::Excluded) => Weight::Ends,
        // It is not asked for anything.
        Cause::Unsuitable(Unsuitable::Attachment | Unsuitable::Transport) => Weight::Out,
        Cause::Unsuitable(Unsuitable::Credential) => Weight::BlinksForADummy,
        Cause::Unsuitable(_) => Weight::Blinks,
        Cause::InvalidResponse { error, .. } => answered(error),
        // It comes up only with a key that was chosen.
        Cause::Pin(_) => Weight::Ends,
        Cause::Channel(_) | Cause::U2f { .. } | Cause::InvalidU2fResponse(_) => Weight::Out,
    }
}

fn to_make_credential(status: Status) -> Weight {
    match status {
        Status::CredentialExcluded | Status::OperationDenied | Status::PinAuthInvalid | Status::KeyStoreFull => {
            Weight::Ends
        }
        Status::UnsupportedAlgorithm => Weight::Blinks,
        _ => Weight::Out,
    }
}

fn to_get_assertion(status: Status) -> Weight {
    match status {
        Status::NoCredentials | Status::OperationDenied | Status::PinAuthInvalid | Status::PuatRequired => Weight::Ends,
        Status::InvalidCredential => Weight::BlinksForADummy,
        _ => Weight::Out,
    }
}

/// Before a key was chosen, the one thing that it was asked for is built-in user verification.
fn to_built_in_user_verification(status: Status) -> Weight {
    match status {
        Status::OperationDenied | Status::UvInvalid | Status::UvBlocked => Weight::Ends,
        _ => Weight::Out,
    }
}

/// An answer that cannot be read is as good as none; one that can, and is not to be had, came after a touch.
fn answered(error: &InvalidResponse) -> Weight {
    match error {
        InvalidResponse::RpIdHash
        | InvalidResponse::UserNames
        | InvalidResponse::NoUser
        | InvalidResponse::UnexpectedAttestedCredentialData
        | InvalidResponse::UnsolicitedExtension(_)
        | InvalidResponse::CredentialProtection
        | InvalidResponse::EnterpriseAttestation
        | InvalidResponse::NoLargeBlobKey => Weight::Ends,
        _ => Weight::Out,
    }
}

#[cfg(test)]
mod tests;
