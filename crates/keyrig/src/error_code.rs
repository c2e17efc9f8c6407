//! The codes of errors: words that programs may rely on, all of them here but those of a running rack (`control::error_code`)
//! and of a page (`client::words`), which others say too. A code is never given another meaning.

use keyrig_attach::ctaphid_endpoint::EndpointError;
#[cfg(target_os = "linux")]
use keyrig_attach::exec::ExecError;
#[cfg(target_os = "linux")]
use keyrig_attach::kernel::AttachError;
#[cfg(target_os = "linux")]
use keyrig_attach::uhid::UhidError;
#[cfg(target_os = "linux")]
use keyrig_attach::vhci::VhciError;
use keyrig_control::socket::ControlError;
use keyrig_faults::replay::NotReplayable;
use keyrig_rack::RackError;
use keyrig_rack::state_directory::StateError;
use keyrig_service::TokenFileError;

use crate::failure::Failure;

/// A command line that is wrong, as found before it was carried out.
pub(crate) const USAGE: &str = "usage";

pub(crate) fn of(failure: &Failure) -> &str {
    match failure {
        Failure::Usage(_) => USAGE,
        Failure::Rack(error) => of_rack(error),
        Failure::Refused(refusal) => keyrig_control::error_code::of_refusal(refusal),
        Failure::Control(error) | Failure::AtRack { error, .. } => of_control(error),
        Failure::Bind(error) => of_endpoint(error),
        #[cfg(target_os = "linux")]
        Failure::Attach(AttachError::Vhci(error)) => of_vhci(error),
        #[cfg(target_os = "linux")]
        Failure::Attach(AttachError::Uhid(error)) => of_uhid(error),
        #[cfg(target_os = "linux")]
        Failure::Attach(AttachError::TooFewNodes { .. }) => "hidraw-too-few-nodes",
        #[cfg(target_os = "linux")]
        Failure::Exec(error) => of_exec(error),
        Failure::Token(error) => of_token_file(error),
        Failure::Key(_) => "key-failed",
        Failure::AtKey { .. } => "key-refused",
        Failure::PinsDiffer => "pins-differ",
        Failure::Demo(_) => "demo-failed",
        Failure::PortInUse { .. } => "port-in-use",
        Failure::Listen(..) => "cannot-listen",
        Failure::Write(..) | Failure::IsThere(_) | Failure::ScenarioIsThere(_) | Failure::NotAToken(_) => {
            "cannot-write"
        }
        Failure::Print(_) => "cannot-print",
        Failure::Read(..) | Failure::Input(..) => "cannot-read",
        Failure::NotATranscript(..) => "not-a-transcript",
        Failure::NotReplayable(_, error) => match **error {
            NotReplayable::Transcript(_) => "not-a-transcript",
            _ => "not-replayable",
        },
        Failure::NotMetadata(..) => "not-metadata",
        Failure::Specification(_) => USAGE,
        Failure::Timeline(..) => "not-a-timeline",
        Failure::Trace(_) => "transcript-unwritten",
        Failure::AndTrace(failure, _) => of(failure),
        Failure::Interrupted => "interrupted",
        Failure::Runtime(_) => "operating-system",
        Failure::Store(_) => "database-failed",
        #[cfg(feature = "tls")]
        Failure::Authority(_) | Failure::NoAuthority(_) => "test-ca-unusable",
        #[cfg(feature = "tls")]
        Failure::Certificate(..) | Failure::Trust(..) | Failure::NoMkcert | Failure::Mkcert(_) => {
            "certificate-unusable"
        }
        Failure::User(_) | Failure::UserName(_) => "user-refused",
        Failure::Factor(_) | Failure::NeedsForce(_) => "factor-refused",
        Failure::Realm(_) => "realm-refused",
        Failure::Group(_) => "group-refused",
        Failure::Role(_) => "role-refused",
        Failure::Password(_) => "password-refused",
        Failure::Policy(_) => "unknown-policy",
        Failure::Config(_) => "settings-refused",
        Failure::Unreadable(_) | Failure::Pve(_) => "settings-unreadable",
        Failure::Unexplained(..) => "not-a-recording",
        #[cfg(feature = "tls")]
        Failure::Options(_) => "options-not-fetched",
        Failure::Totp(_) | Failure::Qr(_) => "totp-refused",
        Failure::NoDatabase(_) => "no-database",
        #[cfg(target_os = "linux")]
        Failure::Lab(_) => "lab-refused",
        Failure::Hardware(_) => "hardware-refused",
        Failure::NoReport(_) => "no-report",
        Failure::NotConfirmed => "not-confirmed",
    }
}

fn of_rack(error: &RackError) -> &'static str {
    match error {
        RackError::TooManyKeys(_) => "too-many-keys",
        RackError::SameName(_) => "same-name",
        RackError::NoSuchFinger(_) => "no-such-finger",
        RackError::SeedAndState => "seed-and-state",
        RackError::State(error) => match error {
            StateError::Foreign { .. } => "state-foreign",
            StateError::Version { .. } => "state-version",
            StateError::Locked { .. } => "state-locked",
            StateError::KeyExists { .. } => "key-kept",
            StateError::OtherProfile { .. } => "state-other-profile",
            StateError::Damaged { .. } => "state-damaged",
            StateError::OtherUser { .. } => "state-other-user",
            StateError::OthersMayWrite { .. } => "state-others-may-write",
            StateError::FileSystem { .. } => "state-file-system",
        },
        RackError::Certificate(_) => "certificate-failed",
        RackError::Refused(refusal) => keyrig_control::error_code::of_refusal(refusal),
    }
}

fn of_control(error: &ControlError) -> &str {
    match error {
        ControlError::InUse { .. } => "control-in-use",
        ControlError::NotASocket { .. } => "control-not-a-socket",
        ControlError::TooLong(_) => "path-too-long",
        ControlError::NotRunning { .. } => "rack-not-running",
        ControlError::NoAnswer { .. } => "rack-no-answer",
        // The rack's own: keyrig_control::error_code has them.
        ControlError::Refused { code, .. } => code,
        ControlError::Ended { .. } => "rack-ended",
        ControlError::AnswerTooLong { .. } => "answer-too-long",
        ControlError::NotARack { .. } => "not-a-rack",
        ControlError::Io { .. } => "control-failed",
    }
}

fn of_endpoint(error: &EndpointError) -> &'static str {
    match error {
        EndpointError::InUse(_) => "endpoint-in-use",
        EndpointError::NotASocket { .. } => "endpoint-not-a-socket",
        EndpointError::TooLong(_) => "path-too-long",
        EndpointError::Io { .. } => "cannot-listen",
    }
}

fn of_token_file(error: &TokenFileError) -> &'static str {
    match error {
        TokenFileError::OthersMayRead { .. } => "token-others-may-read",
        TokenFileError::OtherUser { .. } => "token-other-user",
        TokenFileError::Invalid { .. } => "token-invalid",
        TokenFileError::Io { .. } => "token-file",
    }
}

#[cfg(target_os = "linux")]
fn of_vhci(error: &VhciError) -> &'static str {
    match error {
        VhciError::NoModule => "vhci-no-module",
        VhciError::NoRights { .. } => "vhci-no-rights",
        VhciError::NoFreePort { .. } => "vhci-no-free-port",
        VhciError::TooFewPorts { .. } => "vhci-too-few-ports",
        VhciError::UnknownStatus { .. } => "vhci-unknown-status",
        VhciError::Kernel { .. } => "vhci-kernel",
    }
}

#[cfg(target_os = "linux")]
fn of_uhid(error: &UhidError) -> &'static str {
    match error {
        UhidError::NoModule => "uhid-no-module",
        UhidError::NoRights => "uhid-no-rights",
        UhidError::Kernel { .. } => "uhid-kernel",
    }
}

#[cfg(target_os = "linux")]
fn of_exec(error: &ExecError) -> &'static str {
    match error {
        ExecError::NoView(_) => "exec-no-view",
        ExecError::Files { .. } => "exec-files",
        ExecError::NotFound(_) => "program-not-found",
        ExecError::NotExecutable { .. } => "program-not-executable",
        ExecError::System { .. } => "operating-system",
    }
}
