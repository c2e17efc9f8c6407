//! CTAP2 commands and the frames around their parameters (CTAP 2.3 §6, §8).

use core::fmt;

use crate::cbor::Writer;
use crate::status::Status;
use crate::{
    bio_enrollment, client_pin, config, credential_management, get_assertion, get_info, large_blobs, make_credential,
};

/// The command byte of a CTAP2 request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Command {
    /// authenticatorMakeCredential, 0x01.
    MakeCredential,
    /// authenticatorGetAssertion, 0x02.
    GetAssertion,
    /// authenticatorGetInfo, 0x04.
    GetInfo,
    /// authenticatorClientPIN, 0x06.
    ClientPin,
    /// authenticatorReset, 0x07.
    Reset,
    /// authenticatorGetNextAssertion, 0x08.
    GetNextAssertion,
    /// authenticatorBioEnrollment, 0x09.
    BioEnrollment,
    /// authenticatorCredentialManagement, 0x0A.
    CredentialManagement,
    /// authenticatorSelection, 0x0B.
    Selection,
    /// authenticatorLargeBlobs, 0x0C.
    LargeBlobs,
    /// authenticatorConfig, 0x0D.
    Config,
    /// The prototype of authenticatorBioEnrollment, 0x40: what `userVerificationMgmtPreview` announces.
    BioEnrollmentPreview,
    /// The prototype of authenticatorCredentialManagement, 0x41: what `credentialMgmtPreview` announces.
    CredentialManagementPreview,
    /// Any other byte, vendor commands (0x40 to 0xBF) among them.
    Other(u8),
}

impl From<u8> for Command {
    fn from(byte: u8) -> Self {
        match byte {
            0x01 => Self::MakeCredential,
            0x02 => Self::GetAssertion,
            0x04 => Self::GetInfo,
            0x06 => Self::ClientPin,
            0x07 => Self::Reset,
            0x08 => Self::GetNextAssertion,
            0x09 => Self::BioEnrollment,
            0x0A => Self::CredentialManagement,
            0x0B => Self::Selection,
            0x0C => Self::LargeBlobs,
            0x0D => Self::Config,
            0x40 => Self::BioEnrollmentPreview,
            0x41 => Self::CredentialManagementPreview,
            other => Self::Other(other),
        }
    }
}

impl From<Command> for u8 {
    fn from(command: Command) -> Self {
        match command {
            Command::MakeCredential => 0x01,
            Command::GetAssertion => 0x02,
            Command::GetInfo => 0x04,
            Command::ClientPin => 0x06,
            Command::Reset => 0x07,
            Command::GetNextAssertion => 0x08,
            Command::BioEnrollment => 0x09,
            Command::CredentialManagement => 0x0A,
            Command::Selection => 0x0B,
            Command::LargeBlobs => 0x0C,
            Command::Config => 0x0D,
            Command::BioEnrollmentPreview => 0x40,
            Command::CredentialManagementPreview => 0x41,
            Command::Other(byte) => byte,
        }
    }
}

/// As the specification spells it. Of two commands with one name, the prototype has its byte behind it.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MakeCredential => "authenticatorMakeCredential",
            Self::GetAssertion => "authenticatorGetAssertion",
            Self::GetInfo => "authenticatorGetInfo",
            Self::ClientPin => "authenticatorClientPIN",
            Self::Reset => "authenticatorReset",
            Self::GetNextAssertion => "authenticatorGetNextAssertion",
            Self::BioEnrollment => "authenticatorBioEnrollment",
            Self::CredentialManagement => "authenticatorCredentialManagement",
            Self::Selection => "authenticatorSelection",
            Self::LargeBlobs => "authenticatorLargeBlobs",
            Self::Config => "authenticatorConfig",
            Self::BioEnrollmentPreview => "authenticatorBioEnrollment(0x40)",
            Self::CredentialManagementPreview => "authenticatorCredentialManagement(0x41)",
            Self::Other(byte @ 0x40..=0xBF) => return write!(f, "vendor(0x{byte:02X})"),
            Self::Other(byte) => return write!(f, "command(0x{byte:02X})"),
        })
    }
}

/// A request as a client sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Request {
    /// authenticatorMakeCredential.
    MakeCredential(make_credential::Request),
    /// authenticatorGetAssertion.
    GetAssertion(get_assertion::Request),
    /// authenticatorGetNextAssertion.
    GetNextAssertion,
    /// authenticatorGetInfo.
    GetInfo,
    /// authenticatorClientPIN.
    ClientPin(client_pin::Request),
    /// authenticatorBioEnrollment.
    BioEnrollment(bio_enrollment::Request),
    /// The prototype of authenticatorBioEnrollment.
    BioEnrollmentPreview(bio_enrollment::Request),
    /// authenticatorCredentialManagement.
    CredentialManagement(credential_management::Request),
    /// The prototype of authenticatorCredentialManagement.
    CredentialManagementPreview(credential_management::Request),
    /// authenticatorLargeBlobs.
    LargeBlobs(large_blobs::Request),
    /// authenticatorConfig.
    Config(config::Request),
    /// authenticatorSelection.
    Selection,
    /// authenticatorReset.
    Reset,
}

impl Request {
    /// The command byte.
    #[must_use]
    pub fn command(&self) -> Command {
        match self {
            Self::MakeCredential(_) => Command::MakeCredential,
            Self::GetAssertion(_) => Command::GetAssertion,
            Self::GetNextAssertion => Command::GetNextAssertion,
            Self::GetInfo => Command::GetInfo,
            Self::ClientPin(_) => Command::ClientPin,
            Self::BioEnrollment(_) => Command::BioEnrollment,
            Self::BioEnrollmentPreview(_) => Command::BioEnrollmentPreview,
            Self::CredentialManagement(_) => Command::CredentialManagement,
            Self::CredentialManagementPreview(_) => Command::CredentialManagementPreview,
            Self::LargeBlobs(_) => Command::LargeBlobs,
            Self::Config(_) => Command::Config,
            Self::Selection => Command::Selection,
            Self::Reset => Command::Reset,
        }
    }

    /// The whole message: command byte and parameters.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::after(vec![self.command().into()]);
        match self {
            Self::MakeCredential(request) => {
                request.encode(&mut writer);
            }
            Self::GetAssertion(request) => {
                request.encode(&mut writer);
            }
            Self::ClientPin(request) => {
                request.encode(&mut writer);
            }
            Self::BioEnrollment(request) | Self::BioEnrollmentPreview(request) => {
                request.encode(&mut writer);
            }
            Self::CredentialManagement(request) | Self::CredentialManagementPreview(request) => {
                request.encode(&mut writer);
            }
            Self::LargeBlobs(request) => {
                request.encode(&mut writer);
            }
            Self::Config(request) => {
                request.encode(&mut writer);
            }
            Self::GetNextAssertion | Self::GetInfo | Self::Selection | Self::Reset => {}
        }
        writer.finish()
    }

    /// Parses a whole message: command byte and parameters.
    ///
    /// Parameters of a command that has none are ignored, as CTAP 2.3 §6 does not forbid them.
    ///
    /// # Errors
    /// The status that an authenticator answers: [`Status::InvalidLength`] for an empty message,
    /// [`Status::InvalidCommand`] for a command without a variant here, else what the command's parameters yield.
    pub fn decode(message: &[u8]) -> Result<Self, Status> {
        let (command, parameters) = message.split_first().ok_or(Status::InvalidLength)?;
        match Command::from(*command) {
            Command::MakeCredential => make_credential::Request::decode(parameters).map(Self::MakeCredential),
            Command::GetAssertion => get_assertion::Request::decode(parameters).map(Self::GetAssertion),
            Command::GetNextAssertion => Ok(Self::GetNextAssertion),
            Command::GetInfo => Ok(Self::GetInfo),
            Command::ClientPin => client_pin::Request::decode(parameters).map(Self::ClientPin),
            Command::BioEnrollment => bio_enrollment::Request::decode(parameters).map(Self::BioEnrollment),
            Command::BioEnrollmentPreview => {
                bio_enrollment::Request::decode(parameters).map(Self::BioEnrollmentPreview)
            }
            Command::CredentialManagement => {
                credential_management::Request::decode(parameters).map(Self::CredentialManagement)
            }
            Command::CredentialManagementPreview => {
                credential_management::Request::decode(parameters).map(Self::CredentialManagementPreview)
            }
            Command::LargeBlobs => large_blobs::Request::decode(parameters).map(Self::LargeBlobs),
            Command::Config => config::Request::decode(parameters).map(Self::Config),
            Command::Selection => Ok(Self::Selection),
            Command::Reset => Ok(Self::Reset),
            _ => Err(Status::InvalidCommand),
        }
    }
}

/// The answer to a request, before it is known which command it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Response {
    /// To authenticatorMakeCredential.
    MakeCredential(Box<make_credential::Response>),
    /// To authenticatorGetAssertion and authenticatorGetNextAssertion.
    GetAssertion(Box<get_assertion::Response>),
    /// To authenticatorGetInfo.
    GetInfo(Box<get_info::Response>),
    /// To authenticatorClientPIN, but for setPIN and changePIN.
    ClientPin(Box<client_pin::Response>),
    /// To authenticatorBioEnrollment, but for what changes or ends something.
    BioEnrollment(Box<bio_enrollment::Response>),
    /// To authenticatorCredentialManagement, but for deleteCredential and updateUserInformation.
    CredentialManagement(Box<credential_management::Response>),
    /// To authenticatorLargeBlobs, if bytes were read.
    LargeBlobs(large_blobs::Response),
    /// Success with nothing to say.
    Done,
}

impl Response {
    /// The whole message: [`Status::Ok`] and the map.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::after(vec![Status::Ok.into()]);
        match self {
            Self::MakeCredential(response) => {
                response.encode(&mut writer);
            }
            Self::GetAssertion(response) => {
                response.encode(&mut writer);
            }
            Self::GetInfo(response) => {
                response.encode(&mut writer);
            }
            Self::ClientPin(response) => {
                response.encode(&mut writer);
            }
            Self::BioEnrollment(response) => {
                response.encode(&mut writer);
            }
            Self::CredentialManagement(response) => {
                response.encode(&mut writer);
            }
            Self::LargeBlobs(response) => {
                response.encode(&mut writer);
            }
            Self::Done => {}
        }
        writer.finish()
    }
}

/// Splits a response into its status and what follows it.
///
/// # Errors
/// The status, if it is not [`Status::Ok`]; [`Status::InvalidLength`] if there is none.
pub fn parse_response(message: &[u8]) -> Result<&[u8], Status> {
    match message.split_first() {
        Some((0, parameters)) => Ok(parameters),
        Some((status, _)) => Err(Status::from(*status)),
        None => Err(Status::InvalidLength),
    }
}
