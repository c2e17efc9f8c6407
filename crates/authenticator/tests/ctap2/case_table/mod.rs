//! Case tables: what makes a difference to a command, crossed, and the status that the specification has for each case, computed
//! by a function that was written from its text. The driver asserts after every case that memory equals disk and that a refusal
//! has changed nothing; what a success has changed is asserted here.
//!
//! Dimensions are crossed exhaustively where they meet in the specification's steps, and iterated where they do not.

mod client_pin;
mod get_assertion;
mod make_credential;

use keyrig_authenticator::Profile;

use crate::support::codec::{Parameters, bytes, int, status};
use crate::support::platform::{Platform, Token, permission};
use crate::support::{Driver, Records, User, altered, built_in};

const PIN: &str = "1234";
const SITE: &str = "example.com";
const OTHER_SITE: &str = "example.org";

const USERS: [User; 4] = [User::Touches, User::Denies, User::Cancels, User::StaysAway];

/// The option of a request, absent or not.
const OPTION: [Option<bool>; 3] = [None, Some(false), Some(true)];

/// A kind of key, and what of its getInfo makes a difference.
struct Model {
    name: &'static str,
    profile: Profile,
    always_uv: bool,
    make_cred_uv_not_rqd: bool,
    /// `pinUvAuthToken`: tokens have permissions.
    permissions: bool,
    /// `pinUvAuthProtocols`.
    protocols: &'static [i64],
    /// Whether the user's consent comes before it is said that there is no credential, and in which status that is said.
    consent_first: bool,
    unknown_credential: u8,
    /// The answer to a `pinUvAuthParam` while no PIN is set.
    without_pin: u8,
    /// The answer to one of no bytes, after the touch, while a PIN is set.
    probe_with_pin: u8,
    /// The answer if no touch comes.
    timeout: u8,
    /// The answer to `uv` = true beside a `pinUvAuthParam`, if that is refused.
    uv_with_param: Option<u8>,
    /// Whether `uv` means nothing.
    ignores_uv: bool,
    /// The answer to `rk` = true of getAssertion, and whether `rk` = false is taken.
    rk: u8,
    takes_rk_false: bool,
}

fn models() -> [Model; 7] {
    let model = |name, profile, always_uv, make_cred_uv_not_rqd, permissions| Model {
        name,
        profile,
        always_uv,
        make_cred_uv_not_rqd,
        permissions,
        protocols: &[2, 1],
        consent_first: true,
        unknown_credential: status::NO_CREDENTIALS,
        without_pin: status::PIN_AUTH_INVALID,
        probe_with_pin: status::PIN_INVALID,
        timeout: status::OPERATION_DENIED,
        uv_with_param: None,
        ignores_uv: false,
        rk: status::UNSUPPORTED_OPTION,
        takes_rk_false: false,
    };
    // What is recorded of YubiKeys, and reported.
    let yubico = |model| Model {
        without_pin: status::PIN_NOT_SET,
        probe_with_pin: status::PIN_AUTH_INVALID,
        uv_with_param: Some(status::INVALID_OPTION),
        ..model
    };
    let always_uv = altered(&[("alwaysUv = false", "alwaysUv = true")]);
    [
        model("keyrig", built_in("keyrig"), false, true, true),
        // alwaysUv makes makeCredUvNotRqd false (CTAP 2.3 §6.1.2 step 6).
        model("keyrig with alwaysUv", always_uv, true, false, true),
        yubico(model("yubikey-5.7", built_in("yubikey-5.7"), false, true, true)),
        Model {
            timeout: status::USER_ACTION_TIMEOUT,
            ..yubico(model("yubikey-5.4", built_in("yubikey-5.4"), false, false, false))
        },
        Model {
            protocols: &[1],
            consent_first: false,
            unknown_credential: status::INVALID_CREDENTIAL,
            timeout: status::ACTION_TIMEOUT,
            uv_with_param: None,
            ignores_uv: true,
            rk: status::INVALID_OPTION,
            takes_rk_false: true,
            ..yubico(model("security-key-5.1", built_in("security-key-5.1"), false, false, false))
        },
        // CTAP 2.1 §6.2.2 step 7 is before the consent, CTAP 2.0 §5.2 step 8 after it.
        Model { consent_first: false, ..model("ctap-2.1", built_in("ctap-2.1"), false, true, true) },
        Model { protocols: &[1], ..model("ctap-2.0", built_in("ctap-2.0"), false, false, false) },
    ]
}

/// A `pinUvAuthParam`, by how it came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Auth {
    Absent,
    /// Of no bytes.
    Empty,
    /// By a token of this protocol, with the permission and for the site.
    Good(i64),
    /// The same with a bit flipped.
    Altered(i64),
    /// By a token of a good PIN that has another permission.
    OtherPermission,
    /// By a token for another site.
    OtherSite,
    /// By a token before the last.
    Replaced,
    /// Good, without `pinUvAuthProtocol`.
    NoProtocol,
    /// Good, with a protocol that no key has.
    UnknownProtocol,
}

const AUTHS: [Auth; 11] = [
    Auth::Absent,
    Auth::Empty,
    Auth::Good(1),
    Auth::Good(2),
    Auth::Altered(1),
    Auth::Altered(2),
    Auth::OtherPermission,
    Auth::OtherSite,
    Auth::Replaced,
    Auth::NoProtocol,
    Auth::UnknownProtocol,
];

impl Auth {
    /// Whether keys of this model can be asked so.
    fn is_possible(self, model: &Model) -> bool {
        match self {
            Self::OtherPermission | Self::OtherSite => model.permissions,
            Self::Good(protocol) | Self::Altered(protocol) => model.protocols.contains(&protocol),
            _ => true,
        }
    }

    /// The token that the request is to be authenticated by. Without a PIN there is none: then it is of zeros.
    fn token(self, key: &mut Driver, model: &Model, pin: bool, wanted: i64) -> Token {
        let protocol = match self {
            Self::Good(protocol) | Self::Altered(protocol) => protocol,
            _ => model.protocols[0],
        };
        if !pin {
            return Token { protocol, bytes: vec![0; 32] };
        }
        let mut issue = |permissions, site| match model.permissions {
            true => key.token(protocol, PIN, permissions, Some(site)).unwrap(),
            false => key.pin_token(protocol, PIN).unwrap(),
        };
        match self {
            Self::OtherPermission => issue((permission::MC | permission::GA) & !wanted, SITE),
            Self::OtherSite => issue(wanted, OTHER_SITE),
            Self::Replaced => {
                let token = issue(wanted, SITE);
                issue(wanted, SITE);
                token
            }
            _ => issue(wanted, SITE),
        }
    }

    /// The parameters with `pinUvAuthParam` and `pinUvAuthProtocol` at these numbers.
    fn add_to(self, parameters: Parameters, token: &Token, hash: i64, param: i64, protocol: i64) -> Parameters {
        let mut authenticated = token.authenticate(&parameters.hash(hash));
        match self {
            Self::Absent => return parameters,
            Self::Empty => authenticated.clear(),
            Self::Altered(_) => authenticated[0] ^= 1,
            _ => {}
        }
        let parameters = parameters.with(param, bytes(&authenticated));
        match self {
            Self::NoProtocol => parameters,
            Self::UnknownProtocol => parameters.with(protocol, int(3)),
            _ => parameters.with(protocol, int(token.protocol)),
        }
    }

    /// Whether the user is verified by it. A key of before permissions has one token from power-up on, which every getPinToken
    /// returns (CTAP 2.0 §5.5.2): there is none before the last.
    fn verifies(self, model: &Model, pin: bool) -> bool {
        pin && (matches!(self, Self::Good(_)) || self == Self::Replaced && !model.permissions)
    }

    /// Step 2 of both ceremonies: what is wrong with the protocol.
    fn protocol_error(self) -> Option<u8> {
        match self {
            Self::NoProtocol => Some(status::MISSING_PARAMETER),
            Self::UnknownProtocol => Some(status::INVALID_PARAMETER),
            _ => None,
        }
    }
}

/// What is to come of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Expected {
    status: u8,
    /// The user is asked for a touch.
    touch: bool,
}

impl Model {
    /// The option `uv`, of both ceremonies: no key here has built-in user verification.
    fn uv_error(&self, uv: Option<bool>, param: bool) -> Option<u8> {
        match (uv, param) {
            (Some(true), true) => self.uv_with_param,
            (Some(true), false) if !self.ignores_uv => Some(status::INVALID_OPTION),
            _ => None,
        }
    }
}

impl Expected {
    /// A refusal before anybody is asked.
    fn at_once(status: u8) -> Self {
        Self { status, touch: false }
    }

    /// This status once the user has touched; what else comes of a ceremony's touch is the same everywhere (CTAP 2.3 §6.1.2
    /// step 14, §6.2.2 step 9).
    fn after_touch(user: User, status: u8, model: &Model) -> Self {
        let status = match user {
            User::Touches | User::IsAnother | User::IsSampled(_) => status,
            User::Denies => status::OPERATION_DENIED,
            User::StaysAway => model.timeout,
            User::Cancels => status::KEEPALIVE_CANCEL,
        };
        Self { status, touch: true }
    }

    /// Step 1 of both ceremonies: a `pinUvAuthParam` of no bytes.
    fn of_a_probe(user: User, pin: bool, model: &Model) -> Self {
        Self::after_touch(user, if pin { model.probe_with_pin } else { status::PIN_NOT_SET }, model)
    }
}

/// A disk on which two credentials live, one of them discoverable, with or without a PIN.
struct Prepared {
    disk: Records,
    non_discoverable: Vec<u8>,
    discoverable: Vec<u8>,
}

impl Prepared {
    fn new(profile: &Profile, pin: bool, protocol: i64) -> Self {
        let mut key = Driver::of(profile.clone());
        let non_discoverable = key.create(&Parameters::make_credential(SITE, "guest")).id;
        let discoverable = key.create(&Parameters::discoverable(SITE, "root")).id;
        if pin {
            set_pin(&mut key, protocol);
        }
        Self { disk: key.disk.clone(), non_discoverable, discoverable }
    }

    /// A new key with what is on the disk.
    fn key(&self, model: &Model) -> Driver {
        Driver::on(self.disk.clone(), model.profile.clone(), 9)
    }

    /// The disk's key for each model: credentials are made without alwaysUv, which would want a PIN first.
    fn for_model(model: &Model, pin: bool) -> Self {
        let keyrig = built_in("keyrig");
        let profile = if model.always_uv { &keyrig } else { &model.profile };
        Self::new(profile, pin, model.protocols[0])
    }
}

fn set_pin(key: &mut Driver, protocol: i64) {
    let request = Platform::agree(key, protocol).set_pin(PIN.as_bytes());
    assert_eq!(key.client_pin(&request), status::OK);
}

fn touches(key: &Driver) -> bool {
    key.seen.iter().any(|event| matches!(event, crate::support::Event::Gesture(_)))
}
