//! Mozilla's client registers, signs, is refused by an exclude list, sets a PIN and uses it, with the key at the address that
//! is the argument. The key is new, has no PIN, and is touched at once. Each step is a line on standard output; the first that
//! goes wrong ends the program with a panic. `nodes` in place of an address lets it find the keys that are plugged in, `register`
//! does that too and only registers.

mod device;
mod service;

use std::sync::mpsc::{self, Receiver, channel};
use std::thread;

use authenticator::authenticatorservice::{RegisterArgs, SignArgs};
use authenticator::crypto::COSEAlgorithm;
use authenticator::ctap2::attestation::AuthenticatorDataFlags;
use authenticator::ctap2::commands::client_pin::SetNewPin;
use authenticator::ctap2::commands::{CommandError, StatusCode};
use authenticator::ctap2::server::{
    AuthenticationExtensionsClientInputs, PublicKeyCredentialDescriptor, PublicKeyCredentialParameters,
    PublicKeyCredentialUserEntity, RelyingParty, ResidentKeyRequirement, Transport, UserVerificationRequirement,
};
use authenticator::errors::{AuthenticatorError, HIDError};
use authenticator::statecallback::StateCallback;
use authenticator::{FidoDevice, FidoDeviceIO, Pin, RegisterResult, SignResult, StatusPinUv, StatusUpdate, ctap2};

use device::Device;

const SITE: &str = "example.com";
const PIN: &str = "Zürich 8001";

/// What the user was asked for during a ceremony.
#[derive(Debug, Default, PartialEq)]
struct Asked {
    presence: usize,
    /// The keys that blinked to be chosen.
    choices: usize,
    pin: usize,
    /// The attempts left, each time a PIN was wrong.
    wrong: Vec<Option<u8>>,
    accounts: Vec<Vec<u8>>,
}

/// A user who touches, knows the PIN but types it wrong the first time that it is asked, and takes the second account.
fn user(status: Receiver<StatusUpdate>) -> Asked {
    let mut asked = Asked::default();
    for update in status {
        match update {
            StatusUpdate::PresenceRequired => asked.presence += 1,
            StatusUpdate::SelectDeviceNotice => asked.choices += 1,
            StatusUpdate::PinUvError(StatusPinUv::PinRequired(reply)) => {
                asked.pin += 1;
                reply.send(Pin::new("wrong")).expect("it waits");
            }
            StatusUpdate::PinUvError(StatusPinUv::InvalidPin(reply, left)) => {
                asked.wrong.push(left);
                reply.send(Pin::new(PIN)).expect("it waits");
            }
            StatusUpdate::SelectResultNotice(reply, users) => {
                asked.accounts = users.into_iter().map(|user| user.id).collect();
                reply.send(Some(1)).expect("it waits");
            }
            other => panic!("the user is told {other:?}"),
        }
    }
    asked
}

struct Ceremonies(Device);

impl Ceremonies {
    fn run<T: Send + 'static>(
        &mut self,
        ceremony: impl FnOnce(&mut Device, mpsc::Sender<StatusUpdate>, StateCallback<authenticator::Result<T>>),
    ) -> (authenticator::Result<T>, Asked) {
        let (status, updates) = channel();
        let user = thread::spawn(|| user(updates));
        let (result, results) = channel();
        let callback = StateCallback::new(Box::new(move |outcome| result.send(outcome).expect("it is awaited")));
        ceremony(&mut self.0, status, callback);
        (results.recv().expect("an outcome"), user.join().expect("the user"))
    }

    fn register(&mut self, args: RegisterArgs) -> (authenticator::Result<RegisterResult>, Asked) {
        self.run(|device, status, callback| {
            ctap2::register(device, args, status, callback, &|| true);
        })
    }

    fn sign(&mut self, args: SignArgs) -> (authenticator::Result<SignResult>, Asked) {
        self.run(|device, status, callback| {
            ctap2::sign(device, args, status, callback, &|| true);
        })
    }
}

fn registration(user: &str, exclude: &[Vec<u8>]) -> RegisterArgs {
    RegisterArgs {
        client_data_hash: [0xC0; 32],
        relying_party: RelyingParty { id: SITE.to_owned(), name: Some("Example".to_owned()) },
        origin: format!("https://{SITE}"),
        user: PublicKeyCredentialUserEntity {
            id: user.as_bytes().to_vec(),
            name: Some(user.to_owned()),
            display_name: None,
        },
        pub_cred_params: [COSEAlgorithm::RS256, COSEAlgorithm::ES256]
            .map(|alg| PublicKeyCredentialParameters { alg })
            .to_vec(),
        exclude_list: descriptors(exclude),
        user_verification_req: UserVerificationRequirement::Discouraged,
        resident_key_req: ResidentKeyRequirement::Discouraged,
        extensions: AuthenticationExtensionsClientInputs::default(),
        pin: None,
        use_ctap1_fallback: false,
    }
}

fn login(allow: &[Vec<u8>]) -> SignArgs {
    SignArgs {
        client_data_hash: [0x6E; 32],
        origin: format!("https://{SITE}"),
        relying_party_id: SITE.to_owned(),
        allow_list: descriptors(allow),
        user_verification_req: UserVerificationRequirement::Discouraged,
        user_presence_req: true,
        extensions: AuthenticationExtensionsClientInputs::default(),
        pin: None,
        use_ctap1_fallback: false,
    }
}

fn descriptors(ids: &[Vec<u8>]) -> Vec<PublicKeyCredentialDescriptor> {
    let descriptor = |id: &Vec<u8>| PublicKeyCredentialDescriptor { id: id.clone(), transports: vec![Transport::USB] };
    ids.iter().map(descriptor).collect()
}

fn id(registered: &RegisterResult) -> Vec<u8> {
    registered.att_obj.auth_data.credential_data.as_ref().expect("a credential").credential_id.clone()
}

fn ok(step: &str) {
    println!("ok {step}");
}

fn main() {
    let address = std::env::args().nth(1).expect("the address of a key");
    match address.as_str() {
        "nodes" => return service::all(),
        "register" => return drop(service::register()),
        _ => {}
    }
    let mut device = Device::connect(&address).expect("a socket");
    device.init().expect("a FIDO2 key");
    let mut ceremonies = Ceremonies(device);

    let (registered, asked) = ceremonies.register(registration("one", &[]));
    let registered = registered.expect("registered");
    let one = id(&registered);
    assert_eq!(asked, Asked { presence: 1, ..Asked::default() });
    assert_eq!(registered.att_obj.auth_data.flags & FLAGS, AuthenticatorDataFlags::USER_PRESENT);
    ok("register");

    let (signed, asked) = ceremonies.sign(login(&[one.clone()]));
    let signed = signed.expect("signed");
    let named = signed.assertion.credentials.unwrap_or_else(|| panic!("no credential is named"));
    assert_eq!(named.id, one);
    assert_eq!(signed.assertion.auth_data.flags, AuthenticatorDataFlags::USER_PRESENT);
    assert_eq!(asked.presence, 1);
    ok("sign");

    // More than fit into a request: the client looks for the one that is on the key, without a touch.
    let strangers: Vec<_> = (0..20).map(|byte| vec![byte; 50]).collect();
    let (refused, _) = ceremonies.register(registration("two", &[strangers.clone(), vec![one.clone()]].concat()));
    assert!(matches!(refused, Err(AuthenticatorError::CredentialExcluded)), "{refused:?}");
    let (registered, _) = ceremonies.register(registration("two", &strangers));
    registered.expect("strangers exclude nothing");
    ok("exclude list");

    let (refused, _) = ceremonies.sign(login(&strangers));
    assert!(has_no_credentials(&refused), "{refused:?}");
    let (signed, _) = ceremonies.sign(login(&[strangers, vec![one.clone()]].concat()));
    assert_eq!(signed.expect("signed").assertion.credentials.expect("which").id, one);
    ok("long allow list");

    let discoverable =
        |user| RegisterArgs { resident_key_req: ResidentKeyRequirement::Required, ..registration(user, &[]) };
    let (first, _) = ceremonies.register(discoverable("first"));
    let first = id(&first.expect("registered"));
    let (second, _) = ceremonies.register(discoverable("second"));
    second.expect("registered");
    let (signed, asked) = ceremonies.sign(login(&[]));
    assert_eq!(asked.accounts, [b"second".to_vec(), b"first".to_vec()], "newest first");
    assert_eq!(signed.expect("signed").assertion.credentials.expect("which").id, first);
    ok("two accounts");

    with_pin(&mut ceremonies, &one);
}

fn with_pin(ceremonies: &mut Ceremonies, one: &[u8]) {
    let device = &mut ceremonies.0;
    let secret = device.establish_shared_secret(&|| true).expect("a shared secret");
    device.send_cbor(&SetNewPin::new(&secret, &Pin::new(PIN))).expect("a PIN");
    let info = device.refresh_authenticator_info().expect("getInfo");
    assert_eq!(info.options.client_pin, Some(true));
    ok("set a PIN");

    let required = UserVerificationRequirement::Required;
    let (registered, asked) =
        ceremonies.register(RegisterArgs { user_verification_req: required, ..registration("verified", &[]) });
    assert_eq!(registered.expect("registered").att_obj.auth_data.flags & FLAGS, FLAGS);
    assert_eq!((asked.pin, &asked.wrong[..]), (1, &[Some(7)][..]), "one attempt of eight was wrong");
    ok("register with the PIN, after a wrong one");

    let (signed, asked) = ceremonies.sign(SignArgs {
        user_verification_req: required,
        pin: Some(Pin::new(PIN)),
        ..login(&[one.to_vec()])
    });
    assert_eq!(signed.expect("signed").assertion.auth_data.flags, FLAGS);
    assert_eq!((asked.pin, asked.wrong.len()), (0, 0));
    ok("sign with the PIN");
}

/// What says who was there, of the flags: somebody, and that it was the user.
const FLAGS: AuthenticatorDataFlags = AuthenticatorDataFlags::USER_PRESENT.union(AuthenticatorDataFlags::USER_VERIFIED);

fn has_no_credentials<T>(outcome: &authenticator::Result<T>) -> bool {
    use CommandError::StatusCode as Answered;
    matches!(outcome, Err(AuthenticatorError::HIDError(HIDError::Command(Answered(StatusCode::NoCredentials, _)))))
}
