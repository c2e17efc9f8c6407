//! authenticatorMakeCredential (CTAP 2.3 §6.1.2): key × PIN × pinUvAuthParam × rk × up × uv × what the user does, with the
//! algorithm and the exclude list iterated.

use sk_cbor::Value;

use super::{AUTHS, Auth, Expected, Model, OPTION, Prepared, SITE, USERS, models, touches};
use crate::support::User;
use crate::support::codec::{AT, Created, ES256, Parameters, UP, UV, algorithms, boolean, descriptors, status, text};
use crate::support::platform::permission;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ExcludeList {
    Absent,
    Stranger,
    NonDiscoverable,
    Discoverable,
}

/// RS256, which no key here has.
const UNKNOWN: i64 = -257;

/// What is iterated: algorithm and exclude list.
const ITERATED: [(i64, ExcludeList); 5] = [
    (ES256, ExcludeList::Absent),
    (ES256, ExcludeList::Stranger),
    (ES256, ExcludeList::NonDiscoverable),
    (ES256, ExcludeList::Discoverable),
    (UNKNOWN, ExcludeList::Absent),
];

#[derive(Clone, Copy, Debug)]
struct Case {
    pin: bool,
    auth: Auth,
    rk: Option<bool>,
    up: Option<bool>,
    uv: Option<bool>,
    algorithm: i64,
    exclude: ExcludeList,
    user: User,
}

impl Case {
    /// The steps of §6.1.2, for keys without built-in user verification and without enterprise attestation.
    fn expected(self, model: &Model) -> Expected {
        // Step 1.
        if self.auth == Auth::Empty {
            return Expected::of_a_probe(self.user, self.pin, model);
        }
        // Step 2.
        if let Some(error) = self.auth.protocol_error() {
            return Expected::at_once(error);
        }
        // Step 3.
        if self.algorithm == UNKNOWN {
            return Expected::at_once(status::UNSUPPORTED_ALGORITHM);
        }
        // Step 5: uv is taken as false beside a pinUvAuthParam; and no credential is made without a touch.
        if let Some(error) = model.uv_error(self.uv, self.auth != Auth::Absent) {
            return Expected::at_once(error);
        }
        if self.up == Some(false) {
            return Expected::at_once(status::INVALID_OPTION);
        }
        // Step 6.
        if model.always_uv && (!self.pin || self.auth == Auth::Absent) {
            return Expected::at_once(status::PUAT_REQUIRED);
        }
        // Steps 7 and 8.
        let touch_is_enough = model.make_cred_uv_not_rqd && self.rk != Some(true);
        if self.pin && self.auth == Auth::Absent && !touch_is_enough {
            return Expected::at_once(status::PUAT_REQUIRED);
        }
        // Step 11. Without a PIN there is no token: the step is for protected keys only, and a key that is none refuses a
        // pinUvAuthParam all the same, rather than answer as if it had verified nobody.
        if self.auth != Auth::Absent && !self.auth.verifies(model, self.pin) {
            return Expected::at_once(if self.pin { status::PIN_AUTH_INVALID } else { model.without_pin });
        }
        // Step 12: whatever the user does, unless the platform cancels.
        if matches!(self.exclude, ExcludeList::NonDiscoverable | ExcludeList::Discoverable) {
            let cancelled = self.user == User::Cancels;
            let status = if cancelled { status::KEEPALIVE_CANCEL } else { status::CREDENTIAL_EXCLUDED };
            return Expected { status, touch: true };
        }
        // Steps 14 to 18.
        Expected::after_touch(self.user, status::OK, model)
    }

    fn parameters(self, prepared: &Prepared) -> Parameters {
        let options = [("rk", self.rk), ("up", self.up), ("uv", self.uv)];
        let options: Vec<_> =
            options.into_iter().filter_map(|(name, value)| Some((text(name), boolean(value?)))).collect();
        let mut parameters = Parameters::make_credential(SITE, "new").with(4, algorithms(&[self.algorithm]));
        if !options.is_empty() {
            parameters = parameters.with(7, Value::map(options));
        }
        let excluded: &[u8] = match self.exclude {
            ExcludeList::Absent => return parameters,
            ExcludeList::Stranger => b"a stranger's credential",
            ExcludeList::NonDiscoverable => &prepared.non_discoverable,
            ExcludeList::Discoverable => &prepared.discoverable,
        };
        parameters.with(5, descriptors(&[b"another stranger's", excluded]))
    }

    fn run(self, model: &Model, prepared: &Prepared) {
        let context = format!("{}: {self:?}", model.name);
        let expected = self.expected(model);
        let mut key = prepared.key(model);
        let stored = key.authenticator.store().discoverable_count();
        let token = self.auth.token(&mut key, model, self.pin, permission::MC);
        let parameters = self.auth.add_to(self.parameters(prepared), &token, 1, 8, 9);
        key.user = self.user;
        let answer = key.send(&parameters.create());
        assert_eq!(Expected { status: answer[0], touch: touches(&key) }, expected, "{context}");
        let made = answer[0] == status::OK;
        if made {
            let verified = if self.auth.verifies(model, self.pin) { UV } else { 0 };
            let created = Created::read(&answer);
            assert_eq!(created.data.flags, UP | AT | verified, "{context}");
            crate::support::signature::verify_attestation(&created, &parameters);
        }
        let more = usize::from(made && self.rk == Some(true));
        assert_eq!(key.authenticator.store().discoverable_count(), stored + more, "{context}");
        if self.pin {
            assert_eq!(key.pin_retries(), (8, false), "{context}: no ceremony costs an attempt");
        }
    }
}

#[test]
fn make_credential() {
    let mut iterated = ITERATED.into_iter().cycle();
    let mut outcomes = std::collections::BTreeMap::<u8, usize>::new();
    for model in models() {
        for pin in [false, true] {
            let prepared = Prepared::for_model(&model, pin);
            for auth in AUTHS.into_iter().filter(|auth| auth.is_possible(&model)) {
                for [rk, up, uv] in options() {
                    let (algorithm, exclude) = iterated.next().unwrap();
                    for user in USERS {
                        let case = Case { pin, auth, rk, up, uv, algorithm, exclude, user };
                        // A user who is not asked makes no difference.
                        if user != User::Touches && !case.expected(&model).touch {
                            continue;
                        }
                        *outcomes.entry(case.expected(&model).status).or_default() += 1;
                        case.run(&model, &prepared);
                    }
                }
            }
        }
    }
    // Every status that a case can have was had, or the table tests less than it seems to.
    let had: Vec<u8> = outcomes.keys().copied().collect();
    let mut all = [
        status::OK,
        status::INVALID_PARAMETER,
        status::MISSING_PARAMETER,
        status::CREDENTIAL_EXCLUDED,
        status::UNSUPPORTED_ALGORITHM,
        status::OPERATION_DENIED,
        status::INVALID_OPTION,
        status::KEEPALIVE_CANCEL,
        status::PIN_INVALID,
        status::PIN_AUTH_INVALID,
        status::PIN_NOT_SET,
        status::PUAT_REQUIRED,
        status::USER_ACTION_TIMEOUT,
        status::ACTION_TIMEOUT,
    ];
    all.sort_unstable();
    assert_eq!(had, all, "{outcomes:?}");
}

/// rk, up and uv in every combination.
fn options() -> impl Iterator<Item = [Option<bool>; 3]> {
    OPTION.into_iter().flat_map(|rk| OPTION.into_iter().flat_map(move |up| OPTION.map(|uv| [rk, up, uv])))
}
