//! authenticatorGetAssertion (CTAP 2.3 §6.2.2): key × PIN × pinUvAuthParam × rk × up × uv × what the user does, with the allow
//! list iterated.

use sk_cbor::Value;

use super::{AUTHS, Auth, Expected, Model, OPTION, Prepared, SITE, USERS, models, touches};
use crate::support::User;
use crate::support::codec::{Assertion, Parameters, UP, UV, boolean, descriptors, status, text};
use crate::support::platform::permission;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AllowList {
    /// A discoverable credential is found without.
    Absent,
    /// The same: an empty list is as none.
    Empty,
    Stranger,
    NonDiscoverable,
    Discoverable,
}

const ALLOW_LISTS: [AllowList; 5] =
    [AllowList::Absent, AllowList::Empty, AllowList::Stranger, AllowList::NonDiscoverable, AllowList::Discoverable];

#[derive(Clone, Copy, Debug)]
struct Case {
    pin: bool,
    auth: Auth,
    rk: Option<bool>,
    up: Option<bool>,
    uv: Option<bool>,
    allow: AllowList,
    user: User,
}

impl Case {
    /// The steps of §6.2.2, for keys without built-in user verification.
    fn expected(self, model: &Model) -> Expected {
        // Step 1.
        if self.auth == Auth::Empty {
            return Expected::of_a_probe(self.user, self.pin, model);
        }
        // Step 2.
        if let Some(error) = self.auth.protocol_error() {
            return Expected::at_once(error);
        }
        // Step 4.
        if let Some(error) = model.uv_error(self.uv, self.auth != Auth::Absent) {
            return Expected::at_once(error);
        }
        if self.rk == Some(true) || self.rk == Some(false) && !model.takes_rk_false {
            return Expected::at_once(model.rk);
        }
        // Step 5: not for a pre-flight.
        if model.always_uv && self.up != Some(false) && (!self.pin || self.auth == Auth::Absent) {
            return Expected::at_once(status::PUAT_REQUIRED);
        }
        // Step 6, as in makeCredential.
        if self.auth != Auth::Absent && !self.auth.verifies(model, self.pin) {
            return Expected::at_once(if self.pin { status::PIN_AUTH_INVALID } else { model.without_pin });
        }
        // Step 7, before the consent or after it; without user presence there is none to wait for.
        if self.allow == AllowList::Stranger {
            return match self.up {
                Some(true) | None if model.consent_first => {
                    Expected::after_touch(self.user, model.unknown_credential, model)
                }
                _ => Expected::at_once(model.unknown_credential),
            };
        }
        // Steps 9 to 13.
        match self.up {
            Some(false) => Expected::at_once(status::OK),
            _ => Expected::after_touch(self.user, status::OK, model),
        }
    }

    fn parameters(self, prepared: &Prepared) -> Parameters {
        let options = [("rk", self.rk), ("up", self.up), ("uv", self.uv)];
        let options: Vec<_> =
            options.into_iter().filter_map(|(name, value)| Some((text(name), boolean(value?)))).collect();
        let mut parameters = Parameters::get_assertion(SITE);
        if !options.is_empty() {
            parameters = parameters.with(5, Value::map(options));
        }
        let allowed: &[u8] = match self.allow {
            AllowList::Absent => return parameters,
            AllowList::Empty => return parameters.with(3, descriptors(&[])),
            AllowList::Stranger => b"a stranger's credential",
            AllowList::NonDiscoverable => &prepared.non_discoverable,
            AllowList::Discoverable => &prepared.discoverable,
        };
        parameters.with(3, descriptors(&[b"another stranger's", allowed]))
    }

    fn run(self, model: &Model, prepared: &Prepared) {
        let context = format!("{}: {self:?}", model.name);
        let expected = self.expected(model);
        let mut key = prepared.key(model);
        let token = self.auth.token(&mut key, model, self.pin, permission::GA);
        let parameters = self.auth.add_to(self.parameters(prepared), &token, 2, 6, 7);
        key.user = self.user;
        let answer = key.send(&parameters.get());
        assert_eq!(Expected { status: answer[0], touch: touches(&key) }, expected, "{context}");
        if answer[0] == status::OK {
            let assertion = Assertion::read(&answer);
            let verified = self.auth.verifies(model, self.pin);
            let present = if self.up == Some(false) { 0 } else { UP };
            assert_eq!(assertion.data.flags, present | if verified { UV } else { 0 }, "{context}");
            let non_discoverable = self.allow == AllowList::NonDiscoverable;
            let id = if non_discoverable { &prepared.non_discoverable } else { &prepared.discoverable };
            assert_eq!(&assertion.id, id, "{context}");
            // Of one account the handle alone (member 0x04); of a credential that lives in its own id nothing is known.
            let told = assertion.user.map(|user| user.len());
            assert_eq!(told, (!non_discoverable).then_some(1), "{context}");
        }
        if self.pin {
            assert_eq!(key.pin_retries(), (8, false), "{context}: no ceremony costs an attempt");
        }
    }
}

#[test]
fn get_assertion() {
    let mut iterated = ALLOW_LISTS.into_iter().cycle();
    let mut outcomes = std::collections::BTreeMap::<u8, usize>::new();
    for model in models() {
        for pin in [false, true] {
            let prepared = Prepared::for_model(&model, pin);
            for auth in AUTHS.into_iter().filter(|auth| auth.is_possible(&model)) {
                for rk in OPTION {
                    for up in OPTION {
                        for uv in OPTION {
                            let allow = iterated.next().unwrap();
                            for user in USERS {
                                let case = Case { pin, auth, rk, up, uv, allow, user };
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
        }
    }
    // Every status that a case can have was had, or the table tests less than it seems to.
    let had: Vec<u8> = outcomes.keys().copied().collect();
    let mut all = [
        status::OK,
        status::INVALID_PARAMETER,
        status::MISSING_PARAMETER,
        status::INVALID_CREDENTIAL,
        status::OPERATION_DENIED,
        status::UNSUPPORTED_OPTION,
        status::INVALID_OPTION,
        status::KEEPALIVE_CANCEL,
        status::NO_CREDENTIALS,
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
