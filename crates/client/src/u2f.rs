//! CTAP1/U2F: keys that speak nothing else, and the way around a PIN for those that do (CTAP 2.3 §7; WebAuthn Level 3 §6.1.2).
//!
//! A U2F key does not wait for a touch: it says that there was none, and is asked again until there is.

use core::time::Duration;

use keyrig_ctap::attestation::Statement;
use keyrig_ctap::authenticator_data::{AttestedCredentialData, AuthenticatorData, Flags};
use keyrig_ctap::entities::CredentialDescriptor;
use keyrig_ctap::get_info::OptionId;
use keyrig_ctap::u2f::{Authentication, Control, Encoding, Registration, Request, StatusWord, VERSION, parse_response};
use keyrig_ctap::{Aaguid, get_assertion, get_info, make_credential};
use tokio::time::sleep;

use crate::channel::{Cancel, Channel, ChannelError};
use crate::error::{Cause, InvalidU2fResponse};
use crate::key::Key;

/// How long until a key that was not touched is asked again: Chromium's interval.
const INTERVAL: Duration = Duration::from_millis(200);

/// The longest key handle (U2F Raw Message Formats 1.2 §4.3).
const MAX_KEY_HANDLE: usize = 255;

/// For a registration that nobody wants: no site has these hashes.
const BOGUS: [u8; 32] = [0x41; 32];

/// The COSE algorithm of all U2F credentials, ES256.
pub(crate) const ALGORITHM: i64 = -7;

/// Whether a key speaks U2F and nothing else.
pub(crate) fn is_all_that(info: &get_info::Response) -> bool {
    info.versions.iter().all(|version| version == VERSION)
}

/// Whether a key speaks U2F, among other things. A key that always verifies its user has switched it off (CTAP 2.3 §7.2.4).
pub(crate) fn is_spoken_by(info: &get_info::Response) -> bool {
    info.versions.iter().any(|version| version == VERSION) && info.option(OptionId::AlwaysUv) != Some(true)
}

/// What a key would say of itself in CTAP2 that speaks U2F only.
pub(crate) fn as_info() -> get_info::Response {
    get_info::Response { versions: vec![VERSION.to_owned()], ..get_info::Response::default() }
}

impl<C: Channel> Key<C> {
    /// Whether the key speaks U2F (U2F_VERSION).
    pub(crate) async fn speaks_u2f(&mut self, cancel: &Cancel) -> Result<bool, Cause> {
        let answer = self.u2f_message(&Request::Version, false, cancel).await?;
        Ok(answer.is_ok_and(|version| version == VERSION.as_bytes()))
    }

    /// Which of the credentials the key knows for one of the application parameters. It is asked without a touch
    /// (`check-only`).
    pub(crate) async fn find_u2f<'l>(
        &mut self,
        list: &'l [CredentialDescriptor],
        applications: &[[u8; 32]],
        cancel: &Cancel,
    ) -> Result<Option<(&'l [u8], [u8; 32])>, Cause> {
        for entry in list.iter().filter(|entry| entry.is_public_key() && entry.id.len() <= MAX_KEY_HANDLE) {
            for application in applications {
                let request = Request::Authenticate {
                    control: Control::CheckOnly,
                    challenge: BOGUS,
                    application: *application,
                    key_handle: entry.id.clone(),
                };
                // Everything else is a no: the words for it differ from key to key.
                if self.u2f_message(&request, false, cancel).await? == Err(StatusWord::ConditionsNotSatisfied) {
                    return Ok(Some((&entry.id, *application)));
                }
            }
        }
        Ok(None)
    }

    /// Makes the key blink until it is touched, by a registration that nobody wants.
    pub(crate) async fn u2f_touch(&mut self, cancel: &Cancel) -> Result<(), Cause> {
        let request = Request::Register { challenge: BOGUS, application: BOGUS };
        self.u2f_after_touch(&request, cancel).await.map(|_| ())
    }

    /// U2F_REGISTER, as pages had it before WebAuthn (FIDO U2F Raw Message Formats 1.2 §4), once the key has been touched. `application` is the
    /// SHA-256 of the AppID, `challenge` that of the client data.
    ///
    /// # Errors
    /// What the key answers otherwise: a key that speaks no U2F, one that is not touched in time, a channel that ends.
    pub async fn register_by_u2f(
        &mut self,
        application: [u8; 32],
        challenge: [u8; 32],
        cancel: &Cancel,
    ) -> Result<Registration, Cause> {
        let data = self.u2f_after_touch(&Request::Register { challenge, application }, cancel).await?;
        Ok(Registration::decode(&data).map_err(InvalidU2fResponse::Malformed)?)
    }

    /// U2F_REGISTER, and what CTAP2 would have answered (WebAuthn Level 3 §8.6).
    pub(crate) async fn u2f_register(
        &mut self,
        application: [u8; 32],
        challenge: [u8; 32],
        cancel: &Cancel,
    ) -> Result<make_credential::Response, Cause> {
        let registration = self.register_by_u2f(application, challenge, cancel).await?;
        let public_key = registration.cose_key().ok_or(InvalidU2fResponse::PublicKey)?;
        let authenticator_data = AuthenticatorData {
            rp_id_hash: application,
            flags: Flags(Flags::UP.0 | Flags::AT.0),
            counter: 0,
            attested_credential_data: Some(AttestedCredentialData {
                aaguid: Aaguid::default(),
                credential_id: registration.key_handle,
                public_key: public_key.to_cose(),
            }),
            extensions: None,
        };
        let Registration { signature, certificate, .. } = registration;
        Ok(make_credential::Response {
            authenticator_data: authenticator_data.encode(),
            statement: Statement::FidoU2f { signature, certificate },
            enterprise_attestation: None,
            large_blob_key: None,
        })
    }

    /// U2F_AUTHENTICATE, and what CTAP2 would have answered (WebAuthn Level 3 §6.1.2).
    pub(crate) async fn u2f_authenticate(
        &mut self,
        key_handle: &[u8],
        application: [u8; 32],
        challenge: [u8; 32],
        cancel: &Cancel,
    ) -> Result<get_assertion::Response, Cause> {
        let control = Control::EnforceUserPresenceAndSign;
        let request = Request::Authenticate { control, challenge, application, key_handle: key_handle.to_vec() };
        let data = self.u2f_after_touch(&request, cancel).await?;
        let Authentication { user_presence, counter, signature } =
            Authentication::decode(&data).map_err(InvalidU2fResponse::Malformed)?;
        let authenticator_data = AuthenticatorData {
            rp_id_hash: application,
            flags: Flags(user_presence & Flags::UP.0),
            counter,
            attested_credential_data: None,
            extensions: None,
        };
        Ok(get_assertion::Response {
            credential: Some(CredentialDescriptor::public_key(key_handle.to_vec())),
            authenticator_data: authenticator_data.encode(),
            signature,
            user: None,
            number_of_credentials: None,
            user_selected: None,
            large_blob_key: None,
        })
    }

    /// Sends a request until the key has been touched.
    async fn u2f_after_touch(&mut self, request: &Request, cancel: &Cancel) -> Result<Vec<u8>, Cause> {
        let mut again = false;
        loop {
            match self.u2f_message(request, again, cancel).await? {
                Ok(data) => return Ok(data),
                Err(StatusWord::ConditionsNotSatisfied) => self.blinks(),
                Err(word) => return Err(Cause::U2f { operation: name(request), word }),
            }
            again = true;
            let mut cancelled = cancel.clone();
            tokio::select! {
                () = sleep(INTERVAL) => {}
                () = cancelled.requested() => return Err(ChannelError::CancelledUnsent.into()),
            }
        }
    }

    /// One message and its answer. `again`: as the last one, which it takes the place of in what is remembered.
    async fn u2f_message(
        &mut self,
        request: &Request,
        again: bool,
        cancel: &Cancel,
    ) -> Result<Result<Vec<u8>, StatusWord>, Cause> {
        if cancel.is_requested() {
            return Err(ChannelError::CancelledUnsent.into());
        }
        // CTAPHID carries the extended encoding (U2F HID Protocol 1.2 §3.1).
        let response = self.transact_u2f(request.encode(Encoding::Extended), again).await?;
        Ok(parse_response(&response).map(<[u8]>::to_vec))
    }
}

fn name(request: &Request) -> &'static str {
    match request {
        Request::Register { .. } => "U2F_REGISTER",
        Request::Authenticate { .. } => "U2F_AUTHENTICATE",
        Request::Version => "U2F_VERSION",
    }
}

#[cfg(test)]
mod tests;
