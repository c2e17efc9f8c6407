//! For tests: a key that answers by a script, and answers that the specification gives.

use keyrig_ctap::attestation::Statement;
use keyrig_ctap::client_pin::{self, Permissions};
use keyrig_ctap::cose::KeyAgreementKey;
use keyrig_ctap::entities::{CredentialDescriptor, User};
use keyrig_ctap::hid::{ErrorCode, KeepaliveStatus};
use keyrig_ctap::u2f;
use keyrig_ctap::{Command, Request, Response, Status, get_assertion, get_info, make_credential};
use p256::SecretKey;
use p256::elliptic_curve::sec1::ToSec1Point;
use sha2::{Digest, Sha256};
use tokio::sync::Notify;

use core::future::pending;
use std::sync::{Arc, Mutex};

use crate::channel::{Cancel, Channel, ChannelError};
use crate::key::{Exchange, Key};
use crate::pin_uv_auth_protocol::PinUvAuthProtocol;
use crate::randomness::{self, SystemRandomness};
use crate::{Client, Origin};

/// The operating system's randomness.
pub(crate) fn system() -> randomness::Shared {
    Arc::new(SystemRandomness)
}

/// WebAuthn Level 3 §16.1: all its vectors are for this site.
pub(crate) const ORIGIN: &str = "https://example.org";

/// §16.2, "ES256 Credential with No Attestation": the credential.
pub(crate) const CREDENTIAL_ID: &str = "f91f391db4c9b2fde0ea70189cba3fb63f579ba6122b33ad94ff3ec330084be4";
const AAGUID: &str = "8446ccb9ab1db374750b2367ff6f3a1f";
pub(crate) const PUBLIC_KEY_X: &str = "afefa16f97ca9b2d23eb86ccb64098d20db90856062eb249c33a9b672f26df61";
pub(crate) const PUBLIC_KEY_Y: &str = "930a56b87a2fca66334b03458abf879717c12cc68ed73290af2e2664796b9220";
const RP_ID_HASH: &str = "bfabc37432958b063360d3ad6461c9c4735ae7f8edd46592a5e0f01452b2e4b5";

/// §16.2: the attestation object, `none`.
pub(crate) const ATTESTATION_OBJECT: &str = "a363666d74646e6f6e656761747453746d74a068617574684461746158a4bfabc37432958b063360d3ad6461c9c4735ae7f8edd46592a5e0f0\
     1452b2e4b559000000008446ccb9ab1db374750b2367ff6f3a1f0020f91f391db4c9b2fde0ea70189cba3fb63f579ba6122b33ad94ff3ec3300\
     84be4a5010203262001215820afefa16f97ca9b2d23eb86ccb64098d20db90856062eb249c33a9b672f26df61225820930a56b87a2fca66334b\
     03458abf879717c12cc68ed73290af2e2664796b9220";

/// §16.2: the assertion.
pub(crate) const ASSERTION_CHALLENGE: &str = "39c0e7521417ba54d43e8dc95174f423dee9bf3cd804ff6d65c857c9abf4d408";
pub(crate) const ASSERTION_CLIENT_DATA_JSON: &str = r#"{"type":"webauthn.get","challenge":"OcDnUhQXulTUPo3JUXT0I97pvzzYBP9tZchXyav01Ag","origin":"https://example.org","crossOrigin":false}"#;
pub(crate) const ASSERTION_AUTHENTICATOR_DATA: &str =
    "bfabc37432958b063360d3ad6461c9c4735ae7f8edd46592a5e0f01452b2e4b51900000000";
pub(crate) const ASSERTION_SIGNATURE: &str = "3046022100f50a4e2e4409249c4a853ba361282f09841df4dd4547a13a87780218deffcd380221008480ac0f0b93538174f575bf11a1dd5d78c6\
     e486013f937295ea13653e331e87";

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap()
}

pub(crate) fn client() -> Client {
    Client::new(ORIGIN.parse::<Origin>().unwrap())
}

/// §16.2's authenticator data, with other flags, RP ID hash or AAGUID if wanted.
pub(crate) fn attested_data(rp_id_hash: &str, flags: u8, aaguid: &str) -> Vec<u8> {
    let key = format!("a5010203262001215820{PUBLIC_KEY_X}225820{PUBLIC_KEY_Y}");
    unhex(&format!("{rp_id_hash}{flags:02x}00000000{aaguid}0020{CREDENTIAL_ID}{key}"))
}

pub(crate) fn made() -> make_credential::Response {
    make_credential::Response {
        authenticator_data: attested_data(RP_ID_HASH, 0x59, AAGUID),
        statement: Statement::None,
        enterprise_attestation: None,
        large_blob_key: None,
    }
}

pub(crate) fn signed() -> get_assertion::Response {
    get_assertion::Response {
        credential: Some(CredentialDescriptor::public_key(unhex(CREDENTIAL_ID))),
        authenticator_data: unhex(ASSERTION_AUTHENTICATOR_DATA),
        signature: unhex(ASSERTION_SIGNATURE),
        user: None,
        number_of_credentials: None,
        user_selected: None,
        large_blob_key: None,
    }
}

pub(crate) fn account(id: u8) -> get_assertion::Response {
    get_assertion::Response {
        credential: Some(CredentialDescriptor::public_key(vec![id])),
        user: Some(User { id: vec![id], name: None, display_name: None }),
        ..signed()
    }
}

/// A key of today without a PIN, with room for lists of 8 and ids of 64 bytes.
pub(crate) fn info() -> get_info::Response {
    get_info::Response {
        versions: vec!["FIDO_2_0".to_owned(), "FIDO_2_1".to_owned()],
        options: vec![("rk".to_owned(), true), ("up".to_owned(), true), ("clientPin".to_owned(), false)],
        max_msg_size: Some(1200),
        max_credential_count_in_list: Some(8),
        max_credential_id_length: Some(64),
        transports: vec!["usb".to_owned()],
        ..get_info::Response::default()
    }
}

/// What a scripted key does about a request.
pub(crate) enum Reply {
    /// It answers at once.
    Now(Vec<u8>),
    /// It asks for a touch, and answers after it, or `CTAP2_ERR_KEEPALIVE_CANCEL` if it is cancelled first.
    AfterTouch(Vec<u8>),
    /// It says nothing, and does not listen to a cancel either.
    Silence,
    /// It blinks until it is touched, and is pulled out instead.
    Unplugged,
}

pub(crate) fn ok(response: Response) -> Vec<u8> {
    response.encode()
}

pub(crate) fn status(status: Status) -> Vec<u8> {
    vec![status.into()]
}

type Script = Box<dyn FnMut(&Request) -> Reply + Send>;

type U2fScript = Box<dyn FnMut(&u2f::Request) -> Vec<u8> + Send>;

pub(crate) struct Scripted {
    script: Script,
    finger: Arc<Notify>,
    u2f: Option<U2fScript>,
    ctap2: bool,
}

impl Channel for Scripted {
    async fn transact(
        &mut self,
        request: &[u8],
        mut cancel: Cancel,
        on_status: &mut (dyn FnMut(KeepaliveStatus) + Send),
    ) -> Result<Vec<u8>, ChannelError> {
        if !self.ctap2 {
            return Err(ChannelError::Refused(ErrorCode::InvalidCmd));
        }
        let request = Request::decode(request).expect("the client sends what can be decoded");
        on_status(KeepaliveStatus::Processing);
        match (self.script)(&request) {
            Reply::Now(response) => Ok(response),
            Reply::Silence => pending().await,
            reply => {
                // Twice: a key repeats itself every 80 ms.
                on_status(KeepaliveStatus::UpNeeded);
                on_status(KeepaliveStatus::UpNeeded);
                tokio::select! {
                    biased;
                    () = cancel.requested() => Ok(status(Status::KeepaliveCancel)),
                    () = self.finger.notified() => match reply {
                        Reply::AfterTouch(response) => Ok(response),
                        _ => Err(ChannelError::Unplugged),
                    },
                }
            }
        }
    }

    async fn transact_u2f(&mut self, apdu: &[u8]) -> Result<Vec<u8>, ChannelError> {
        let script = self.u2f.as_mut().ok_or(ChannelError::Refused(ErrorCode::InvalidCmd))?;
        Ok(script(&u2f::Request::decode(apdu).expect("the client sends what can be decoded")))
    }
}

/// A key that speaks U2F by a script, and nothing else.
pub(crate) fn u2f_only(name: &str, script: impl FnMut(&u2f::Request) -> Vec<u8> + Send + 'static) -> Key<Scripted> {
    let silent: Script = Box::new(|request| panic!("it was asked {request:?}"));
    let finger = Arc::new(Notify::new());
    Key::new(name, Scripted { script: silent, finger, u2f: Some(Box::new(script)), ctap2: false })
}

/// Teaches a key U2F besides.
pub(crate) fn and_u2f(
    mut key: Key<Scripted>,
    script: impl FnMut(&u2f::Request) -> Vec<u8> + Send + 'static,
) -> Key<Scripted> {
    key.channel_mut().u2f = Some(Box::new(script));
    key
}

/// A key that says `info` of itself and does everything else by a script. Touched by notifying what comes with it; a touch
/// before it is asked for counts.
pub(crate) fn key(
    name: &str,
    info: get_info::Response,
    mut script: impl FnMut(&Request) -> Reply + Send + 'static,
) -> (Key<Scripted>, Arc<Notify>) {
    let finger = Arc::new(Notify::new());
    let script: Script = Box::new(move |request| match request {
        Request::GetInfo => Reply::Now(ok(Response::GetInfo(Box::new(info.clone())))),
        other => script(other),
    });
    (Key::new(name, Scripted { script, finger: Arc::clone(&finger), u2f: None, ctap2: true }), finger)
}

/// A key that makes and signs once it is touched.
pub(crate) fn willing(name: &str) -> (Key<Scripted>, Arc<Notify>) {
    key(name, info(), |request| {
        Reply::AfterTouch(match request {
            Request::MakeCredential(_) => ok(Response::MakeCredential(Box::new(made()))),
            Request::GetAssertion(_) => ok(Response::GetAssertion(Box::new(signed()))),
            _ => ok(Response::Done),
        })
    })
}

/// Commands and the statuses that they were answered with.
pub(crate) fn story(key: &Key<Scripted>) -> Vec<(Command, Option<Status>)> {
    let told = |exchange: &Exchange| (exchange.command().unwrap(), exchange.status());
    key.exchanges().iter().map(told).collect()
}

pub(crate) fn requests(key: &Key<Scripted>) -> Vec<Request> {
    key.exchanges().iter().map(|exchange| Request::decode(&exchange.request).unwrap()).collect()
}

/// What a key of [`with_pin`] gives as its pinUvAuthToken.
pub(crate) const TOKEN: [u8; 32] = [0x77; 32];

/// What a key knows of its PIN, for tests to look at.
pub(crate) struct PinState {
    pub(crate) pin: Option<Vec<u8>>,
    pub(crate) retries: u64,
    pub(crate) wrong_in_a_row: u64,
    pub(crate) force_change: bool,
    /// PINs that it refuses by its policy.
    pub(crate) refuses: Vec<&'static str>,
    /// Subcommand, permissions and RP ID of every token that it gave.
    pub(crate) tokens: Vec<(client_pin::Subcommand, Option<Permissions>, Option<String>)>,
}

impl PinState {
    pub(crate) fn of(pin: Option<&str>) -> Self {
        Self {
            pin: pin.map(|pin| pin.as_bytes().to_vec()),
            retries: 8,
            wrong_in_a_row: 0,
            force_change: false,
            refuses: Vec::new(),
            tokens: Vec::new(),
        }
    }

    pub(crate) fn answer(&mut self, own: &SecretKey, request: &client_pin::Request) -> Vec<u8> {
        use client_pin::Subcommand;
        let respond = |response| ok(Response::ClientPin(Box::new(response)));
        match request.subcommand {
            Subcommand::GetPinRetries => respond(client_pin::Response {
                pin_retries: Some(self.retries),
                power_cycle_state: Some(self.wrong_in_a_row >= 3),
                ..client_pin::Response::default()
            }),
            Subcommand::GetKeyAgreement => {
                let point = own.public_key().to_sec1_point(false);
                let coordinate = |bytes: Option<&p256::FieldBytes>| (*bytes.unwrap()).into();
                let key_agreement = Some(KeyAgreementKey { x: coordinate(point.x()), y: coordinate(point.y()) });
                respond(client_pin::Response { key_agreement, ..client_pin::Response::default() })
            }
            _ => match self.change(own, request) {
                Ok(Some(token)) => {
                    respond(client_pin::Response { pin_uv_auth_token: Some(token), ..client_pin::Response::default() })
                }
                Ok(None) => ok(Response::Done),
                Err(refused) => status(refused),
            },
        }
    }

    /// The token, whatever proof of the user the request has.
    pub(crate) fn token(&mut self, own: &SecretKey, request: &client_pin::Request) -> Vec<u8> {
        let (_, secret) = PinUvAuthProtocol::Two.agree(own, &request.key_agreement.unwrap(), &system()).unwrap();
        let token = Some(secret.encrypt(&TOKEN).unwrap());
        let response = client_pin::Response { pin_uv_auth_token: token, ..client_pin::Response::default() };
        ok(Response::ClientPin(Box::new(response)))
    }

    /// Everything under a shared secret, as CTAP 2.3 §6.5.5.5 to §6.5.5.7 has it.
    fn change(&mut self, own: &SecretKey, request: &client_pin::Request) -> Result<Option<Vec<u8>>, Status> {
        use client_pin::Subcommand;
        let protocol =
            if request.pin_uv_auth_protocol == Some(1) { PinUvAuthProtocol::One } else { PinUvAuthProtocol::Two };
        let (_, secret) = protocol.agree(own, &request.key_agreement.unwrap(), &system()).unwrap();
        let param = request.pin_uv_auth_param.clone().unwrap_or_default();
        let new_pin_enc = request.new_pin_enc.clone().unwrap_or_default();
        let pin_hash_enc = request.pin_hash_enc.clone().unwrap_or_default();
        match request.subcommand {
            Subcommand::SetPin => {
                assert_eq!((param, &self.pin), (secret.authenticate(&new_pin_enc), &None));
            }
            Subcommand::ChangePin => {
                assert_eq!(param, secret.authenticate(&[&new_pin_enc[..], &pin_hash_enc].concat()));
                self.verify(&secret.decrypt(&pin_hash_enc).unwrap())?;
            }
            subcommand => {
                self.verify(&secret.decrypt(&pin_hash_enc).unwrap())?;
                if self.force_change {
                    return Err(Status::PinPolicyViolation);
                }
                self.tokens.push((subcommand, request.permissions, request.rp_id.clone()));
                return Ok(Some(secret.encrypt(&TOKEN).unwrap()));
            }
        }
        let padded = secret.decrypt(&new_pin_enc).unwrap();
        assert_eq!(padded.len(), 64);
        let length = padded.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        let new = padded[..length].to_vec();
        if self.refuses.iter().any(|refused| refused.as_bytes() == new)
            || (self.force_change && self.pin == Some(new.clone()))
        {
            return Err(Status::PinPolicyViolation);
        }
        self.pin = Some(new);
        self.force_change = false;
        Ok(None)
    }

    fn verify(&mut self, hash: &[u8]) -> Result<(), Status> {
        if self.retries == 0 {
            return Err(Status::PinBlocked);
        }
        if self.wrong_in_a_row >= 3 {
            return Err(Status::PinAuthBlocked);
        }
        if Sha256::digest(self.pin.as_ref().unwrap())[..16] == *hash {
            self.retries = 8;
            self.wrong_in_a_row = 0;
            return Ok(());
        }
        self.retries -= 1;
        self.wrong_in_a_row += 1;
        Err(match (self.retries, self.wrong_in_a_row) {
            (0, _) => Status::PinBlocked,
            (_, 3..) => Status::PinAuthBlocked,
            _ => Status::PinInvalid,
        })
    }
}

/// A key with a PIN or room for one. What it says of itself follows from `info` and its state; everything that is not about the
/// PIN it does by a script.
pub(crate) fn with_pin(
    name: &str,
    info: get_info::Response,
    state: PinState,
    mut script: impl FnMut(&Request) -> Reply + Send + 'static,
) -> (Key<Scripted>, Arc<Notify>, Arc<Mutex<PinState>>) {
    let state = Arc::new(Mutex::new(state));
    let shared = Arc::clone(&state);
    let own = SecretKey::from_slice(&[0x42; 32]).unwrap();
    let finger = Arc::new(Notify::new());
    let script: Script = Box::new(move |request| {
        let mut state = shared.lock().unwrap();
        match request {
            Request::GetInfo => {
                let mut info = info.clone();
                info.options.retain(|(option, _)| option != "clientPin");
                info.options.push(("clientPin".to_owned(), state.pin.is_some()));
                info.force_pin_change = Some(state.force_change);
                Reply::Now(ok(Response::GetInfo(Box::new(info))))
            }
            Request::ClientPin(request) => Reply::Now(state.answer(&own, request)),
            other => script(other),
        }
    });
    (Key::new(name, Scripted { script, finger: Arc::clone(&finger), u2f: None, ctap2: true }), finger, state)
}

/// What a key of CTAP 2.1 says of itself, that has a PIN or can have one.
pub(crate) fn pin_info() -> get_info::Response {
    let mut info = info();
    info.pin_uv_auth_protocols = vec![2, 1];
    info.options.push(("pinUvAuthToken".to_owned(), true));
    info
}
