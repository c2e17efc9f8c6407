//! Sources, all of Chromium's main branch: **device** is `device/fido/fido_device_authenticator.cc` (the conversion of device
//! response codes), **get** and **make** are `get_assertion_task.cc`, `make_credential_task.cc` and the request handlers of
//! the same names, **token** is `auth_token_requester.cc`. **[R]** was observed in Chromium 156 and Firefox 153 with two keys.

use Ceremony::{Create, Get};
use Weight::{Blinks, BlinksForADummy, Ends, Out};

use super::*;
use crate::channel::ChannelError;

/// Every status that has a name, and one that has none.
fn statuses() -> impl Iterator<Item = Status> {
    (1..=u8::MAX).map(Status::from)
}

/// What each status does in Chromium to a ceremony in which no key was chosen yet. What is not listed puts the key out.
const STATUSES: [(Ceremony, Command, u8, Weight, &str); 13] = [
    (Create, Command::MakeCredential, 0x19, Ends, "device: excluded after user consent; [R]"),
    (Create, Command::MakeCredential, 0x26, Blinks, "make: no common algorithms, touch collected"),
    (Create, Command::MakeCredential, 0x27, Ends, "device: consent denied; [R]"),
    (Create, Command::MakeCredential, 0x28, Ends, "device: storage full, unless residentKey was only preferred"),
    (Create, Command::MakeCredential, 0x33, Ends, "device: consent denied"),
    (Get, Command::GetAssertion, 0x22, BlinksForADummy, "get: a touch is simulated; [R]"),
    (Get, Command::GetAssertion, 0x27, Ends, "device: consent denied; [R]"),
    (Get, Command::GetAssertion, 0x2E, Ends, "device: consent, but credential not recognized; [R]"),
    (Get, Command::GetAssertion, 0x33, Ends, "device: consent denied"),
    (Get, Command::GetAssertion, 0x36, Ends, "device: consent denied"),
    (Create, Command::ClientPin, 0x27, Ends, "token: denied after a touch"),
    (Create, Command::ClientPin, 0x3C, Ends, "token: built-in user verification is locked"),
    (Create, Command::ClientPin, 0x3F, Ends, "token: a finger that was not recognized is a touch"),
];

#[test]
fn chromium_weighs_every_status_as_its_sources_have_it() {
    for ceremony in [Create, Get] {
        let own = if ceremony == Create { Command::MakeCredential } else { Command::GetAssertion };
        for (command, status) in [own, Command::ClientPin].into_iter().flat_map(|c| statuses().map(move |s| (c, s))) {
            let row = STATUSES.iter().find(|(in_ceremony, to, code, ..)| {
                (*in_ceremony == ceremony || command == Command::ClientPin)
                    && *to == command
                    && *code == u8::from(status)
            });
            let (expected, source) = row.map_or((Out, "everything else"), |row| (row.3, row.4));
            let cause = Cause::Status { command, status };
            assert_eq!(weigh(Browser::Chromium, ceremony, false, &cause), expected, "{ceremony:?} {cause}: {source}");
        }
    }
}

#[test]
fn a_status_to_anything_else_puts_the_key_out() {
    for status in statuses() {
        for (ceremony, command) in
            [(Create, Command::GetAssertion), (Create, Command::GetInfo), (Get, Command::MakeCredential)]
        {
            let cause = Cause::Status { command, status };
            assert_eq!(weigh(Browser::Chromium, ceremony, false, &cause), Out, "{cause}");
            assert_eq!(
                weigh(Browser::Chromium, ceremony, true, &cause),
                Ends,
                "{cause}: nobody else is asked any more"
            );
        }
    }
}

/// What a key cannot do by its own account, and what is wrong with an answer.
#[test]
fn chromium_weighs_everything_else_as_its_sources_have_it() {
    let invalid = |error| Cause::InvalidResponse { command: Command::GetAssertion, error };
    for (cause, expected, source) in [
        (Unsuitable::Attachment.into(), Out, "make: no candidate before a touch"),
        (Unsuitable::Transport.into(), Out, "get: transports allowed by the relying party"),
        (Unsuitable::ResidentKey.into(), Blinks, "make: no candidate after a touch"),
        (Unsuitable::CredentialProtection.into(), Blinks, "make: no candidate after a touch"),
        (Unsuitable::LargeBlob.into(), Blinks, "make: no candidate after a touch"),
        (Unsuitable::UserVerification.into(), Blinks, "make, get: unsatisfiable"),
        (Unsuitable::Algorithms.into(), Blinks, "make: no candidate after a touch"),
        (Unsuitable::Credential.into(), BlinksForADummy, "get: filtering eliminated all entries"),
        (Unsuitable::Excluded.into(), Ends, "make: excluded authenticator"),
        (ChannelError::Unplugged.into(), Out, "the authenticator was removed; [R]"),
        (ChannelError::Busy.into(), Out, "no response"),
        (invalid(InvalidResponse::Undecodable(Status::InvalidCbor)), Out, "a response that cannot be parsed"),
        (invalid(InvalidResponse::NoAttestedCredentialData), Out, "a response that cannot be parsed"),
        (invalid(InvalidResponse::Credential), Out, "get: invalid credential information"),
        (invalid(InvalidResponse::TooManyCredentials(300)), Out, "a response that cannot be parsed"),
        (invalid(InvalidResponse::RpIdHash), Ends, "make, get: response validity"),
        (invalid(InvalidResponse::UserNames), Ends, "get: response validity"),
        (invalid(InvalidResponse::NoUser), Ends, "get: response validity"),
        (invalid(InvalidResponse::UnexpectedAttestedCredentialData), Ends, "get: response validity"),
        (invalid(InvalidResponse::UnsolicitedExtension("a".to_owned())), Ends, "make, get: response validity"),
        (invalid(InvalidResponse::CredentialProtection), Ends, "make: response validity"),
        (invalid(InvalidResponse::EnterpriseAttestation), Ends, "make: response validity"),
        (invalid(InvalidResponse::NoLargeBlobKey), Ends, "make: response validity"),
    ] {
        for ceremony in [Create, Get] {
            assert_eq!(weigh(Browser::Chromium, ceremony, false, &cause), expected, "{cause}: {source}");
        }
    }
}

/// authenticator-rs, `src/ctap2/mod.rs` and `src/transport/mod.rs`: keys that do not get as far as being chosen are out; every
/// error of the one that was chosen is the ceremony's; where the pre-flight leaves nothing of an allow list, a touch is
/// collected first. [R]: denied on one of two keys, the other goes on.
#[test]
fn in_firefox_the_chosen_key_decides() {
    let cause = |command, status| Cause::Status { command, status };
    for status in statuses() {
        for (ceremony, command) in [(Create, Command::MakeCredential), (Get, Command::GetAssertion)] {
            assert_eq!(weigh(Browser::Firefox, ceremony, true, &cause(command, status)), Ends);
            assert_eq!(weigh(Browser::Firefox, ceremony, false, &cause(Command::Selection, status)), Out);
        }
    }
    for (cause, chosen) in [(ChannelError::Unplugged.into(), Ends), (Unsuitable::Credential.into(), BlinksForADummy)] {
        assert_eq!(weigh(Browser::Firefox, Get, true, &cause), chosen);
        assert_eq!(weigh(Browser::Firefox, Get, false, &cause), Out);
    }
}
