//! Exchanges: each request with its answer and what its user did. What people read and tests assert on.

use std::collections::BTreeMap;
use std::io::BufRead;

use super::event::{Event, Touch, What};
use super::reading::{self, NotATranscript};
use super::value::{Members, Value};

/// How many exchanges may be without an answer; of more, the oldest counts as never answered.
const MAX_OPEN: usize = 1024;

/// A request, what the user did, and the answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Exchange {
    /// Its number: exchanges are counted from 1.
    pub number: u64,
    /// When the key was asked: microseconds since the transcript's start.
    pub at_us: u64,
    /// The key.
    pub key: String,
    /// Who asked.
    pub peer: String,
    /// The channel, eight hexadecimal digits.
    pub channel: String,
    /// The command, as `authenticatorGetAssertion` or `U2F_REGISTER`.
    pub command: String,
    /// The subcommand, as `getPINRetries`.
    pub subcommand: Option<String>,
    /// Whether the key asked its user for a touch.
    pub touch_asked: bool,
    /// What came of that. For U2F, where each request is answered at once, that of the touch which let this one succeed.
    pub touch: Option<Touch>,
    /// The status by its name; none if it was never answered.
    pub status: Option<String>,
    /// Microseconds from request to answer.
    pub took_us: Option<u64>,
    /// The members of the request.
    pub request: Members,
    /// The members of the answer.
    pub response: Members,
    /// Why request or answer can't be decoded.
    pub malformed: Option<String>,
}

impl Exchange {
    /// The RP ID that it is about, if it says one.
    #[must_use]
    pub fn rp_id(&self) -> Option<&str> {
        let of_request = self.request.get("rpId").or_else(|| self.request.get("rp")?.get("id"));
        of_request.or_else(|| self.response.get("rp")?.get("id")).and_then(Value::as_text)
    }

    /// Whether it succeeded.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        matches!(self.status.as_deref(), Some("CTAP2_OK" | "SW_NO_ERROR"))
    }
}

/// Pairs requests and answers, as events come.
#[derive(Debug, Default)]
pub struct Exchanges {
    /// By number.
    open: BTreeMap<u64, Exchange>,
    /// The touch of U2F that no request has taken yet, by key.
    u2f_touch: BTreeMap<String, Touch>,
}

impl Exchanges {
    /// Takes an event, and returns the exchanges that end with it: most often none or one.
    pub fn take(&mut self, event: &Event) -> Vec<Exchange> {
        let Some(key) = &event.key else { return Vec::new() };
        match &event.what {
            What::Request { exchange, peer, channel, command, subcommand, members, malformed, .. } => {
                let mut ended =
                    self.end_where(|open| open.key == *key && open.peer == *peer && open.channel == *channel);
                if self.open.len() >= MAX_OPEN
                    && let Some((_, oldest)) = self.open.pop_first()
                {
                    ended.push(oldest);
                }
                let begun = Exchange {
                    number: *exchange,
                    at_us: event.at_us,
                    key: key.clone(),
                    peer: peer.clone(),
                    channel: channel.clone(),
                    command: command.clone(),
                    subcommand: subcommand.clone(),
                    touch_asked: false,
                    touch: None,
                    status: None,
                    took_us: None,
                    request: members.clone(),
                    response: Members::default(),
                    malformed: malformed.as_ref().map(|malformed| format!("request, {malformed}")),
                };
                self.open.insert(*exchange, begun);
                ended
            }
            What::Response { exchange, status, took_us, members, malformed, .. } => {
                let Some(mut ended) = self.open.remove(exchange) else { return Vec::new() };
                ended.status = Some(status.clone());
                ended.took_us = Some(*took_us);
                ended.response = members.clone();
                if let Some(malformed) = malformed {
                    ended.malformed = Some(format!("answer, {malformed}"));
                }
                if ended.command.starts_with("U2F_") && ended.is_ok() {
                    ended.touch = self.u2f_touch.remove(key);
                    ended.touch_asked = ended.touch.is_some();
                }
                vec![ended]
            }
            What::Waiting { command, .. } => {
                let mut waits = self.open.values_mut().rev();
                if let Some(waits) = waits.find(|open| open.key == *key && open.command == *command) {
                    waits.touch_asked = true;
                }
                Vec::new()
            }
            What::WaitEnded { touch } => {
                let mut waits = self.open.values_mut().rev();
                match waits.find(|open| {
                    open.key == *key && open.touch_asked && open.touch.is_none_or(|touch| touch == Touch::Missed)
                }) {
                    // A U2F request is answered before its user has done anything.
                    Some(waits) if !waits.command.starts_with("U2F_") => waits.touch = Some(*touch),
                    _ => drop(self.u2f_touch.insert(key.clone(), *touch)),
                }
                Vec::new()
            }
            What::Unplugged | What::Attached | What::Detached => {
                self.u2f_touch.remove(key);
                self.end_where(|open| open.key == *key)
            }
            _ => Vec::new(),
        }
    }

    /// An exchange that is not answered yet, by its number.
    pub(super) fn open(&self, number: u64) -> Option<&Exchange> {
        self.open.get(&number)
    }

    /// The exchanges that were never answered.
    #[must_use]
    pub fn end(self) -> Vec<Exchange> {
        self.open.into_values().collect()
    }

    fn end_where(&mut self, ends: impl Fn(&Exchange) -> bool) -> Vec<Exchange> {
        self.open.extract_if(.., |_, open| ends(open)).map(|(_, open)| open).collect()
    }
}

/// A transcript to assert on.
///
/// The asserting functions panic with what happened instead, as a test wants it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Transcript {
    events: Vec<Event>,
}

impl Transcript {
    /// Of events.
    #[must_use]
    pub fn new(events: Vec<Event>) -> Self {
        Self { events }
    }

    /// Reads one that was written to a file, or a capture.
    ///
    /// # Errors
    /// [`NotATranscript`].
    pub fn read(input: impl BufRead) -> Result<Self, NotATranscript> {
        reading::read(input)?.collect::<Result<_, _>>().map(Self::new)
    }

    /// All that happened.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// The exchanges in the order of their requests.
    #[must_use]
    pub fn exchanges(&self) -> Vec<Exchange> {
        let mut pairing = Exchanges::default();
        let mut ended: Vec<_> = self.events.iter().flat_map(|event| pairing.take(event)).collect();
        ended.extend(pairing.end());
        ended.sort_by_key(|exchange| exchange.at_us);
        ended
    }

    /// How often keys asked for a touch, by key. A key that asked again for the same request of U2F asked once.
    #[must_use]
    pub fn touches_asked(&self) -> BTreeMap<String, usize> {
        let mut asked = BTreeMap::new();
        for event in &self.events {
            if let (Some(key), What::Waiting { .. }) = (&event.key, &event.what) {
                *asked.entry(key.clone()).or_default() += 1;
            }
        }
        asked
    }

    /// How many PIN retries a key has spent. The third wrong PIN in a row and the last one have a status of their own, which a key
    /// repeats without looking at a PIN (CTAP 2.3 §6.5.5.7).
    #[must_use]
    pub fn pin_retries_spent(&self, key: &str) -> usize {
        let mut spent = 0;
        // What the last attempt came to, as far as it was one.
        let mut last = "";
        let exchanges = self.exchanges();
        for exchange in exchanges.iter().filter(|exchange| exchange.key == key) {
            let tries_a_pin = matches!(
                exchange.subcommand.as_deref(),
                Some("changePIN" | "getPinToken" | "getPinUvAuthTokenUsingPinWithPermissions")
            );
            let Some(status) = exchange.status.as_deref().filter(|_| tries_a_pin) else { continue };
            let is_spent = match status {
                "CTAP2_ERR_PIN_INVALID" => true,
                "CTAP2_ERR_PIN_AUTH_BLOCKED" => last == "CTAP2_ERR_PIN_INVALID",
                "CTAP2_ERR_PIN_BLOCKED" => last != "CTAP2_ERR_PIN_BLOCKED" && !last.is_empty(),
                _ => false,
            };
            spent += usize::from(is_spent);
            last = status;
        }
        spent
    }

    /// Asserts that a touch was asked for exactly once, and on this key.
    ///
    /// # Panics
    /// If it was not, with how often which key asked.
    #[track_caller]
    pub fn assert_touch_asked_once(&self, key: &str) {
        let asked = self.touches_asked();
        let once: BTreeMap<_, _> = [(key.to_owned(), 1)].into();
        assert!(asked == once, "a touch was to be asked for once, on {key}: it was asked for {}", counts(&asked));
    }

    /// Asserts that no key has spent a PIN retry.
    ///
    /// # Panics
    /// If one has, with which and how many.
    #[track_caller]
    pub fn assert_no_pin_retry_spent(&self) {
        let keys: std::collections::BTreeSet<_> = self.events.iter().filter_map(|event| event.key.clone()).collect();
        let spent: BTreeMap<_, _> = keys
            .into_iter()
            .map(|key| (key.clone(), self.pin_retries_spent(&key)))
            .filter(|(_, count)| *count > 0)
            .collect();
        assert!(spent.is_empty(), "no PIN retry was to be spent: there were {}", counts(&spent));
    }
}

fn counts(counts: &BTreeMap<String, usize>) -> String {
    if counts.is_empty() {
        return "nowhere".to_owned();
    }
    counts.iter().map(|(key, count)| format!("{count} times on {key}")).collect::<Vec<_>>().join(", ")
}
