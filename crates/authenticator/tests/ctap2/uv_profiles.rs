//! Built-in user verification of the keys that have it, as their profiles are: what is set up, a PIN, a token and how it was had, the
//! option, and what the user does, crossed; the status is computed from the specification's steps (CTAP 2.3 §6.1.2, §6.2.2) and what a
//! profile says otherwise.

use keyrig_authenticator::Profile;
use keyrig_ctap::bio_enrollment::Sample;

use crate::support::codec::{Assertion, Created, Parameters, UV, boolean, map, status};
use crate::support::platform::{Platform, Token, permission};
use crate::support::{Driver, User, altered_from, built_in};
use crate::user_verification::{Case, token_by_uv};

const PIN: &str = "1234";
const SITE: &str = "example.com";

/// A profile, and what of it makes a difference.
struct Model {
    profile: &'static str,
    always_uv: bool,
    make_cred_uv_not_rqd: bool,
    /// What it knows its user by is learnt.
    sensor: bool,
    /// Tokens have permissions, and are given by built-in user verification too.
    permissions: bool,
    protocol: i64,
    /// The answer to the option while nothing is set up.
    not_set_up: u8,
}

const MODELS: [Model; 3] = [
    Model {
        profile: "keyrig-uv",
        always_uv: false,
        make_cred_uv_not_rqd: true,
        sensor: false,
        permissions: true,
        protocol: 2,
        not_set_up: status::INVALID_OPTION,
    },
    Model {
        profile: "yubikey-bio-5.7",
        always_uv: true,
        make_cred_uv_not_rqd: false,
        sensor: true,
        permissions: true,
        protocol: 2,
        not_set_up: status::INVALID_OPTION,
    },
    Model {
        profile: "feitian-biopass",
        always_uv: false,
        make_cred_uv_not_rqd: false,
        sensor: true,
        permissions: false,
        protocol: 1,
        // Recorded: CTAP2_ERR_UNSUPPORTED_OPTION.
        not_set_up: status::UNSUPPORTED_OPTION,
    },
];

/// How the platform has come by a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Had {
    None,
    ByPin,
    ByUv,
}

impl Model {
    /// All that can be before a ceremony: how the token was had, and the rest.
    fn cases(&self) -> impl Iterator<Item = (Had, Case)> {
        let users = [
            User::Touches,
            User::IsAnother,
            User::IsSampled(Sample::Good),
            User::IsSampled(Sample::TooSkewed),
            User::Denies,
            User::Cancels,
        ];
        let cases = (0..users.len() * 3 * 16).map(move |number| {
            let (user, number) = (users[number % users.len()], number / users.len());
            let (had, bits) = ([Had::None, Had::ByPin, Had::ByUv][number % 3], number / 3);
            let bit = |at: usize| bits >> at & 1 == 1;
            let case = Case {
                uv: Some(bit(0)),
                pin: Some(bit(1)),
                always_uv: self.always_uv,
                no_mc_ga: false,
                discoverable: bit(2),
                asks: bit(3),
                param: had != Had::None,
                user,
            };
            (had, case)
        });
        cases.filter(|(had, case)| {
            // Without a sensor it is set up from the factory on.
            (self.sensor || case.uv == Some(true))
                && match had {
                    Had::None => true,
                    Had::ByPin => case.pin == Some(true),
                    Had::ByUv => case.uv == Some(true) && self.permissions,
                }
        })
    }

    /// On a disk, the key that a case is about.
    fn key(&self, mut key: Driver, case: &Case) -> Driver {
        if self.sensor && case.uv == Some(true) {
            let act = key.authenticator.enroll_fingerprint(String::new()).unwrap();
            key.disk.apply(act.changes());
            act.committed(&mut key.authenticator);
        }
        if case.pin == Some(true) {
            let request = Platform::agree(&mut key, self.protocol).set_pin(PIN.as_bytes());
            assert_eq!(key.client_pin(&request), status::OK);
        }
        key
    }

    fn token(&self, key: &mut Driver, had: Had, permission: i64) -> Option<Token> {
        let token = match had {
            Had::None => return None,
            Had::ByPin if self.permissions => key.token(self.protocol, PIN, permission, Some(SITE)),
            Had::ByPin => key.pin_token(self.protocol, PIN),
            Had::ByUv => token_by_uv(key, permission, Some(SITE)),
        };
        Some(token.unwrap_or_else(|status| panic!("{}: {status:#04x}", self.profile)))
    }

    fn expected(&self, case: &Case, had: Had, touch_is_enough: bool) -> (u8, bool) {
        let performs = case.performs(touch_is_enough);
        let expected = match performs {
            // The user was there for the token.
            Ok(_) if had == Had::ByUv => status::OK,
            Err(status::INVALID_OPTION) => self.not_set_up,
            performs => case.expected(performs),
        };
        (expected, case.param || performs == Ok(true))
    }

    /// The same key, of which alwaysUv does not want what is not there yet.
    fn unprotected(&self) -> Profile {
        match self.profile {
            "yubikey-bio-5.7" => altered_from(
                include_str!("../../profiles/yubikey-bio-5.7.toml"),
                &[("alwaysUv = true", "alwaysUv = false")],
            ),
            other => built_in(other),
        }
    }
}

#[test]
fn a_registration_is_as_the_steps_and_the_profile_have_it() {
    for model in &MODELS {
        for (had, case) in model.cases() {
            let mut key = model.key(Driver::of(built_in(model.profile)), &case);
            let token = model.token(&mut key, had, permission::MC);
            let options = map([("rk", boolean(case.discoverable)), ("uv", boolean(case.asks))]);
            let mut request = Parameters::make_credential(SITE, "root").with(7, options);
            if let Some(token) = &token {
                request = request.created_by(token);
            }
            key.user = case.user;
            let (expected, verified) = model.expected(&case, had, model.make_cred_uv_not_rqd && !case.discoverable);
            let answer = key.send(&request.create());
            assert_eq!(answer[0], expected, "{} {had:?} {case:?}", model.profile);
            if expected == status::OK {
                let flags = Created::read(&answer).data.flags;
                assert_eq!(flags & UV != 0, verified, "{} {had:?} {case:?}", model.profile);
            }
        }
    }
}

#[test]
fn a_login_is_as_the_steps_and_the_profile_have_it() {
    for model in &MODELS {
        let mut first = Driver::of(model.unprotected());
        let touched = Parameters::make_credential(SITE, "root");
        let created = first.create(&touched);
        for (had, case) in model.cases().filter(|(_, case)| !case.discoverable) {
            let key = Driver::on(first.disk.clone(), built_in(model.profile), 7);
            let mut key = model.key(key, &case);
            let token = model.token(&mut key, had, permission::GA);
            let mut request = Parameters::allow(SITE, &[&created.id]).with(5, map([("uv", boolean(case.asks))]));
            if let Some(token) = &token {
                request = request.got_by(token);
            }
            key.user = case.user;
            let (expected, verified) = model.expected(&case, had, true);
            let answer = key.send(&request.get());
            assert_eq!(answer[0], expected, "{} {had:?} {case:?}", model.profile);
            if expected == status::OK {
                let flags = Assertion::read(&answer).data.flags;
                assert_eq!(flags & UV != 0, verified, "{} {had:?} {case:?}", model.profile);
            }
        }
    }
}
