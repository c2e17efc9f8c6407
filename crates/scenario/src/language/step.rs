//! `[[step]]`: what is done.

use core::ops::Range;
use std::collections::BTreeMap;

use keyrig_faults::timeline::Delay;
use schemars::JsonSchema;
use serde::Deserialize;

use super::at::{At, Several};
use super::expectation::{Expectation, Refuser};
use super::problem::Problem;
use super::site::SiteTable;

/// A step: one verb, what belongs to it, and what it is to come to.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct StepTable {
    /// What it is called in reports. Without it, its verb says it.
    pub name: Option<String>,

    /// Register the key that is named, as a second factor, or by `kind` as a passkey.
    pub register: Option<At<String>>,
    /// Log in with the password and the key that is named.
    pub login: Option<At<String>>,
    /// Log in with a passkey on the key that is named, and nothing else.
    pub passkey: Option<At<String>>,
    /// Log in with the password of the user who is named, and give it again for what changes factors.
    pub password_login: Option<At<String>>,
    /// Put keys in.
    pub plug: Option<Several>,
    /// Pull keys out.
    pub unplug: Option<Several>,
    /// Pull a key out and put it back in.
    pub power_cycle: Option<At<String>>,
    /// Touch a key that waits for nothing or, in `meanwhile`, for that.
    pub touch: Option<At<String>>,
    /// Refuse for a key.
    pub deny: Option<At<String>>,
    /// Type a wrong PIN for a key.
    pub wrong_pin: Option<At<String>>,
    /// Give a key a PIN: its first, or another.
    pub change_pin: Option<At<String>>,
    /// Have a key demand another PIN before it does anything else (authenticatorConfig, forceChangePin).
    pub force_pin_change: Option<At<String>>,
    /// Let a key give enterprise attestations (authenticatorConfig, enableEnterpriseAttestation).
    pub enable_enterprise_attestation: Option<At<String>>,
    /// Have a key forget everything, as a browser's settings do (authenticatorReset).
    pub reset: Option<At<String>>,
    /// Make another key that has all that this one keeps.
    pub clone: Option<At<String>>,
    /// Have something go wrong with a key, or no more.
    pub fault: Option<At<String>>,
    /// Give wrong recovery keys for a user until the account is locked.
    pub lock: Option<At<String>>,
    /// Release the locks of a user, as an administrator.
    pub unlock: Option<At<String>>,
    /// Make a user's recovery keys, or log in by one.
    pub recovery_key: Option<At<FactorAct>>,
    /// Enrol codes by the clock for a user, or log in by one.
    pub totp: Option<At<FactorAct>>,
    /// Change the site's settings, and start it again with them.
    pub set: Option<At<SiteTable>>,
    /// Let time pass, for the site and the keys: `30s`, `10min`.
    #[schemars(with = "Option<String>")]
    pub advance: Option<At<Delay>>,
    /// An administrator's command, in the words of `keyrig rp`: `user modify root@pam --enable 0`.
    pub admin: Option<At<String>>,
    /// Call the site: a method and a path, `GET /api/session`.
    pub call: Option<At<String>>,
    /// Look at what came of it all.
    pub assert: Option<At<AssertTable>>,

    /// Who: a user. Without it, the first.
    pub user: Option<At<String>>,
    /// Who does it: `browser` has a person do it in a real browser where real keys are used, and what it is to come to is judged by what the
    /// kernel hears on USB and by our site's log. On everything else keyrig's client stands in for the browser, as without it.
    pub by: Option<At<Doer>>,
    /// Where: a client. Without it, the first.
    pub client: Option<At<String>>,
    /// What a new credential is to be: `second-factor`, unless told otherwise, `passkey`, or `u2f`.
    pub kind: Option<At<CredentialKind>>,
    /// What the user calls a new factor. Without it, it is called as its key.
    pub description: Option<At<String>>,
    /// The description of the factor in whose place a new one comes.
    pub replaces: Option<At<String>>,
    /// The key that the finger is over, or `nobody`: then only `meanwhile` touches. Without it, the key of the step.
    pub finger: Option<At<String>>,
    /// What is done while keys wait for a touch, in this order. The finger does nothing then by itself.
    pub meanwhile: Option<At<Vec<ActTable>>>,
    /// The PIN that is typed, instead of the key's.
    pub pin: Option<At<String>>,
    /// The password that is given, instead of the user's.
    pub password: Option<At<String>>,
    /// What a page changes of the options that it got from its server: a JSON Merge Patch (RFC 7396), in which `excludeCredentials = []`
    /// asks keys for no more than it says.
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    pub options: Option<At<toml::Table>>,
    /// The PIN that a key is to have: of a ceremony, the one that is typed when a key wants a first or another one.
    pub to: Option<At<String>>,
    /// The PIN that is given as the one that a key has.
    pub from: Option<At<String>>,
    /// What the other key is called.
    #[serde(rename = "as")]
    pub called: Option<At<String>>,
    /// What is to go wrong: `keyrig faults` lists it.
    pub on: Option<At<String>>,
    /// What is to go wrong no more: a fault, or `all`.
    pub off: Option<At<String>>,
    /// The code that is given, instead of the right one.
    pub code: Option<At<String>>,
    /// By how many steps the clock that makes the code is ahead (or behind, if it is negative).
    pub drift: Option<At<i32>>,
    /// Whether the code is that of the last time, again.
    pub again: Option<At<bool>>,
    /// Which of the recovery keys is given, from 1.
    pub number: Option<At<usize>>,
    /// What is kept of a call's answer for later requests: names, and JSON pointers.
    pub keep: Option<At<BTreeMap<String, String>>>,
    /// The body of a call, which is sent as JSON.
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    pub body: Option<At<toml::Table>>,
    /// How often it is done: each time has to come to what is expected.
    pub times: Option<At<u32>>,
    /// What it is to come to. Without it, it is to be accepted.
    pub expect: Option<At<Expectation>>,
}

/// Who does a ceremony.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Doer {
    /// A person, in a real browser.
    Browser,
}

/// What is done with a factor that is not a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FactorAct {
    /// The user gets it.
    Enrol,
    /// The user logs in by it, after the password.
    Login,
}

/// What a credential is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CredentialKind {
    /// It comes after the password.
    SecondFactor,
    /// It logs in alone.
    Passkey,
    /// It was registered by U2F under the site's `app-id`, before there was WebAuthn, and moved: it comes after the password.
    U2f,
}

/// Something that is done while keys wait: one verb.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ActTable {
    /// Touch the key, once it waits for it.
    pub touch: Option<At<String>>,
    /// Refuse for the key, once it waits.
    pub deny: Option<At<String>>,
    /// Touch the key that verifies its user, once it waits, as somebody else.
    pub miss: Option<At<String>>,
    /// Pull the key out, once it waits.
    pub unplug: Option<At<String>>,
    /// Pull the key out and put it back in, once it waits.
    pub power_cycle: Option<At<String>>,
    /// Put the key in, once another one waits.
    pub plug: Option<At<String>>,
    /// Let time pass, once a key waits.
    #[schemars(with = "Option<String>")]
    pub advance: Option<At<Delay>>,
}

/// What is looked at: all of it has to be so.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AssertTable {
    /// The descriptions of the user's factors, the oldest first.
    pub factors: Option<Vec<String>>,
    /// Whether the user's account is locked.
    pub locked: Option<bool>,
    /// Whether the user's codes are locked.
    pub totp_locked: Option<bool>,
    /// The kinds of the latest events in the site's log, the latest last: `logged_in`, `login_refused`.
    pub log: Option<Vec<At<String>>>,
    /// How many discoverable credentials keys hold.
    #[serde(default)]
    pub stored: BTreeMap<String, At<usize>>,
    /// How many wrong PINs keys take until they are blocked.
    #[serde(default)]
    pub pin_retries: BTreeMap<String, At<u8>>,
    /// How often keys have asked for a touch since the scenario began: the transcript.
    #[serde(default)]
    pub touches: BTreeMap<String, At<usize>>,
    /// How many tries at their PINs keys have spent since the scenario began: the transcript.
    #[serde(default)]
    pub pin_retries_spent: BTreeMap<String, At<usize>>,
    /// Commands that keys were asked since the scenario began, such as `authenticatorGetAssertion`: the transcript.
    #[serde(default)]
    pub asked: BTreeMap<String, Several>,
    /// Commands that keys were never asked: the transcript.
    #[serde(default)]
    pub never_asked: BTreeMap<String, Several>,
    /// The earlier step that is looked at by what follows, by its name: a registration, or a login of any kind. Without it, the last of these. If
    /// several were called so, or it was done several times, the last of them.
    pub of: Option<At<String>>,
    /// Who refused in it.
    pub refused_by: Option<Refuser>,
    /// The code with which.
    pub code: Option<At<String>>,
    /// In the site's report of it: checks of WebAuthn that passed.
    #[serde(default)]
    pub passed: Several,
    /// Checks, and words of what was found.
    #[serde(default)]
    pub found: BTreeMap<String, Several>,
    /// The checks that failed, and no others, whether the site refuses for them or not.
    pub failed: Option<Several>,
    /// In the report: JSON pointers, and what is there.
    #[serde(default)]
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub report: toml::Table,
}

impl AssertTable {
    /// Whether it looks at the site's report of an earlier step.
    #[must_use]
    pub fn is_of_a_report(&self) -> bool {
        !self.passed.0.is_empty() || !self.found.is_empty() || self.failed.is_some() || !self.report.is_empty()
    }

    /// Whether it looks at an earlier step.
    #[must_use]
    pub fn is_of_a_step(&self) -> bool {
        self.of.is_some() || self.refused_by.is_some() || self.code.is_some() || self.is_of_a_report()
    }
}

/// What a step does.
#[derive(Clone, Debug)]
pub enum Verb {
    /// Register a key.
    Register(At<String>),
    /// Log in with the password and a key.
    Login(At<String>),
    /// Log in with a passkey alone.
    Passkey(At<String>),
    /// Log in with the password alone.
    PasswordLogin(At<String>),
    /// Put keys in.
    Plug(Vec<At<String>>),
    /// Pull keys out.
    Unplug(Vec<At<String>>),
    /// Pull a key out and put it back in.
    PowerCycle(At<String>),
    /// Touch a key.
    Touch(At<String>),
    /// Refuse for a key.
    Deny(At<String>),
    /// Type a wrong PIN.
    WrongPin(At<String>),
    /// Give a key a PIN.
    ChangePin(At<String>),
    /// Have a key demand another PIN.
    ForcePinChange(At<String>),
    /// Let a key give enterprise attestations.
    EnableEnterpriseAttestation(At<String>),
    /// Have a key forget everything.
    Reset(At<String>),
    /// Make another key of one.
    Clone(At<String>),
    /// Have something go wrong with a key.
    Fault(At<String>),
    /// Lock an account.
    Lock(At<String>),
    /// Release its locks.
    Unlock(At<String>),
    /// Recovery keys.
    RecoveryKey(FactorAct),
    /// Codes by the clock.
    Totp(FactorAct),
    /// Change settings.
    Set(Box<SiteTable>),
    /// Let time pass.
    Advance(Delay),
    /// An administrator's command.
    Admin(At<String>),
    /// Call the site.
    Call(At<String>),
    /// Look at what came of it.
    Assert(Box<AssertTable>),
}

impl Verb {
    /// Its name in the file.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Register(_) => "register",
            Self::Login(_) => "login",
            Self::Passkey(_) => "passkey",
            Self::PasswordLogin(_) => "password-login",
            Self::Plug(_) => "plug",
            Self::Unplug(_) => "unplug",
            Self::PowerCycle(_) => "power-cycle",
            Self::Touch(_) => "touch",
            Self::Deny(_) => "deny",
            Self::WrongPin(_) => "wrong-pin",
            Self::ChangePin(_) => "change-pin",
            Self::ForcePinChange(_) => "force-pin-change",
            Self::EnableEnterpriseAttestation(_) => "enable-enterprise-attestation",
            Self::Reset(_) => "reset",
            Self::Clone(_) => "clone",
            Self::Fault(_) => "fault",
            Self::Lock(_) => "lock",
            Self::Unlock(_) => "unlock",
            Self::RecoveryKey(_) => "recovery-key",
            Self::Totp(_) => "totp",
            Self::Set(_) => "set",
            Self::Advance(_) => "advance",
            Self::Admin(_) => "admin",
            Self::Call(_) => "call",
            Self::Assert(_) => "assert",
        }
    }

    /// Whether it is a ceremony of a page.
    #[must_use]
    pub fn is_ceremony(&self) -> bool {
        matches!(self, Self::Register(_) | Self::Login(_) | Self::Passkey(_))
    }

    /// Whether somebody comes in by it or not, or has a new key: what later steps look at.
    #[must_use]
    pub fn is_judged(&self) -> bool {
        self.is_ceremony() || matches!(self, Self::PasswordLogin(_) | Self::RecoveryKey(_) | Self::Totp(_))
    }

    /// Whether it takes a site of ours.
    #[must_use]
    pub fn is_of_our_site(&self) -> bool {
        let of_site = |assert: &AssertTable| {
            let of_users = assert.factors.is_some() || assert.locked.is_some() || assert.totp_locked.is_some();
            of_users || assert.log.is_some() || assert.is_of_a_report()
        };
        match self {
            Self::PasswordLogin(_) | Self::Lock(_) | Self::Unlock(_) | Self::RecoveryKey(_) => true,
            Self::Totp(_) | Self::Set(_) | Self::Admin(_) => true,
            Self::Assert(assert) => of_site(assert),
            _ => false,
        }
    }

    /// The key that it names, if it names one.
    #[must_use]
    pub fn key(&self) -> Option<&At<String>> {
        match self {
            Self::Register(key)
            | Self::Login(key)
            | Self::Passkey(key)
            | Self::PowerCycle(key)
            | Self::Touch(key)
            | Self::Deny(key)
            | Self::WrongPin(key)
            | Self::ChangePin(key)
            | Self::ForcePinChange(key)
            | Self::EnableEnterpriseAttestation(key)
            | Self::Reset(key)
            | Self::Clone(key)
            | Self::Fault(key) => Some(key),
            _ => None,
        }
    }

    /// It, as a title says it.
    #[must_use]
    pub fn title(&self) -> String {
        match self {
            Self::Plug(keys) | Self::Unplug(keys) => {
                let keys: Vec<_> = keys.iter().map(|key| key.value.as_str()).collect();
                format!("{} {}", self.name(), keys.join(", "))
            }
            Self::PasswordLogin(user) => format!("log in with the password as {}", user.value),
            Self::Lock(user) | Self::Unlock(user) => format!("{} {}", self.name(), user.value),
            Self::RecoveryKey(FactorAct::Enrol) => "make recovery keys".to_owned(),
            Self::RecoveryKey(FactorAct::Login) => "log in with a recovery key".to_owned(),
            Self::Totp(FactorAct::Enrol) => "enrol TOTP".to_owned(),
            Self::Totp(FactorAct::Login) => "log in with a code".to_owned(),
            Self::Set(_) => "change the site's settings".to_owned(),
            Self::Advance(delay) => format!("let {delay} pass"),
            Self::Admin(words) => format!("rp {}", words.value),
            Self::Call(call) => format!("call {}", call.value),
            Self::Assert(_) => "look at what came of it".to_owned(),
            other => {
                let key = other.key().map(|key| key.value.as_str()).unwrap_or_default();
                match other {
                    Self::Login(_) => format!("log in with {key}"),
                    Self::Passkey(_) => format!("log in with the passkey on {key}"),
                    Self::WrongPin(_) => format!("type a wrong PIN for {key}"),
                    Self::ChangePin(_) => format!("give {key} a PIN"),
                    Self::ForcePinChange(_) => format!("have {key} demand another PIN"),
                    Self::EnableEnterpriseAttestation(_) => format!("let {key} give enterprise attestations"),
                    Self::Deny(_) => format!("refuse for {key}"),
                    _ => format!("{} {key}", other.name()),
                }
            }
        }
    }
}

/// A member, where it is if it is there, and the verbs that have a use for it.
type Member = (&'static str, Option<Range<usize>>, &'static [&'static str]);

/// A verb, and the place of the member that it is.
type Written = (Verb, Range<usize>);

impl StepTable {
    /// Its one verb.
    pub(crate) fn verb(&self, at: &Range<usize>) -> Result<Written, Problem> {
        fn of<T: Clone>(member: Option<&At<T>>, verb: impl FnOnce(T) -> Verb) -> Option<Written> {
            member.map(|At { value, at }| (verb(value.clone()), at.clone()))
        }
        let text = |member: &Option<At<String>>, verb: fn(At<String>) -> Verb| {
            member.as_ref().map(|member| (verb(member.clone()), member.at.clone()))
        };
        let several = |member: &Option<Several>, at: &Range<usize>, verb: fn(Vec<At<String>>) -> Verb| {
            let keys = member.as_ref().map(|keys| keys.0.clone())?;
            let at = keys.first().map_or_else(|| at.clone(), |key| key.at.clone());
            Some((verb(keys), at))
        };
        let written = [
            text(&self.register, Verb::Register),
            text(&self.login, Verb::Login),
            text(&self.passkey, Verb::Passkey),
            text(&self.password_login, Verb::PasswordLogin),
            several(&self.plug, at, Verb::Plug),
            several(&self.unplug, at, Verb::Unplug),
            text(&self.power_cycle, Verb::PowerCycle),
            text(&self.touch, Verb::Touch),
            text(&self.deny, Verb::Deny),
            text(&self.wrong_pin, Verb::WrongPin),
            text(&self.change_pin, Verb::ChangePin),
            text(&self.force_pin_change, Verb::ForcePinChange),
            text(&self.enable_enterprise_attestation, Verb::EnableEnterpriseAttestation),
            text(&self.reset, Verb::Reset),
            text(&self.clone, Verb::Clone),
            text(&self.fault, Verb::Fault),
            text(&self.lock, Verb::Lock),
            text(&self.unlock, Verb::Unlock),
            of(self.recovery_key.as_ref(), Verb::RecoveryKey),
            of(self.totp.as_ref(), Verb::Totp),
            of(self.set.as_ref(), |settings| Verb::Set(Box::new(settings))),
            of(self.advance.as_ref(), Verb::Advance),
            text(&self.admin, Verb::Admin),
            text(&self.call, Verb::Call),
            of(self.assert.as_ref(), |assert| Verb::Assert(Box::new(assert))),
        ];
        let mut written: Vec<Written> = written.into_iter().flatten().collect();
        written.sort_by_key(|(_, at)| at.start);
        let mut written = written.into_iter();
        let Some(first) = written.next() else {
            let problem = Problem::new(at.clone(), "the step does nothing");
            return Err(problem.with_help("give it a verb, such as login = \"primary\""));
        };
        match written.next() {
            None => Ok(first),
            Some((second, at)) => {
                let problem =
                    Problem::new(at, format!("the step has two verbs, {} and {}", first.0.name(), second.name()));
                Err(problem.with_help("make two steps of it"))
            }
        }
    }

    /// The first member that nobody follows who does it in a real browser.
    pub(crate) fn not_in_a_browser(&self) -> Option<Problem> {
        fn place<T>(member: Option<&At<T>>) -> Option<Range<usize>> {
            member.map(|member| member.at.clone())
        }
        self.by.as_ref()?;
        let u2f = self.kind.as_ref().filter(|kind| kind.value == CredentialKind::U2f);
        let members = [
            ("kind = \"u2f\"", place(u2f)),
            ("replaces", place(self.replaces.as_ref())),
            ("meanwhile", place(self.meanwhile.as_ref())),
            ("options", place(self.options.as_ref())),
            ("pin", place(self.pin.as_ref())),
            ("to", place(self.to.as_ref())),
            ("notices", self.expect.as_ref().and_then(|expect| Some(expect.value.0.notices.0.first()?.at.clone()))),
        ];
        members.into_iter().find_map(|(name, at)| {
            let problem = Problem::new(at?, format!("{name} means nothing to a person in a browser"));
            Some(problem.with_help("leave it out, or by = \"browser\""))
        })
    }

    /// The first member that its verb has no use for.
    pub(crate) fn out_of_place(&self, verb: &Verb) -> Option<Problem> {
        const CEREMONY: &[&str] = &["register", "login", "passkey"];
        const GESTURE: &[&str] = &["register", "login", "passkey", "reset"];
        fn place<T>(member: Option<&At<T>>) -> Option<Range<usize>> {
            member.map(|member| member.at.clone())
        }
        let members: [Member; 23] = [
            (
                "user",
                place(self.user.as_ref()),
                &["register", "login", "passkey", "recovery-key", "totp", "call", "assert"],
            ),
            ("by", place(self.by.as_ref()), CEREMONY),
            ("client", place(self.client.as_ref()), CEREMONY),
            ("kind", place(self.kind.as_ref()), &["register"]),
            ("description", place(self.description.as_ref()), &["register"]),
            ("replaces", place(self.replaces.as_ref()), &["register"]),
            ("finger", place(self.finger.as_ref()), GESTURE),
            ("meanwhile", place(self.meanwhile.as_ref()), GESTURE),
            ("pin", place(self.pin.as_ref()), CEREMONY),
            ("password", place(self.password.as_ref()), &["login", "password-login", "recovery-key", "totp"]),
            ("options", place(self.options.as_ref()), CEREMONY),
            ("to", place(self.to.as_ref()), &["change-pin", "register", "login", "passkey"]),
            ("from", place(self.from.as_ref()), &["change-pin"]),
            ("as", place(self.called.as_ref()), &["clone"]),
            ("on", place(self.on.as_ref()), &["fault"]),
            ("off", place(self.off.as_ref()), &["fault"]),
            ("code", place(self.code.as_ref()), &["totp"]),
            ("drift", place(self.drift.as_ref()), &["totp"]),
            ("again", place(self.again.as_ref()), &["totp", "recovery-key"]),
            ("number", place(self.number.as_ref()), &["recovery-key"]),
            ("keep", place(self.keep.as_ref()), &["call"]),
            ("body", place(self.body.as_ref()), &["call"]),
            (
                "expect",
                place(self.expect.as_ref()),
                &[
                    "register",
                    "login",
                    "passkey",
                    "password-login",
                    "wrong-pin",
                    "change-pin",
                    "force-pin-change",
                    "enable-enterprise-attestation",
                    "reset",
                    "recovery-key",
                    "totp",
                    "call",
                    "admin",
                    "power-cycle",
                    "unplug",
                    "plug",
                ],
            ),
        ];
        members.into_iter().find_map(|(name, at, verbs)| {
            let at = at.filter(|_| !verbs.contains(&verb.name()))?;
            let problem = Problem::new(at, format!("{name} does not belong to {}", verb.name()));
            Some(problem.with_help(format!("it belongs to {}", verbs.join(", "))))
        })
    }
}
