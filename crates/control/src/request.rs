//! The vocabulary of commands: what each is in JSON, `{"command":"touch","key":"a"}`, and the type of its answer.

use keyrig_authenticator::profile::VirtualAuthenticator;
use keyrig_faults::timeline::{Outcome, Timeline};
use keyrig_rack::KeyName;
use keyrig_rack::command::{RackState, WaitFor};
use keyrig_rack::events::Event;
use keyrig_rack::verification::UvPolicy;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use crate::credential::{Base64Url, Credential, LargeBlobs, ListedCredential, ReadLargeBlobs, WriteLargeBlobs};
pub use crate::fault::{FaultList, FaultState, ListFaults, SwitchFaultOn, SwitchFaultsOff};
pub use crate::fingerprint::{
    DeleteFingerprint, EnrollFingerprint, FingerprintList, ListFingerprints, ListedFingerprint, RenameFingerprint,
};
pub use crate::gesture::{Deny, Finger, Sample, SetTouchPolicy, SetUvPolicy, Touch, Verify};
pub use crate::timeout::{DEFAULT_TIMEOUT_MS, MAX_TIMEOUT_MS};

#[cfg(feature = "openapi")]
use crate::schema;
use crate::timeout;

/// A command to a running rack, with its answer.
pub trait Ask: Into<Request> {
    /// What a rack answers if it has carried it out.
    type Answer: DeserializeOwned;
}

/// List the keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct List {}

/// Wait until a key waits for a touch, is plugged in, or is attached; answered at once if it is. All who wait for it are answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Wait {
    /// The key.
    pub key: KeyName,
    /// What for.
    pub r#for: WaitFor,
    /// For how long, milliseconds, at most [`MAX_TIMEOUT_MS`].
    #[serde(default = "timeout::by_default", deserialize_with = "timeout::milliseconds")]
    #[cfg_attr(feature = "openapi", schema(schema_with = schema::timeout_ms))]
    pub timeout_ms: u64,
}

/// Tell what happened behind an event; if nothing has, wait until something does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Events {
    /// The number of the event; 0 is before the first.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(schema_with = schema::event_id))]
    pub after: u64,
    /// For how long to wait, milliseconds, at most [`MAX_TIMEOUT_MS`].
    #[serde(default, deserialize_with = "timeout::milliseconds")]
    #[cfg_attr(feature = "openapi", schema(schema_with = schema::timeout_ms))]
    pub timeout_ms: u64,
}

/// The most events in one answer.
pub const MAX_EVENTS: usize = 256;

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventList {
    /// The events, oldest first, at most [`MAX_EVENTS`]; none if nothing happened in the time. Ask again behind the last.
    pub events: Vec<Event>,
}

/// Pull a key out. Its host sees it go at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Unplug {
    /// The key.
    pub key: KeyName,
}

/// Put a key back in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Plug {
    /// The key.
    pub key: KeyName,
}

/// Pull a key out and put it back in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PowerCycle {
    /// The key.
    pub key: KeyName,
}

/// Send a CTAP message to a key and await its answer, without CTAPHID and USB. A key that carries out a command for a host
/// answers `CTAP1_ERR_CHANNEL_BUSY`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Transact {
    /// The key.
    pub key: KeyName,
    /// The message: command byte and parameters, at most as long as CTAPHID carries; in hexadecimal.
    #[serde(with = "hex::serde")]
    #[cfg_attr(feature = "openapi", schema(schema_with = schema::message))]
    pub message: Vec<u8>,
}

/// Send a CTAP1/U2F message (an APDU) to a key and await its answer, without CTAPHID and USB. A key never waits for a touch before it
/// answers one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct TransactU2f {
    /// The key.
    pub key: KeyName,
    /// The message; in hexadecimal.
    #[serde(with = "hex::serde")]
    #[cfg_attr(feature = "openapi", schema(schema_with = schema::message))]
    pub message: Vec<u8>,
}

/// What a key answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Transacted {
    /// The key, after its answer.
    #[serde(flatten)]
    pub state: RackState,
    /// Whether it asked for a touch before it answered.
    #[serde(default)]
    pub asked_for_touch: bool,
    /// Status byte and what follows, or of U2F data and status word; in hexadecimal.
    #[serde(with = "hex::serde")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, pattern = "^([0-9A-Fa-f]{2})*$"))]
    pub message: Vec<u8>,
}

/// Put another key into the rack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Create {
    /// Its name, which no other key has.
    pub name: KeyName,
    /// The name of its profile; without it, that of the snapshot, or `keyrig`.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(schema_with = schema::profile))]
    pub profile: Option<String>,
    /// In the place of a profile: a virtual authenticator of WebDriver (WebAuthn Level 3 §11).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(schema_with = schema::virtual_authenticator))]
    pub virtual_authenticator: Option<VirtualAuthenticator>,
    /// The names of quirks, known bugs of real keys that it is to have beside what its profile says: those that change something
    /// there, and do not contradict each other.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(schema_with = schema::quirks))]
    pub quirks: Vec<String>,
    /// RP IDs that it gives enterprise attestations to, beside those of its profile, once that is enabled: at a key that is capable of
    /// them.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(schema_with = schema::enterprise_rps))]
    pub enterprise_rps: Vec<String>,
    /// A snapshot of what it keeps from the start; without one it is new, or the one of this name that the state directory keeps.
    #[serde(default)]
    pub snapshot: Option<Base64Url>,
    /// Its PIN, from the start.
    #[serde(default)]
    pub pin: Option<Secret>,
    /// Whom it finds when it verifies its user itself, if it does; without it always the user.
    #[serde(default)]
    pub uv: Option<UvPolicy>,
    /// Whether it is plugged in.
    #[serde(default = "yes")]
    pub plugged: bool,
}

fn yes() -> bool {
    true
}

/// Take a key out of the rack, with all it keeps. What a state directory keeps of it stays there, and a key that is created under the same
/// name has it again. What waits for the key is answered. The answer is about the keys that are left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Remove {
    /// The key.
    pub key: KeyName,
}

/// Have a key forget everything, as authenticatorReset does, but at any time and without a touch. If it waits for a touch, that is denied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Reset {
    /// The key.
    pub key: KeyName,
}

/// Take a snapshot of a key: all that it keeps, private keys included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct TakeSnapshot {
    /// The key.
    pub key: KeyName,
}

/// A snapshot of a key. Private keys are in it, unencrypted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TakenSnapshot {
    /// The key.
    pub key: KeyName,
    /// Its profile.
    pub profile: String,
    /// The snapshot, as [`keyrig_rack::snapshot`] describes it.
    pub snapshot: Base64Url,
}

/// Have a key keep what a snapshot of a key of the same profile holds, and nothing else. If it waits for a touch, that is denied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Restore {
    /// The key.
    pub key: KeyName,
    /// The snapshot.
    #[cfg_attr(feature = "openapi", schema(schema_with = schema::snapshot))]
    pub snapshot: Base64Url,
}

/// Make another key that keeps what this one does, private keys and counters included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Clone {
    /// The key.
    pub key: KeyName,
    /// The name of the other one.
    pub name: KeyName,
}

/// Ask for the state of a key's PIN.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PinRetries {
    /// The key.
    pub key: KeyName,
}

/// Set a key's first PIN. If this PIN is set already, that is no error; another one is, and costs no try.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SetPin {
    /// The key.
    pub key: KeyName,
    /// The PIN.
    pub pin: Secret,
}

/// Change a key's PIN. A wrong one costs a try, as with the key itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ChangePin {
    /// The key.
    pub key: KeyName,
    /// The PIN that is set.
    pub pin: Secret,
    /// The one that is to be.
    pub new_pin: Secret,
}

/// The state of a key's PIN.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PinState {
    /// The key.
    pub key: KeyName,
    /// Whether a PIN is set.
    pub pin_set: bool,
    /// How many wrong ones there may still be, if one is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<u8>,
    /// Whether the key takes none before it was power-cycled, if one is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power_cycle_needed: Option<bool>,
}

/// List the credentials that a key stores: discoverable ones, and imported ones. No PIN is needed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ListCredentials {
    /// The key.
    pub key: KeyName,
}

/// The credentials that a key stores.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CredentialList {
    /// The key.
    pub key: KeyName,
    /// The credentials, in the order of their ids.
    pub credentials: Vec<ListedCredential>,
}

/// Export credentials, private keys included: one, or all that are stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ExportCredentials {
    /// The key.
    pub key: KeyName,
    /// The id of the credential; without it, all that are stored.
    #[serde(default)]
    pub credential_id: Option<Base64Url>,
    /// Its RP ID or AppID: without it, a credential that lives in its id cannot be found.
    #[serde(default)]
    pub rp_id: Option<String>,
}

/// Exported credentials. Private keys are in it, unencrypted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ExportedCredentials {
    /// The credentials, as [`ImportCredentials`] takes them, and [`ImportCredential`] each.
    pub credentials: Vec<Credential>,
}

/// Import a credential that was made elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ImportCredential {
    /// The key.
    pub key: KeyName,
    /// The credential.
    pub credential: Credential,
}

/// Import credentials that were made elsewhere, as an export gives them: all of them, or none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ImportCredentials {
    /// The key.
    pub key: KeyName,
    /// The credentials.
    pub credentials: Vec<Credential>,
}

/// Delete a credential that a key stores. No PIN is needed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct DeleteCredential {
    /// The key.
    pub key: KeyName,
    /// The id of the credential.
    #[cfg_attr(feature = "openapi", schema(schema_with = schema::credential_id))]
    pub credential_id: Base64Url,
}

/// Have a credential that a key stores say from now on whether it is eligible for backup, and whether it is backed up (BE and BS;
/// WebAuthn Level 3 §6.1.3). One that had the key's signature counter goes on from there with its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SetBackup {
    /// The key.
    pub key: KeyName,
    /// The id of the credential.
    #[cfg_attr(feature = "openapi", schema(schema_with = schema::credential_id))]
    pub credential_id: Base64Url,
    /// BE.
    pub backup_eligible: bool,
    /// BS, which is false if BE is.
    pub backup_state: bool,
}

/// Do things to keys at times and upon conditions. The answer comes when all is done, or the time is over: then it says what is not.
/// Whoever asked and has gone has nothing more done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RunTimeline {
    /// What is done, and when.
    pub timeline: Timeline,
    /// For how long, milliseconds, at most [`MAX_TIMEOUT_MS`].
    #[serde(default = "timeout::by_default", deserialize_with = "timeout::milliseconds")]
    #[cfg_attr(feature = "openapi", schema(schema_with = schema::timeout_ms))]
    pub timeout_ms: u64,
}

/// A text that is shown nowhere: a PIN.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(transparent)]
pub struct Secret(pub String);

impl core::fmt::Debug for Secret {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Secret")
    }
}

/// Any command, as it comes over a socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub enum Request {
    /// [`List`].
    List(List),
    /// [`Touch`].
    Touch(Touch),
    /// [`Verify`].
    Verify(Verify),
    /// [`Sample`].
    Sample(Sample),
    /// [`Deny`].
    Deny(Deny),
    /// [`Wait`].
    Wait(Wait),
    /// [`Events`].
    Events(Events),
    /// [`Unplug`].
    Unplug(Unplug),
    /// [`Plug`].
    Plug(Plug),
    /// [`PowerCycle`].
    PowerCycle(PowerCycle),
    /// [`Finger`].
    Finger(Finger),
    /// [`SetTouchPolicy`].
    #[serde(rename = "touch-policy")]
    SetTouchPolicy(SetTouchPolicy),
    /// [`SetUvPolicy`].
    #[serde(rename = "uv-policy")]
    SetUvPolicy(SetUvPolicy),
    /// [`Transact`].
    Transact(Transact),
    /// [`TransactU2f`].
    TransactU2f(TransactU2f),
    /// [`Create`].
    Create(Create),
    /// [`Remove`].
    Remove(Remove),
    /// [`Reset`].
    Reset(Reset),
    /// [`TakeSnapshot`].
    TakeSnapshot(TakeSnapshot),
    /// [`Restore`].
    Restore(Restore),
    /// [`Clone`](struct@Clone).
    Clone(Clone),
    /// [`PinRetries`].
    PinRetries(PinRetries),
    /// [`SetPin`].
    SetPin(SetPin),
    /// [`ChangePin`].
    ChangePin(ChangePin),
    /// [`ListCredentials`].
    ListCredentials(ListCredentials),
    /// [`ExportCredentials`].
    ExportCredentials(ExportCredentials),
    /// [`ImportCredential`].
    ImportCredential(ImportCredential),
    /// [`ImportCredentials`].
    ImportCredentials(ImportCredentials),
    /// [`DeleteCredential`].
    DeleteCredential(DeleteCredential),
    /// [`SetBackup`].
    SetBackup(SetBackup),
    /// [`ReadLargeBlobs`].
    ReadLargeBlobs(ReadLargeBlobs),
    /// [`WriteLargeBlobs`].
    WriteLargeBlobs(WriteLargeBlobs),
    /// [`ListFingerprints`].
    ListFingerprints(ListFingerprints),
    /// [`EnrollFingerprint`].
    EnrollFingerprint(EnrollFingerprint),
    /// [`RenameFingerprint`].
    RenameFingerprint(RenameFingerprint),
    /// [`DeleteFingerprint`].
    DeleteFingerprint(DeleteFingerprint),
    /// [`RunTimeline`].
    #[serde(rename = "timeline")]
    RunTimeline(RunTimeline),
    /// [`SwitchFaultOn`].
    SwitchFaultOn(SwitchFaultOn),
    /// [`SwitchFaultsOff`].
    SwitchFaultsOff(SwitchFaultsOff),
    /// [`ListFaults`].
    ListFaults(ListFaults),
}

/// The answer to any command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// To a command that names a key that key, else all of them.
    State(RackState),
    /// To [`Transact`] and [`TransactU2f`].
    Transacted(Transacted),
    /// To [`Events`].
    Events(EventList),
    /// To [`TakeSnapshot`].
    Snapshot(TakenSnapshot),
    /// To what is about a PIN.
    Pin(PinState),
    /// To [`ListCredentials`].
    Credentials(CredentialList),
    /// To [`ExportCredentials`].
    Exported(ExportedCredentials),
    /// To [`ReadLargeBlobs`].
    LargeBlobs(LargeBlobs),
    /// To what is about fingerprints.
    Fingerprints(FingerprintList),
    /// To [`RunTimeline`].
    Timeline(Outcome),
    /// To what is about faults.
    Faults(FaultList),
}

macro_rules! answers {
    ($($command:ident => $answer:ty,)*) => {
        $(
            impl From<$command> for Request {
                fn from(command: $command) -> Self {
                    Self::$command(command)
                }
            }

            impl Ask for $command {
                type Answer = $answer;
            }
        )*
    };
}

answers! {
    List => RackState,
    Touch => RackState,
    Verify => RackState,
    Sample => RackState,
    Deny => RackState,
    Wait => RackState,
    Events => EventList,
    Unplug => RackState,
    Plug => RackState,
    PowerCycle => RackState,
    Finger => RackState,
    SetTouchPolicy => RackState,
    SetUvPolicy => RackState,
    Transact => Transacted,
    TransactU2f => Transacted,
    Create => RackState,
    Remove => RackState,
    Reset => RackState,
    TakeSnapshot => TakenSnapshot,
    Restore => RackState,
    Clone => RackState,
    PinRetries => PinState,
    SetPin => PinState,
    ChangePin => PinState,
    ListCredentials => CredentialList,
    ExportCredentials => ExportedCredentials,
    ImportCredential => RackState,
    ImportCredentials => RackState,
    DeleteCredential => RackState,
    SetBackup => RackState,
    ReadLargeBlobs => LargeBlobs,
    WriteLargeBlobs => RackState,
    ListFingerprints => FingerprintList,
    EnrollFingerprint => FingerprintList,
    RenameFingerprint => FingerprintList,
    DeleteFingerprint => FingerprintList,
    RunTimeline => Outcome,
    SwitchFaultOn => FaultList,
    SwitchFaultsOff => FaultList,
    ListFaults => FaultList,
}
