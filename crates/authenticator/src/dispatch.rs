//! Which commands there are, and how each starts.

use core::time::Duration;

use keyrig_ctap::get_info::OptionId;
use keyrig_ctap::{Command, Request, Status};

use crate::authenticator::Authenticator;
use crate::channel::Channel;
use crate::credential_management::{self, Version};
use crate::step::{Protocol, Step};
use crate::{
    bio_enrollment, client_pin, config, get_assertion, get_info, large_blobs, make_credential, reset, selection, u2f,
};

impl Authenticator {
    /// Starts the command in a CTAP2 message: command byte and parameters. A command still pending is abandoned.
    ///
    /// What another command has begun on the same channel ends with it, unless it goes on with that.
    pub fn start(&mut self, channel: Channel, message: &[u8], now: Duration) -> Step {
        self.generation += 1;
        self.end_token_by_timer(now);
        let begun = self.memory.begun.take(channel);
        let progress = if message.len() > usize::from(self.profile.max_msg_size) {
            Status::RequestTooLarge.into()
        } else if message.first().is_some_and(|command| !self.has_command((*command).into())) {
            Status::InvalidCommand.into()
        } else {
            match self.read(message) {
                Ok(Request::MakeCredential(request)) => make_credential::start(self, request, now),
                Ok(Request::GetAssertion(request)) => get_assertion::start(self, channel, request, now),
                Ok(Request::GetNextAssertion) => get_assertion::next(self, begun, now),
                Ok(Request::GetInfo) => get_info::start(self),
                Ok(Request::ClientPin(request)) => client_pin::start(self, request),
                Ok(Request::BioEnrollment(request)) => {
                    bio_enrollment::start(self, request, bio_enrollment::Version::Final)
                }
                Ok(Request::BioEnrollmentPreview(request)) => {
                    bio_enrollment::start(self, request, bio_enrollment::Version::Prototype)
                }
                Ok(Request::CredentialManagement(request)) => {
                    credential_management::start(self, channel, request, Version::Final, begun, now)
                }
                Ok(Request::CredentialManagementPreview(request)) => {
                    credential_management::start(self, channel, request, Version::Prototype, begun, now)
                }
                Ok(Request::LargeBlobs(request)) => large_blobs::start(self, request),
                Ok(Request::Config(request)) => config::start(self, request),
                Ok(Request::Selection) => selection::start(self),
                Ok(Request::Reset) => reset::start(self, now),
                Ok(_) => Status::InvalidCommand.into(),
                Err(status) => status.into(),
            }
        };
        self.step(progress, Protocol::Ctap2, now)
    }

    /// Starts the request in a CTAP1/U2F message: an APDU. A command still pending is abandoned.
    ///
    /// It asks for no gesture: see the driving contract.
    pub fn start_u2f(&mut self, channel: Channel, message: &[u8], now: Duration) -> Step {
        self.generation += 1;
        drop(self.memory.begun.take(channel));
        let progress = u2f::start(self, channel, message, now);
        self.step(progress, Protocol::U2f, now)
    }

    /// Whether the key has a command, by its options: others are refused whatever follows their byte.
    fn has_command(&self, command: Command) -> bool {
        if !self.profile.has_ctap2() {
            return false;
        }
        let option = match command {
            Command::Selection => return self.profile.knows_ctap_2_1(),
            Command::ClientPin => return self.profile.has_client_pin(),
            Command::BioEnrollment => OptionId::BioEnroll,
            Command::BioEnrollmentPreview => OptionId::UserVerificationMgmtPreview,
            Command::CredentialManagement => OptionId::CredMgmt,
            Command::CredentialManagementPreview => OptionId::CredentialMgmtPreview,
            Command::LargeBlobs => OptionId::LargeBlobs,
            Command::Config => OptionId::AuthnrCfg,
            _ => return true,
        };
        self.profile.option(option).is_some()
    }
}
