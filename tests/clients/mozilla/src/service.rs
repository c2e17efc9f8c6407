//! Mozilla's client with transports of its own: it hears of keys from udev, opens their nodes, and has the user choose one of them.

use std::sync::mpsc::{self, channel};
use std::thread;

use authenticator::authenticatorservice::{AuthenticatorService, RegisterArgs, SignArgs};
use authenticator::ctap2::server::UserVerificationRequirement;
use authenticator::errors::AuthenticatorError;
use authenticator::statecallback::StateCallback;
use authenticator::{Pin, RegisterResult, SignResult, StatusUpdate};

use super::{Asked, FLAGS, PIN, id, login, ok, registration, user};

/// Longer than a ceremony takes, in milliseconds.
const PATIENCE: u64 = 30_000;

struct Keys(AuthenticatorService);

impl Keys {
    fn new() -> Self {
        let mut service = AuthenticatorService::new().expect("the service");
        service.add_detected_transports();
        Self(service)
    }

    fn run<T: Send + 'static>(
        &mut self,
        begin: impl FnOnce(
            &mut AuthenticatorService,
            mpsc::Sender<StatusUpdate>,
            StateCallback<authenticator::Result<T>>,
        ) -> authenticator::Result<()>,
    ) -> (authenticator::Result<T>, Asked) {
        let (status, updates) = channel();
        let user = thread::spawn(|| user(updates));
        let (result, results) = channel();
        let callback = StateCallback::new(Box::new(move |outcome| result.send(outcome).expect("it is awaited")));
        begin(&mut self.0, status, callback).expect("it begins");
        let outcome = results.recv().expect("an outcome");
        // Until then it goes on listening for keys.
        self.0.cancel().expect("it ends");
        (outcome, user.join().expect("the user"))
    }

    fn register(&mut self, args: RegisterArgs) -> (authenticator::Result<RegisterResult>, Asked) {
        self.run(|service, status, callback| service.register(PATIENCE, args, status, callback))
    }

    fn sign(&mut self, args: SignArgs) -> (authenticator::Result<SignResult>, Asked) {
        self.run(|service, status, callback| service.sign(PATIENCE, args, status, callback))
    }
}

/// Registers, and says with which key and among how many.
pub fn register() -> Vec<u8> {
    let (registered, asked) = Keys::new().register(registration("one", &[]));
    let registered = registered.expect("registered");
    let key = &registered.att_obj.auth_data.credential_data.as_ref().expect("a credential").aaguid;
    ok(&format!("register with {key:?}, {} to choose from", asked.choices));
    id(&registered)
}

/// Goes through what one does with a new key.
pub fn all() {
    let one = register();
    let mut keys = Keys::new();

    let (signed, asked) = keys.sign(login(&[one.clone()]));
    assert_eq!(signed.expect("signed").assertion.credentials.expect("which").id, one);
    assert_eq!(asked.pin, 0);
    ok("sign");

    let (refused, _) = keys.register(registration("two", &[one.clone()]));
    assert!(matches!(refused, Err(AuthenticatorError::CredentialExcluded)), "{refused:?}");
    ok("exclude list");

    let (set, _) = keys.run(|service, status, callback| service.set_pin(PATIENCE, Pin::new(PIN), status, callback));
    set.expect("a PIN");
    ok("set a PIN");

    let required = UserVerificationRequirement::Required;
    let (signed, asked) = keys.sign(SignArgs { user_verification_req: required, ..login(&[one]) });
    assert_eq!(signed.expect("signed").assertion.auth_data.flags & FLAGS, FLAGS);
    assert_eq!((asked.pin, &asked.wrong[..]), (1, &[Some(7)][..]), "one attempt of eight was wrong");
    ok("sign with the PIN, after a wrong one");
}
