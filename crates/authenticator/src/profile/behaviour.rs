//! What keys do differently where getInfo says nothing of it. The default is what the specification says.

use core::fmt;
use std::collections::BTreeMap;

use keyrig_ctap::Status;
use serde::de::{DeserializeSeed, Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::source::{Known, Source};
use super::value::{IdLength, StoredIdLength, Value, words};
use crate::credential::Own;
use crate::pin::LONGEST_PIN;

/// A field of [`Behaviour`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name in a profile.
    pub name: &'static str,
    /// What it says.
    pub what: &'static str,
    /// Where the specification says what is the default.
    pub section: &'static str,
}

/// What no record of any key tells, and what is therefore no field: keys do it in one way.
const NEVER_RECORDED: &[Field] = &[
    Field {
        name: "ctaphid_lock",
        what: "Which keys have CTAPHID_LOCK: all here have it.",
        section: "CTAP 2.3 §11.2.9.2.2",
    },
    Field {
        name: "ctaphid_init_on_unopened_channel",
        what: "What CTAPHID_INIT gets on a channel that was not opened: an error here.",
        section: "CTAP 2.3 §11.2.9.1.3",
    },
    Field { name: "keepalive_interval", what: "How often CTAPHID_KEEPALIVE comes.", section: "CTAP 2.3 §11.2.9.1.7" },
    Field {
        name: "attestation_subject",
        what: "Whom the attestation certificate names: here keyrig, with TEST.",
        section: "WebAuthn Level 3 §8.2.1",
    },
];

/// A field in which a key deviates from the specification, or is known not to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stated<'a> {
    /// The field.
    pub field: Field,
    /// What the key does.
    pub value: String,
    /// What the specification says.
    pub default: String,
    /// Where what the key does is known from.
    pub source: &'a Source,
}

impl Stated<'_> {
    /// Whether the key deviates from the specification.
    #[must_use]
    pub fn deviates(&self) -> bool {
        self.value != self.default
    }
}

macro_rules! behaviour {
    ($($(#[doc = $doc:literal])+ $field:ident: $type:ty = $default:expr, $section:literal;)*) => {
        /// How a key behaves, as a profile's table `behaviour` says: each field as `{ is = …, known = …, from = … }`.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Behaviour {
            $($(#[doc = $doc])+ pub $field: $type,)*
            sources: BTreeMap<&'static str, Source>,
        }

        impl Default for Behaviour {
            fn default() -> Self {
                Self { $($field: $default,)* sources: BTreeMap::new() }
            }
        }

        /// All fields, in the order in which they are told.
        const FIELDS: &[Field] =
            &[$(Field { name: stringify!($field), what: concat!($($doc),+), section: $section },)*];

        impl Behaviour {
            /// Sets a field.
            ///
            /// # Errors
            /// What would be allowed instead.
            pub(super) fn set(&mut self, field: &'static str, value: &toml::Value, source: Source) -> Result<(), String> {
                match field {
                    $(stringify!($field) => self.$field = Value::read(value)?,)*
                    _ => return Err(format!("{field} is no field of behaviour")),
                }
                self.sources.insert(field, source);
                Ok(())
            }

            fn shown(&self, field: &str) -> String {
                match field {
                    $(stringify!($field) => self.$field.shown(),)*
                    _ => String::new(),
                }
            }
        }
    };
}

behaviour! {
    /// When it is said that there is no credential for a login; without user presence it is always at once.
    no_credentials: NoCredentials = NoCredentials::AtOnce, "CTAP 2.3 §6.2.2 step 7";
    /// The status by which it is said.
    unknown_credential_status: Status = Status::NoCredentials, "CTAP 2.3 §6.2.2 step 7";
    /// What ends an enumeration of credential management, beside time, power, and other commands.
    enumeration: Enumeration = Enumeration::Strict, "CTAP 2.3 §6";
    /// Whether a touch is asked for.
    touch: Touch = Touch::Asked, "CTAP 2.3 §6.1.2 step 14";
    /// How long a touch is waited for, seconds.
    touch_timeout: u8 = 30, "CTAP 2.3 §6.1.2 leaves it open, and wants at least 10";
    /// The status when it does not come in a ceremony.
    touch_timeout_status: Status = Status::OperationDenied, "CTAP 2.3 §6.1.2 step 14, §6.2.2 step 9";
    /// The same while no PIN is set, if that is another.
    touch_timeout_without_pin_status: Option<Status> = None, "CTAP 2.3 §6.1.2 step 14, §6.2.2 step 9";
    /// The status when it does not come for a selection or a reset.
    choice_timeout_status: Status = Status::UserActionTimeout, "CTAP 2.3 §6.6, §6.9";
    /// Whether a pinUvAuthParam of no bytes asks for a touch.
    probe: Probe = Probe::Waits, "CTAP 2.3 §6.1.2 step 1";
    /// Whether getAssertion answers such a one at once, whatever makeCredential does.
    get_assertion_probe_at_once: bool = false, "CTAP 2.3 §6.2.2 step 1";
    /// The status behind such a touch while no PIN is set.
    probe_status_without_pin: Status = Status::PinNotSet, "CTAP 2.3 §6.1.2 step 1";
    /// The status behind such a touch while a PIN is set.
    probe_status_with_pin: Status = Status::PinInvalid, "CTAP 2.3 §6.1.2 step 1";
    /// The status for a pinUvAuthParam of a ceremony while no PIN is set.
    without_pin_status: Status = Status::PinAuthInvalid, "CTAP 2.3 §6.1.2 step 11";
    /// Whether a pinUvAuthParam without a protocol is one by protocol one.
    assumes_protocol_one: bool = false, "CTAP 2.3 §6.1.2 step 2";
    /// The status for a PIN/UV auth protocol that the key does not have.
    unknown_protocol_status: Status = Status::InvalidParameter, "CTAP 2.3 §6.1.2 step 2";
    /// The status of makeCredential for a protocol without a pinUvAuthParam, while a PIN is set.
    protocol_without_param_status: Option<Status> = None, "CTAP 2.3 §6.1.2 says nothing of it";
    /// Whether the option `uv` is ignored.
    ignores_uv_option: bool = false, "CTAP 2.3 §6.1.2 step 5";
    /// The status for the option `uv`, true or false, on a key without built-in user verification.
    uv_option_status: Option<Status> = None, "CTAP 2.3 §6.1.2 step 5";
    /// The status for the option `uv` if it is true, and there is neither a pinUvAuthParam nor built-in user verification.
    uv_true_status: Status = Status::InvalidOption, "CTAP 2.3 §6.1.2 step 5";
    /// The status for the option `uv` if it is true beside a pinUvAuthParam.
    uv_with_param_status: Option<Status> = None, "CTAP 2.3 §6.1.2 step 5";
    /// The status for the option `rk` of getAssertion.
    get_assertion_rk_status: Status = Status::UnsupportedOption, "CTAP 2.3 §6.2.2 step 4";
    /// Whether getAssertion takes the option `rk` if it is false.
    get_assertion_takes_rk_false: bool = false, "CTAP 2.3 §6.2.2 step 4";
    /// The status of getAssertion for the option `up` if it is false.
    silent_status: Option<Status> = None, "CTAP 2.3 §6.2.2 step 4";
    /// Whether alwaysUv is meant for getAssertion without user presence, too.
    always_uv_covers_silent: bool = false, "CTAP 2.3 §6.2.2 step 5";
    /// The status of getAssertion without the pinUvAuthParam that alwaysUv wants.
    always_uv_status: Status = Status::PuatRequired, "CTAP 2.3 §6.2.2 step 5";
    /// The status for an option that CTAP does not name.
    unknown_option_status: Option<Status> = None, "CTAP 2.3 §6.1.2 step 5";
    /// The status for an extension that the key does not have.
    unknown_extension_status: Option<Status> = None, "WebAuthn Level 3 §9";
    /// The status for one algorithm among others that the key does not have.
    unknown_algorithm_status: Option<Status> = None, "CTAP 2.3 §6.1.2 step 3";
    /// The status for an empty user handle.
    empty_user_id_status: Option<Status> = None, "CTAP says nothing of one";
    /// Whether an empty user handle is told in getAssertion.
    tells_empty_user_id: bool = false, "CTAP 2.3 §6.2 says nothing of one; platforms fail on it";
    /// The status for an empty `displayName`.
    empty_display_name_status: Option<Status> = None, "CTAP 2.3 §6.1.2";
    /// The status for an absent `displayName`.
    absent_display_name_status: Option<Status> = None, "CTAP 2.3 §6.1";
    /// Whether names are cut within a character: what is told of them is no UTF-8.
    cuts_within_characters: bool = false, "WebAuthn Level 3 §6.4.1";
    /// Whether the exclude list is looked up at all relying parties.
    excludes_of_any_rp: bool = false, "CTAP 2.3 §6.1.2 step 12";
    /// Whether it is said before a touch that there is no room for a credential.
    full_at_once: bool = false, "CTAP 2.3 §6.1.2 step 17.4";
    /// How many ids a list may have though getInfo says nothing of it.
    unannounced_list_limit: Option<u8> = None, "CTAP 2.3 §6.4 (0x07)";
    /// Whether names are told to a user who is not verified.
    names_without_uv: bool = false, "CTAP 2.3 §6.2 (0x04)";
    /// Whether the credential is not named if the allow list has but one.
    omits_the_only_descriptor: bool = false, "CTAP 2.3 §6.2 (0x01)";
    /// Whether authenticator data of getAssertion has attested credential data.
    attested_data_in_assertion: bool = false, "WebAuthn Level 3 §6.1";
    /// Whether there is an extension output that nobody asked for, `unsolicited`.
    extra_extension: bool = false, "WebAuthn Level 3 §9.5";
    /// Whether the signature is wrong if hmac-secret is asked for.
    wrong_signature_with_hmac_secret: bool = false, "WebAuthn Level 3 §6.3.3";
    /// By how much the signature counter rises.
    counter_step: u8 = 1, "WebAuthn Level 3 §6.1.1 wants it to rise";
    /// Whether new credentials have a signature counter: those of synchronised passkeys say 0 always.
    counts_signatures: bool = true, "WebAuthn Level 3 §6.1.1";
    /// Whether each new credential has a signature counter of its own.
    counts_each_credential: bool = false, "WebAuthn Level 3 §6.1.1 leaves it open";
    /// Whether new credentials are said to be eligible for backup (BE).
    backup_eligible: bool = false, "WebAuthn Level 3 §6.1.3";
    /// Whether new credentials are said to be backed up (BS). Without BE it says nothing.
    backup_state: bool = false, "WebAuthn Level 3 §6.1.3";
    /// Whether credentials that are not discoverable are stored, as discoverable ones are, instead of living in their id.
    stores_all: bool = false, "WebAuthn Level 3 §4 leaves it open";
    /// How many bytes a PIN may have.
    longest_pin: u8 = LONGEST_PIN, "CTAP 2.3 §6.5.1";
    /// What getPINRetries answers while no PIN is set.
    retries_without_pin: RetriesWithoutPin = RetriesWithoutPin::Refused, "CTAP 2.3 §6.5.5.2 says nothing of it";
    /// Whether getPINRetries and getKeyAgreement are refused while the PIN is blocked.
    refuses_all_while_blocked: bool = false, "CTAP 2.3 §6.5.5.2, §6.5.5.4";
    /// Whether of a pinUvAuthParam by protocol two only the first half is compared.
    compares_half_of_param: bool = false, "CTAP 2.3 §6.5.7";
    /// Whether no pinUvAuthParam by protocol two verifies.
    fails_protocol_two: bool = false, "CTAP 2.3 §6.5.7";
    /// How often built-in user verification may fail in a row before it is disabled until the PIN is entered.
    uv_retries: u8 = 5, "CTAP 2.3 §6.5.2.3 leaves it open, from 1 to 25";
    /// How many attempts it has within a ceremony whose option `uv` asks for it.
    uv_internal_attempts: u8 = 3, "CTAP 2.3 §6.5.2.3 leaves it open, from 1 to 5";
    /// What enumerateRPsBegin answers if there are no credentials.
    empty_rp_list: EmptyRpList = EmptyRpList::NoCredentials, "CTAP 2.3 §6.8.3";
    /// How requests are read that have not the members, types or depth that they should.
    reading: Reading = Reading::Strict, "CTAP 2.3 §6.1.2, §8";
    /// How long after power-up a reset is taken, seconds.
    reset_window: u8 = 10, "CTAP 2.3 §6.6";
    /// Whether WINK is answered, if the capabilities have it.
    answers_wink: bool = true, "CTAP 2.3 §11.2.9.2.1";
    /// How the ids of channels come about.
    channel_ids: ChannelIds = ChannelIds::Random, "CTAP 2.3 §11.2.9.1.3 leaves it open";
    /// Whether the attestation certificate tells transports, as one of CTAP1/U2F does.
    attestation_tells_transports: bool = false, "FIDO U2F Authenticator Transports Extension 1.2 §3";
    /// Whether the attestation root is sent along.
    attestation_sends_root: bool = false, "WebAuthn Level 3 §8.2";
    /// How long the ids of new credentials are that are not discoverable.
    credential_id_length: IdLength = IdLength::DEFAULT, "WebAuthn Level 3 §4 leaves it open";
    /// How long those of discoverable ones are, if that is another length.
    discoverable_id_length: Option<StoredIdLength> = None, "WebAuthn Level 3 §4 leaves it open";
    /// How long key handles of CTAP1/U2F are, if that is another length.
    key_handle_length: Option<IdLength> = None, "FIDO U2F Raw Message Formats 1.2 §4.3 leaves it open";
}

words! {
    /// When a key says that it has no credential for a login. Without user presence (`up` is false) it is always said at once.
    NoCredentials {
        /// Before anybody is asked (CTAP 2.1 §6.2.2 step 7, CTAP 2.3 §6.2.2 step 7).
        AtOnce = "at-once",
        /// After the touch (CTAP 2.0 §5.2, authenticatorGetAssertion).
        AfterTouch = "after-touch",
        /// After the touch if there is an allow list, at once if there is none.
        AfterTouchIfListed = "after-touch-if-listed",
    }
    /// Whether a key asks for a touch.
    Touch {
        /// Each time.
        Asked = "asked",
        /// A touch up to two seconds before counts.
        Latched = "latched",
        /// Not for the first command within two seconds of power-up.
        FirstFree = "first-free",
        /// Never, but for a reset.
        Never = "never",
    }
    /// What a pinUvAuthParam of no bytes asks for, in a ceremony.
    Probe {
        /// A touch (CTAP 2.3 §6.1.2 step 1).
        Waits = "waits",
        /// A touch, if a protocol is named; otherwise CTAP2_ERR_MISSING_PARAMETER is said at once.
        NeedsProtocol = "needs-protocol",
    }
    /// What getPINRetries answers while no PIN is set.
    RetriesWithoutPin {
        /// CTAP2_ERR_PIN_NOT_SET, as YubiKeys do and clients rely on.
        Refused = "refused",
        /// Nothing, ever: the host hears that the command is being processed.
        Silence = "silence",
    }
    /// What enumerateRPsBegin answers if there are no credentials.
    EmptyRpList {
        /// CTAP2_ERR_NO_CREDENTIALS.
        NoCredentials = "no-credentials",
        /// Success, and a total of none.
        TotalOfNone = "total-of-none",
        /// Success, and nothing more.
        Nothing = "nothing",
    }
    /// How requests are read.
    Reading {
        /// By the specification.
        Strict = "strict",
        /// By the specification, but with the keys of maps in any order: Firefox 153 writes options so to keys of CTAP 2.0 that
        /// verify their user themselves.
        AnyOrder = "any-order",
        /// As Yubico's first FIDO2 keys read them.
        EarlyYubico = "early-yubico",
    }
    /// How the ids of CTAPHID channels come about.
    ChannelIds {
        /// At random.
        Random = "random",
        /// They are counted.
        Counted = "counted",
        /// They are two small numbers that rise.
        TwoCounters = "two-counters",
    }
    /// What ends an enumeration of credential management, beside time, power, and other commands than credential management.
    Enumeration {
        /// Any other subcommand (CTAP 2.3 §6, stateful commands).
        Strict = "strict",
        /// No other subcommand: relying parties and the credentials of one have a cursor each, which a host that interleaves them
        /// needs.
        TwoCursors = "two-cursors",
    }
}

impl NoCredentials {
    /// Whether the user is asked for a touch first.
    pub(crate) fn asks(self, listed: bool) -> bool {
        match self {
            Self::AtOnce => false,
            Self::AfterTouch => true,
            Self::AfterTouchIfListed => listed,
        }
    }
}

impl Behaviour {
    /// What is known of the key, in the order of the fields.
    pub fn stated(&self) -> impl Iterator<Item = Stated<'_>> {
        let default = Self::default();
        FIELDS.iter().filter_map(move |field| {
            let source = self.sources.get(field.name)?;
            Some(Stated { field: *field, value: self.shown(field.name), default: default.shown(field.name), source })
        })
    }

    /// What a new credential has of its own, if it was counted for so far.
    pub(crate) fn own(&self, counter: u32) -> Option<Own> {
        let differs = !self.counts_signatures || self.counts_each_credential || self.backup_eligible;
        differs.then(|| Own {
            counter: self.counts_signatures.then_some(counter),
            backup_eligible: self.backup_eligible,
            backup_state: self.backup_eligible && self.backup_state,
            ..Own::counting_from(counter)
        })
    }

    /// Whether a new credential is stored that is not discoverable: one that lives in its id has nothing of its own.
    pub(crate) fn stores_what_is_not_discoverable(&self) -> bool {
        self.stores_all || self.own(0).is_some()
    }

    /// Whether a key of this behaviour does anything otherwise than one of the other, wherever that is known from.
    pub(super) fn differs_from(&self, other: &Self) -> bool {
        FIELDS.iter().any(|field| self.shown(field.name) != other.shown(field.name))
    }

    /// The fields of which nothing is known: the key does what the specification says. What is known of no key is among them.
    pub(super) fn unknown(&self) -> impl Iterator<Item = Field> {
        let unknown = FIELDS.iter().filter(|field| !self.sources.contains_key(field.name));
        unknown.chain(NEVER_RECORDED).copied()
    }
}

impl<'de> Deserialize<'de> for Behaviour {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Table)
    }
}

/// Errors come from where a key or a value is read, so that they have its line.
struct Table;

impl<'de> Visitor<'de> for Table {
    type Value = Behaviour;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table of behaviour")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Behaviour, A::Error> {
        let mut behaviour = Behaviour::default();
        while let Some(field) = map.next_key_seed(Name)? {
            map.next_value_seed(Assignment { behaviour: &mut behaviour, field })?;
        }
        Ok(behaviour)
    }
}

struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = &'static str;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<&'static str, D::Error> {
        let name = String::deserialize(deserializer)?;
        field(&name).ok_or_else(|| D::Error::custom(format!("unknown field `{name}`")))
    }
}

/// The name of a field, if it is one.
pub(super) fn field(name: &str) -> Option<&'static str> {
    FIELDS.iter().find(|field| field.name == name).map(|field| field.name)
}

struct Assignment<'a> {
    behaviour: &'a mut Behaviour,
    field: &'static str,
}

impl<'de> DeserializeSeed<'de> for Assignment<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Written {
            is: toml::Value,
            known: Known,
            from: String,
        }
        let Written { is, known, from } = Written::deserialize(deserializer)?;
        self.behaviour.set(self.field, &is, Source { known, from }).map_err(D::Error::custom)
    }
}
