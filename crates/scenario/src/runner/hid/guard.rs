//! What is not sent to a real key, whatever a scenario says: what destroys something on it, if that was not allowed, and what may spend one
//! of its last three tries at the PIN.

use keyrig_ctap::bio_enrollment::Subcommand as Bio;
use keyrig_ctap::client_pin::{Request as PinRequest, Response as PinResponse, Subcommand as PinSubcommand};
use keyrig_ctap::credential_management::Subcommand as Management;
use keyrig_ctap::{Command, Request, parse_response};

/// How many tries at the PIN a key is left with.
pub(super) const TRIES_LEFT: u64 = 3;

/// What in a message changes what is on a key for good; none if nothing does.
///
/// A message that cannot be read is taken for one that does: no client of ours sends any.
pub(super) fn destroys(message: &[u8]) -> Option<&'static str> {
    let Ok(request) = Request::decode(message) else {
        return Some("a message that cannot be read");
    };
    match request {
        Request::Reset => Some("a reset"),
        Request::MakeCredential(request) => {
            (request.options.rk == Some(true)).then_some("a credential that is stored on it")
        }
        Request::ClientPin(request) => match request.subcommand {
            PinSubcommand::SetPin => Some("a first PIN"),
            PinSubcommand::ChangePin => Some("a change of its PIN"),
            _ => None,
        },
        Request::CredentialManagement(request) | Request::CredentialManagementPreview(request) => {
            match request.subcommand() {
                Management::DeleteCredential => Some("the end of a credential"),
                Management::UpdateUserInformation => Some("a change of a credential"),
                _ => None,
            }
        }
        Request::BioEnrollment(request) | Request::BioEnrollmentPreview(request) => match request.subcommand() {
            Some(Bio::EnrollBegin | Bio::EnrollCaptureNextSample) => Some("another fingerprint"),
            Some(Bio::SetFriendlyName | Bio::RemoveEnrollment) => Some("a change of its fingerprints"),
            _ => None,
        },
        Request::Config(_) => Some("a change of its configuration"),
        Request::LargeBlobs(request) => request.set.is_some().then_some("a change of its large blobs"),
        _ => None,
    }
}

/// Whether a message may spend a try at the PIN.
pub(super) fn tries_a_pin(message: &[u8]) -> bool {
    message.first().map(|byte| Command::from(*byte)) == Some(Command::ClientPin)
        && matches!(Request::decode(message), Ok(Request::ClientPin(request)) if is_a_try(&request))
}

fn is_a_try(request: &PinRequest) -> bool {
    request.pin_hash_enc.is_some()
}

/// The question how many tries there are, and the answer.
pub(super) fn asks_for_tries() -> Vec<u8> {
    Request::ClientPin(PinRequest::new(PinSubcommand::GetPinRetries)).encode()
}

pub(super) fn tries(answer: &[u8]) -> Option<u64> {
    PinResponse::decode(parse_response(answer).ok()?).ok()?.pin_retries
}
