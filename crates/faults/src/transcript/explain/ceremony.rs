//! What keys heard of one ceremony.

use std::collections::BTreeSet;

use super::page::Page;
use crate::transcript::exchange::Exchange;
use crate::transcript::note::Ceremony;
use crate::transcript::value::{Members, Value};

/// How long a ceremony is silent until it counts as over, if nobody can be typing a PIN: microseconds. CTAP1/U2F is asked again each 200 ms.
pub(crate) const SILENCE_US: u64 = 1_000_000;

/// How many exchanges of a ceremony are kept. What is asked again and answered in the same way counts once.
const MAX_EXCHANGES: usize = 256;

/// The RP IDs of credentials that nobody wants: Chromium's, and Firefox's, which CTAP1/U2F hears as their hash.
const DUMMIES: [&str; 2] = [".dummy", "make.me.blink"];
/// Chromium's for CTAP1/U2F: bytes of `A`.
const DUMMY_APPLICATION: [u8; 32] = [b'A'; 32];
/// Firefox's: SHA-256 of `make.me.blink`.
const BLINK_APPLICATION: [u8; 32] = [
    0xE8, 0x45, 0x41, 0xEA, 0xF2, 0x07, 0xF7, 0xD7, 0x5A, 0xD0, 0x51, 0x43, 0x47, 0x70, 0xF6, 0xD1, 0xA9, 0xBF, 0x62,
    0xF7, 0xEA, 0x9B, 0xE5, 0x14, 0xFD, 0x4E, 0x0C, 0xA8, 0x27, 0x2B, 0x1D, 0xEB,
];

/// SHA-256 of nothing and of `localhost`: libfido2's client data and RP ID where it wants a touch alone, to have a key chosen.
const NOTHING: [u8; 32] = [
    0xE3, 0xB0, 0xC4, 0x42, 0x98, 0xFC, 0x1C, 0x14, 0x9A, 0xFB, 0xF4, 0xC8, 0x99, 0x6F, 0xB9, 0x24, 0x27, 0xAE, 0x41,
    0xE4, 0x64, 0x9B, 0x93, 0x4C, 0xA4, 0x95, 0x99, 0x1B, 0x78, 0x52, 0xB8, 0x55,
];
const LOCALHOST: [u8; 32] = [
    0x49, 0x96, 0x0D, 0xE5, 0x88, 0x0E, 0x8C, 0x68, 0x74, 0x34, 0x17, 0x0F, 0x64, 0x76, 0x60, 0x5B, 0x8F, 0xE4, 0xAE,
    0xB9, 0xA2, 0x86, 0x32, 0xC7, 0x99, 0x5C, 0xF3, 0xBA, 0x83, 0x1D, 0x97, 0x63,
];

/// What a request is in a ceremony.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// What a key is: authenticatorGetInfo, U2F_VERSION. A ceremony begins with it.
    Info,
    /// A touch that chooses the key: authenticatorSelection, or a command with an empty pinUvAuthParam (CTAP 2.0 §5.1).
    Selection,
    /// What belongs to a PIN or to built-in user verification.
    Pin,
    /// A touch for a credential that nobody wants.
    Dummy,
    /// Whether a key has one of these credentials, without a touch.
    Probe,
    /// The ceremony itself, with the hash of its client data.
    Real(Ceremony, String),
}

impl Role {
    /// What an exchange was, if it belongs to a ceremony.
    #[must_use]
    pub fn of_exchange(exchange: &Exchange) -> Option<Self> {
        Self::of(&exchange.command, exchange.subcommand.as_deref(), &exchange.request)
    }

    /// Whether a touch is all that is wanted, and the RP ID nobody's.
    fn is_for_touch(&self) -> bool {
        matches!(self, Self::Selection | Self::Dummy)
    }

    pub(super) fn of(command: &str, subcommand: Option<&str>, members: &Members) -> Option<Self> {
        let text = |name: &str| members.get(name).map(ToString::to_string);
        let is_selection = text("pinUvAuthParam").is_some_and(|param| param.is_empty());
        Some(match command {
            "authenticatorGetInfo" | "U2F_VERSION" => Self::Info,
            "authenticatorSelection" => Self::Selection,
            "authenticatorClientPIN" if subcommand != Some("setPIN") && subcommand != Some("changePIN") => Self::Pin,
            "authenticatorMakeCredential" if members.get("rp").is_some_and(is_dummy) => Self::Dummy,
            "authenticatorMakeCredential" | "authenticatorGetAssertion" if is_selection => Self::Selection,
            "authenticatorMakeCredential" => Self::Real(Ceremony::Create, text("clientDataHash")?),
            "authenticatorGetAssertion" if up(members) == Some(false) => Self::Probe,
            "authenticatorGetAssertion" => Self::Real(Ceremony::Get, text("clientDataHash")?),
            "U2F_REGISTER" if members.get("application").is_some_and(is_dummy_application) => Self::Dummy,
            "U2F_REGISTER" if is_of_libfido2(members) => Self::Dummy,
            "U2F_REGISTER" => Self::Real(Ceremony::Create, text("challenge")?),
            "U2F_AUTHENTICATE" if text("control").as_deref() == Some("check-only") => Self::Probe,
            "U2F_AUTHENTICATE" => Self::Real(Ceremony::Get, text("challenge")?),
            _ => return None,
        })
    }
}

fn is_dummy(rp: &Value) -> bool {
    rp.get("id").and_then(Value::as_text).is_some_and(|id| DUMMIES.contains(&id))
}

fn is_dummy_application(application: &Value) -> bool {
    // As JSON has it, bytes are text.
    let application = application.to_string();
    [DUMMY_APPLICATION, BLINK_APPLICATION].iter().any(|dummy| Value::bytes(dummy).to_string() == application)
}

/// Whether libfido2 wants a touch alone.
pub(super) fn is_of_libfido2(members: &Members) -> bool {
    let is = |name: &str, bytes: &[u8]| {
        members.get(name).is_some_and(|value| value.to_string() == Value::bytes(bytes).to_string())
    };
    is("clientDataHash", &NOTHING) || (is("challenge", &NOTHING) && is("application", &LOCALHOST))
}

fn up(members: &Members) -> Option<bool> {
    match members.get("options")?.get("up")? {
        Value::Boolean(up) => Some(*up),
        _ => None,
    }
}

/// A request of a ceremony and what came of it.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) role: Role,
    pub(super) exchange: Exchange,
    /// It is not answered yet.
    pub(super) is_open: bool,
    /// The key went while it was not.
    pub(super) has_gone: bool,
}

impl Part {
    pub(super) fn status(&self) -> &str {
        self.exchange.status.as_deref().unwrap_or_default()
    }

    /// It was given up, or asked again.
    pub(super) fn is_cancelled(&self) -> bool {
        matches!(self.status(), "CTAP2_ERR_KEEPALIVE_CANCEL" | "SW_CONDITIONS_NOT_SATISFIED")
    }

    /// Whether the key did what a ceremony is for.
    fn is_success(&self) -> bool {
        matches!(self.role, Role::Real(..)) && self.exchange.is_ok()
    }

    /// Whether it was asked what is asked before a PIN is typed, and told it.
    fn is_before_pin(&self) -> bool {
        let subcommand = self.exchange.subcommand.as_deref();
        self.role == Role::Pin && self.exchange.is_ok() && subcommand.is_some_and(|name| !name.contains("Token"))
    }

    /// The same as another, for who looks at what was asked and answered: U2F is asked again and again.
    fn repeats(&self, other: &Self) -> bool {
        !self.is_open
            && self.exchange.key == other.exchange.key
            && self.exchange.command == other.exchange.command
            && self.exchange.command.starts_with("U2F_")
            && self.role == other.role
            && self.exchange.status == other.exchange.status
    }
}

/// What keys heard of it.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    pub(super) began_at_us: u64,
    pub(super) last_at_us: u64,
    ceremony: Option<Ceremony>,
    pub(super) rp_id: Option<String>,
    pub(super) hash: Option<String>,
    /// In the order of requests.
    pub(super) parts: Vec<Part>,
    /// The keys that what comes next may belong to it of.
    pub(super) keys: BTreeSet<String>,
    /// Another began.
    pub(super) is_over: bool,
    /// Whoever asked waited for a PIN until nothing could come of it any more.
    pub(super) waited_for_pin: bool,
    /// Whoever asked what is asked before a PIN has gone at once.
    has_left_before_pin: bool,
    /// It was explained.
    pub(super) is_told: bool,
    /// What its page noted.
    pub(super) page: Option<Page>,
}

impl Heard {
    pub(super) fn new(at_us: u64) -> Self {
        Self {
            began_at_us: at_us,
            last_at_us: at_us,
            ceremony: None,
            rp_id: None,
            hash: None,
            parts: Vec::new(),
            keys: BTreeSet::new(),
            is_over: false,
            waited_for_pin: false,
            has_left_before_pin: false,
            is_told: false,
            page: None,
        }
    }

    /// Which ceremony it is, if a key was asked for it, or browsers end in this way only one of them: a touch that is wanted for nothing
    /// else comes after a login's question for credentials.
    pub(super) fn ceremony(&self) -> Option<Ceremony> {
        let ends_a_login =
            |part: &Part| part.role == Role::Dummy && self.of(&part.exchange.key).any(|part| part.role == Role::Probe);
        self.ceremony.or_else(|| self.parts.iter().any(ends_a_login).then_some(Ceremony::Get))
    }

    pub(super) fn is_open(&self) -> bool {
        self.parts.iter().any(|part| part.is_open)
    }

    /// The key has done what was asked.
    pub(super) fn has_succeeded(&self) -> bool {
        self.parts.iter().any(Part::is_success)
    }

    /// This key has: another may be asked late, as nobody told it yet that it is not needed.
    pub(super) fn has_succeeded_at(&self, key: &str) -> bool {
        self.of(key).any(Part::is_success)
    }

    /// Whether this key was asked more than what it is.
    pub(super) fn is_under_way_at(&self, key: &str) -> bool {
        self.of(key).any(|part| part.role != Role::Info)
    }

    /// The parts of a key.
    pub(super) fn of(&self, key: &str) -> impl Iterator<Item = &Part> {
        self.parts.iter().filter(move |part| part.exchange.key == key)
    }

    /// The keys in the order in which they were asked.
    pub(super) fn keys_asked(&self) -> Vec<&str> {
        let mut keys = Vec::<&str>::new();
        for part in &self.parts {
            if !keys.contains(&part.exchange.key.as_str()) {
                keys.push(&part.exchange.key);
            }
        }
        keys
    }

    /// Whether what a key is asked may belong to it, by the RP ID. An AppID, which is tried beside it, is a URL (WebAuthn Level 3 §10.1.1).
    pub(super) fn may_be_for(&self, role: &Role, exchange: &Exchange) -> bool {
        let (Some(ours), Some(asked)) = (self.rp_id.as_deref(), exchange.rp_id()) else { return true };
        role.is_for_touch() || ours == asked || [ours, asked].iter().any(|id| id.contains("://"))
    }

    /// A key is asked in another ceremony from now on, and this one is over unless another key is still being asked. What the key was asked
    /// here is returned, if it `begins_there`: where it was asked for nothing of this ceremony's, it was taken to be in it because others were.
    pub(super) fn let_go(&mut self, key: &str, begins_there: bool, at_us: u64) -> Vec<Part> {
        self.leave(key, at_us);
        let is_tentative = !self.of(key).any(|part| matches!(part.role, Role::Real(..)));
        let has_others = self.parts.iter().any(|part| part.exchange.key != key);
        let moved = if begins_there && is_tentative && has_others {
            self.parts.extract_if(.., |part| part.exchange.key == key).collect()
        } else {
            Vec::new()
        };
        self.is_over = !self.parts.iter().any(|part| part.is_open && part.exchange.key != key);
        moved
    }

    /// A key is asked nothing more of this ceremony. If whoever asked it waited for a PIN all the time, it has failed.
    pub(super) fn leave(&mut self, key: &str, at_us: u64) {
        if self.keys.remove(key) && !self.has_left_before_pin {
            self.look_for_pin(key, at_us);
        }
    }

    /// A program has closed a key. One that only looks how many tries at the PIN there are does not stay.
    pub(super) fn disconnect(&mut self, key: &str, peer: &str, at_us: u64) {
        if self.keys.contains(key) && self.last_asked().is_some_and(|part| part.exchange.peer == peer) {
            self.look_for_pin(key, at_us);
            self.has_left_before_pin = !self.waited_for_pin;
        }
    }

    fn look_for_pin(&mut self, key: &str, at_us: u64) {
        // Whether a program closes a key on USB nobody hears.
        let is_before_pin =
            |part: &Part| part.exchange.key == key && part.exchange.peer != "usb" && part.is_before_pin();
        let has_waited = self.last_at_us.saturating_add(SILENCE_US) <= at_us;
        if has_waited && !self.has_succeeded() && self.last_asked().is_some_and(is_before_pin) {
            self.waited_for_pin = true;
            self.is_over = true;
        }
    }

    /// The last that any key was asked beyond what it is.
    fn last_asked(&self) -> Option<&Part> {
        self.parts.iter().rfind(|part| part.role != Role::Info)
    }

    /// A key is asked.
    pub(super) fn ask(&mut self, role: Role, exchange: Exchange) {
        self.last_at_us = self.last_at_us.max(exchange.at_us);
        self.keys.insert(exchange.key.clone());
        if let Role::Real(ceremony, hash) = &role {
            self.ceremony = Some(*ceremony);
            self.hash = Some(hash.clone());
        }
        if !role.is_for_touch() && (self.rp_id.is_none() || matches!(role, Role::Real(..))) {
            self.rp_id = exchange.rp_id().map(str::to_owned).or(self.rp_id.take());
        }
        self.is_told = false;
        self.has_left_before_pin = false;
        if self.parts.len() < MAX_EXCHANGES {
            self.parts.push(Part { role, exchange, is_open: true, has_gone: false });
        }
    }

    /// It has answered, or never will. Whether that was asked in this ceremony.
    pub(super) fn end(&mut self, exchange: Exchange, at_us: u64, has_gone: bool) -> bool {
        let asked = self.parts.iter().rposition(|part| part.is_open && part.exchange.number == exchange.number);
        let Some(part) = asked.and_then(|at| self.parts.get_mut(at)) else { return false };
        self.last_at_us = self.last_at_us.max(at_us);
        part.exchange = exchange;
        part.is_open = false;
        part.has_gone = has_gone;
        let ended = part.clone();
        // The one before says the same.
        let before =
            self.parts.iter().take(asked.unwrap_or_default()).rposition(|part| part.exchange.key == ended.exchange.key);
        if let Some(before) = before
            && self.parts.get(before).is_some_and(|before| before.repeats(&ended))
        {
            self.parts.remove(before);
        }
        true
    }

    /// Whether it has failed, as far as one can tell while nobody is asked anything.
    pub(super) fn has_failed(&self) -> bool {
        if let Some(page) = &self.page {
            return page.has_failed();
        }
        let is_real = |part: &Part| matches!(part.role, Role::Real(..) | Role::Selection | Role::Dummy);
        let fails = |part: &Part| matches!(part.role, Role::Probe | Role::Pin) && !part.exchange.is_ok();
        self.waited_for_pin || !self.has_succeeded() && self.parts.iter().any(|part| is_real(part) || fails(part))
    }

    /// Whether whoever asks may be waiting for its user, who types a PIN or chooses one: silence means nothing then.
    pub(super) fn may_wait_for_user(&self) -> bool {
        self.keys_asked().into_iter().any(|key| {
            let last = self.of(key).filter(|part| part.role != Role::Info).last();
            last.is_some_and(|part| match part.role {
                Role::Pin | Role::Selection => part.exchange.is_ok() || part.status() == "CTAP2_ERR_PIN_INVALID",
                Role::Real(..) => part.status() == "CTAP2_ERR_PUAT_REQUIRED",
                _ => false,
            })
        })
    }
}
