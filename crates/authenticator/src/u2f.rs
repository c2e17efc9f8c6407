//! CTAP1/U2F (FIDO U2F Raw Message Formats 1.2; CTAP 2.3 §10): register, authenticate, version.
//!
//! Its touch is a latch: a request that wants one and finds none is refused at once, and repeated by the client. A key that was
//! asked a moment ago counts as waiting; a touch is kept for a while, and the request that succeeds by it takes it away. It is
//! for the channel that asked: another is not waited for meanwhile, and does not get it.
//!
//! A key handle is the id of a credential that lives in it, so what was registered here logs in over CTAP2 as well, under the
//! RP ID whose hash is the application parameter, and what was made there logs in here.

use core::time::Duration;

use keyrig_ctap::authenticator_data::{AuthenticatorData, Flags};
use keyrig_ctap::cose::{Algorithm, PublicKey};
use keyrig_ctap::extensions::CredentialProtection;
use keyrig_ctap::u2f::{Authentication, Control, Request, StatusWord, VERSION};

use crate::authenticator::Authenticator;
use crate::channel::Channel;
use crate::credential::Properties;
use crate::environment::{Sealed, U2fRegistration};
use crate::presence::{Presence, Reason, Waiting};
use crate::private_key::PrivateKey;
use crate::progress::Progress;
use crate::sealing::{seal, seal_registration};

/// The longest key handle: its length is one byte.
const MAX_KEY_HANDLE: usize = 255;

impl Authenticator {
    /// What CTAP1/U2F waits for at `now`: a request that wanted a touch came a moment ago, and none has satisfied it.
    #[must_use]
    pub fn u2f_waiting(&self, now: Duration) -> Option<Waiting> {
        self.memory.u2f_presence.waiting_at(now)
    }

    /// The user touched the key. Without a request that waits for it a touch means nothing.
    pub fn touch_u2f(&mut self, now: Duration) {
        self.memory.u2f_presence.touch(now);
    }

    /// Whether there is a touch for this: it is taken.
    fn takes_touch(&mut self, channel: Channel, reason: Reason, now: Duration) -> bool {
        self.memory.u2f_presence.take_touch(channel, now) || self.needs_no_touch(reason, now)
    }

    /// The user refused. The protocol has no word for it: the key waits for nothing until it is asked again.
    pub fn deny_u2f(&mut self) {
        self.memory.u2f_presence = Presence::default();
    }
}

pub(crate) fn start(authenticator: &mut Authenticator, channel: Channel, message: &[u8], now: Duration) -> Progress {
    let result = if authenticator.profile.has_u2f() {
        Request::decode(message).and_then(|request| answer(authenticator, channel, request, now))
    } else {
        Err(StatusWord::InsNotSupported)
    };
    result.unwrap_or_else(|word| Progress::DoneU2f(Err(word)))
}

fn answer(
    authenticator: &mut Authenticator,
    channel: Channel,
    request: Request,
    now: Duration,
) -> Result<Progress, StatusWord> {
    match request {
        Request::Version => Ok(Progress::DoneU2f(Ok(VERSION.as_bytes().to_vec()))),
        // U2F cannot verify a user (CTAP 2.3 §7.2.4).
        _ if authenticator.always_uv() => Err(StatusWord::CommandNotAllowed),
        Request::Register { challenge, application } => {
            if !authenticator.takes_touch(channel, Reason::U2fRegister, now) {
                let presence = &mut authenticator.memory.u2f_presence;
                return Err(presence.wait_for_touch(channel, Reason::U2fRegister, now));
            }
            register(authenticator, &challenge, &application).map(|data| Progress::DoneU2f(Ok(data)))
        }
        Request::Authenticate { control, challenge, application, key_handle } => {
            let private_key = find(authenticator, &application, &key_handle).ok_or(StatusWord::WrongData)?;
            let reason = Reason::U2fAuthenticate;
            let user_present = match control {
                Control::CheckOnly => return Err(StatusWord::ConditionsNotSatisfied),
                Control::DontEnforceUserPresenceAndSign => authenticator.takes_touch(channel, reason, now),
                Control::EnforceUserPresenceAndSign if authenticator.takes_touch(channel, reason, now) => true,
                Control::EnforceUserPresenceAndSign => {
                    return Err(authenticator.memory.u2f_presence.wait_for_touch(channel, reason, now));
                }
            };
            let counted = authenticator.count(&application, &key_handle);
            let (counter, changes) = counted.map_err(|_| StatusWord::UnknownError)?;
            Ok(Progress::commit(changes, move |authenticator, _| {
                Progress::DoneU2f(authenticate(
                    authenticator,
                    &private_key,
                    application,
                    &challenge,
                    counter,
                    user_present,
                ))
            }))
        }
    }
}

/// Makes a credential that lives in its key handle.
fn register(
    authenticator: &mut Authenticator,
    challenge: &[u8; 32],
    application: &[u8; 32],
) -> Result<Vec<u8>, StatusWord> {
    let behaviour = &authenticator.profile.behaviour;
    let length = behaviour.key_handle_length.unwrap_or(behaviour.credential_id_length).bytes().min(MAX_KEY_HANDLE);
    let secret = authenticator.store().secret().clone();
    let (key_handle, private_key) =
        secret.make(authenticator.environment.as_mut(), application, Algorithm::Es256, Properties::default(), length);
    let crypto = authenticator.environment.crypto();
    let Ok(PublicKey::Es256 { x, y }) = crypto.public_key(&private_key) else {
        return Err(StatusWord::UnknownError);
    };
    let mut public_key = [4; 65];
    for (to, from) in public_key.iter_mut().skip(1).zip(x.into_iter().chain(y)) {
        *to = from;
    }
    let registration = U2fRegistration { application: *application, challenge: *challenge, key_handle, public_key };
    let attestation = &authenticator.attestation;
    let (key, certificate) = (attestation.private_key(), attestation.u2f_certificate().to_vec());
    let sealed = seal_registration(authenticator.environment.as_mut(), registration, key, certificate);
    sealed.map(|registration| registration.encode()).map_err(|_| StatusWord::UnknownError)
}

/// The private key behind a key handle, if it may be used without user verification: a key handle is an allow list of one, so
/// only `userVerificationRequired` is in the way (CTAP 2.3 §12.1).
fn find(authenticator: &Authenticator, application: &[u8; 32], key_handle: &[u8]) -> Option<PrivateKey> {
    let found = authenticator.store().open(application, key_handle)?;
    let usable = found.private_key.algorithm() == Algorithm::Es256
        && found.properties.protection != CredentialProtection::UserVerificationRequired;
    usable.then_some(found.private_key)
}

/// Signs what WebAuthn signs, too: application parameter, user presence byte and counter are authenticator data of 37 bytes
/// (CTAP 2.3 §10.3).
fn authenticate(
    authenticator: &mut Authenticator,
    private_key: &PrivateKey,
    application: [u8; 32],
    challenge: &[u8; 32],
    counter: u32,
    user_present: bool,
) -> Result<Vec<u8>, StatusWord> {
    let data = AuthenticatorData {
        rp_id_hash: application,
        flags: Flags::default().with_if(Flags::UP, user_present),
        counter,
        attested_credential_data: None,
        extensions: None,
    };
    let sealed = seal(authenticator.environment.as_mut(), data, challenge, Some(private_key))
        .map_err(|_| StatusWord::UnknownError)?;
    // Sealing may have changed what it was given, so the answer is cut from what was signed.
    let rest = sealed.authenticator_data.get(application.len()..).and_then(|rest| rest.first_chunk::<5>());
    let (Some([user_presence, counter @ ..]), Some(signature)) = (rest, sealed.signature) else {
        return Err(StatusWord::UnknownError);
    };
    let mut authentication =
        Authentication { user_presence: *user_presence, counter: u32::from_be_bytes(*counter), signature };
    authenticator.environment.after_sealing(Sealed::U2fAuthentication(&mut authentication));
    Ok(authentication.encode())
}
