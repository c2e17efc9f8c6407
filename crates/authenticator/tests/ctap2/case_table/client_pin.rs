//! authenticatorClientPIN (CTAP 2.3 §6.5.5): key × state of the PIN × subcommand × what is wrong with the request.

use sk_cbor::Value;

use super::{Model, PIN, SITE, models, set_pin};
use crate::support::codec::{CLIENT_PIN, Parameters, body, bytes, int, status};
use crate::support::platform::{Platform, permission, subcommand};
use crate::support::{Driver, Records};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    NotSet,
    Set,
    /// Three wrong PINs in a row since power-up.
    NeedsPowerCycle,
    /// Eight wrong PINs.
    Blocked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    WrongPin,
    /// A parameter is missing, by its number.
    Without(i64),
    UnknownProtocol,
    /// `pinUvAuthParam` has a bit flipped.
    Altered,
}

/// The subcommands by number: 0x06 and 0x07 are for built-in user verification, 0x03 to 0x09 have what their sections say.
const SUBCOMMANDS: [i64; 9] = [0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x09, 0x0A];

/// The parameters that a subcommand cannot do without (§6.5.5.2 to §6.5.5.7). The RP ID, 0x0A, is one for mc.
fn mandatory(number: i64) -> &'static [i64] {
    match number {
        subcommand::GET_KEY_AGREEMENT => &[1],
        subcommand::SET_PIN => &[1, 3, 4, 5],
        subcommand::CHANGE_PIN => &[1, 3, 4, 5, 6],
        subcommand::GET_PIN_TOKEN => &[1, 3, 6],
        subcommand::GET_PIN_UV_AUTH_TOKEN_USING_PIN_WITH_PERMISSIONS => &[1, 3, 6, 9, 10],
        _ => &[],
    }
}

#[derive(Clone, Copy, Debug)]
struct Case {
    protocol: i64,
    state: State,
    subcommand: i64,
    fault: Fault,
}

impl Case {
    fn is_sensible(self) -> bool {
        let mandatory = mandatory(self.subcommand);
        match self.fault {
            Fault::None => true,
            Fault::Without(number) => mandatory.contains(&number),
            Fault::UnknownProtocol => mandatory.contains(&1),
            Fault::WrongPin => mandatory.contains(&6),
            Fault::Altered => mandatory.contains(&4),
        }
    }

    fn expected(self, model: &Model) -> u8 {
        let known = matches!(self.subcommand, 0x01..=0x05) || self.subcommand == 0x09 && model.permissions;
        if !known {
            return status::INVALID_SUBCOMMAND;
        }
        match self.fault {
            Fault::Without(_) => return status::MISSING_PARAMETER,
            Fault::UnknownProtocol => return status::INVALID_PARAMETER,
            _ => {}
        }
        match self.subcommand {
            // A deviation: the specification is silent, YubiKeys and the suite for them want this.
            subcommand::GET_PIN_RETRIES if self.state == State::NotSet => status::PIN_NOT_SET,
            subcommand::GET_PIN_RETRIES | subcommand::GET_KEY_AGREEMENT => status::OK,
            subcommand::SET_PIN if self.state != State::NotSet || self.fault == Fault::Altered => {
                status::PIN_AUTH_INVALID
            }
            subcommand::SET_PIN => status::OK,
            _ => match (self.state, self.fault) {
                (State::NotSet, _) => status::PIN_NOT_SET,
                (State::Blocked, _) => status::PIN_BLOCKED,
                (State::NeedsPowerCycle, _) => status::PIN_AUTH_BLOCKED,
                (State::Set, Fault::Altered) => status::PIN_AUTH_INVALID,
                (State::Set, Fault::WrongPin) => status::PIN_INVALID,
                (State::Set, _) => status::OK,
            },
        }
    }

    fn parameters(self, platform: &Platform) -> Parameters {
        let pin = if self.fault == Fault::WrongPin { "9999" } else { PIN };
        let parameters = match self.subcommand {
            subcommand::GET_KEY_AGREEMENT => Parameters::client_pin(0x02).with(1, int(platform.protocol)),
            subcommand::SET_PIN => platform.set_pin(b"5678"),
            subcommand::CHANGE_PIN => platform.change_pin(pin, b"5678"),
            subcommand::GET_PIN_TOKEN => platform.get_pin_token(pin),
            subcommand::GET_PIN_UV_AUTH_TOKEN_USING_PIN_WITH_PERMISSIONS => {
                platform.get_token(pin, permission::MC, Some(SITE))
            }
            other => Parameters::client_pin(other),
        };
        match self.fault {
            Fault::Without(number) => parameters.without(number),
            Fault::UnknownProtocol => parameters.with(1, int(3)),
            Fault::Altered => {
                let mut param = parameters.hash(4);
                param[0] ^= 1;
                parameters.with(4, bytes(&param))
            }
            Fault::None | Fault::WrongPin => parameters,
        }
    }

    fn run(self, model: &Model, disk: &Records) {
        let context = format!("{}: {self:?}", model.name);
        let mut key = Driver::on(disk.clone(), model.profile.clone(), 5);
        if self.state == State::NeedsPowerCycle {
            wrong_pins(&mut key, model, 3);
        }
        let before = attempts(&mut key);
        let platform = Platform::agree(&mut key, self.protocol);
        let answer = key.send(&self.parameters(&platform).message(CLIENT_PIN));
        assert_eq!(answer[0], self.expected(model), "{context}");
        // A wrong PIN costs one attempt, a right one gives all back, and nothing else makes a difference.
        if let (Some(before), Some(after)) = (before, attempts(&mut key)) {
            let entered = mandatory(self.subcommand).contains(&6);
            let left = match answer[0] {
                status::OK if entered => 8,
                status::PIN_INVALID => before - 1,
                _ => before,
            };
            assert_eq!(after, left, "{context}");
        }
    }
}

/// The attempts left, if there is a PIN.
fn attempts(key: &mut Driver) -> Option<u64> {
    let answer = key.send(&Parameters::client_pin(subcommand::GET_PIN_RETRIES).message(CLIENT_PIN));
    (answer[0] == status::OK).then(|| body(&answer)[&3].clone().extract_unsigned().unwrap())
}

fn wrong_pins(key: &mut Driver, model: &Model, count: usize) {
    for _ in 0..count {
        let request = Platform::agree(key, model.protocols[0]).get_pin_token("9999");
        assert_ne!(key.client_pin(&request), status::OK);
    }
}

/// A disk in the state; what power-up forgets is brought about later.
fn disk(model: &Model, state: State) -> Records {
    let mut key = Driver::of(model.profile.clone());
    if state != State::NotSet {
        set_pin(&mut key, model.protocols[0]);
    }
    if state == State::Blocked {
        for count in [3, 3, 2] {
            wrong_pins(&mut key, model, count);
            key.power_up();
        }
        assert_eq!(attempts(&mut key), Some(0));
    }
    key.disk.clone()
}

fn cases_of(model: &Model) -> impl Iterator<Item = (i64, i64)> {
    SUBCOMMANDS.into_iter().flat_map(|number| model.protocols.iter().map(move |protocol| (number, *protocol)))
}

#[test]
fn client_pin() {
    let faults = (1..=10).map(Fault::Without);
    let faults: Vec<Fault> =
        [Fault::None, Fault::WrongPin, Fault::UnknownProtocol, Fault::Altered].into_iter().chain(faults).collect();
    let mut cases = 0;
    // Security Key 5.1 has statuses of its own, as recorded: `security_key_5_1.rs`.
    for model in models().into_iter().filter(|model| model.name != "security-key-5.1") {
        for state in [State::NotSet, State::Set, State::NeedsPowerCycle, State::Blocked] {
            let disk = disk(&model, state);
            for (subcommand, protocol) in cases_of(&model) {
                for case in faults.iter().map(|fault| Case { protocol, state, subcommand, fault: *fault }) {
                    if case.is_sensible() {
                        case.run(&model, &disk);
                        cases += 1;
                    }
                }
            }
        }
    }
    assert!(cases > 500, "{cases}");
}

/// §6.5.5.7.2: permissions that cannot be had, one bit after the other, and none.
#[test]
fn permissions() {
    for model in models().into_iter().filter(|model| model.permissions) {
        let mut key = Driver::of(model.profile.clone());
        key.set_pin(PIN);
        let members = body(&key.send(&[crate::support::codec::GET_INFO]));
        let option =
            |name: &str| crate::support::codec::fields(&members[&4]).get(name) == Some(&Value::bool_value(true));
        for bit in 0..8 {
            let permissions = 1 << bit;
            let (expected, rp_id) = match permissions {
                permission::MC | permission::GA => (status::OK, Some(SITE)),
                permission::CM => (if option("credMgmt") { status::OK } else { status::UNAUTHORIZED_PERMISSION }, None),
                permission::LBW => {
                    (if option("largeBlobs") { status::OK } else { status::UNAUTHORIZED_PERMISSION }, None)
                }
                permission::ACFG => {
                    (if option("authnrCfg") { status::OK } else { status::UNAUTHORIZED_PERMISSION }, None)
                }
                permission::PCMR => {
                    let has = option("perCredMgmtRO");
                    (if has { status::OK } else { status::UNAUTHORIZED_PERMISSION }, None)
                }
                permission::BE => (status::UNAUTHORIZED_PERMISSION, None),
                // A bit without a meaning yet is ignored: then nothing is asked for.
                _ => continue,
            };
            let token = key.token(2, PIN, permissions, rp_id);
            assert_eq!(token.map(|_| status::OK).unwrap_or_else(|status| status), expected, "{}: {bit}", model.name);
        }
        assert_eq!(key.token(2, PIN, 0, None), Err(status::INVALID_PARAMETER), "{}", model.name);
    }
}
