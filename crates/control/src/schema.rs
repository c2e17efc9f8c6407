//! The schemas of members whose readers have limits, made of the same limits.

use keyrig_authenticator::Profile;
use keyrig_authenticator::administration::MAX_CREDENTIAL_ID;
use keyrig_authenticator::credential::MAX_USER_ID;
use keyrig_authenticator::profile::{EnterpriseAttestation, Quirk, VirtualAuthenticator, VirtualTransport};
use keyrig_ctap::hid::MAX_MESSAGE_SIZE;
use keyrig_rack::snapshot::MAX_SNAPSHOT;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, SchemaType, Type};

use crate::timeout::MAX_TIMEOUT_MS;

fn or_null(of: Type) -> SchemaType {
    SchemaType::from_iter([of, Type::Null])
}

/// Whole groups of four, and at the end what two bytes or one leave, without bits that stand for nothing (RFC 4648 §3.5).
pub(crate) fn base64url(description: &str) -> ObjectBuilder {
    let pattern = "^([A-Za-z0-9_-]{4})*([A-Za-z0-9_-][AQgw]|[A-Za-z0-9_-]{2}[AEIMQUYcgkosw048])?$";
    ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern)).description(Some(description))
}

/// How long so many bytes are in base64url without padding.
const fn encoded(bytes: usize) -> usize {
    (bytes * 4).div_ceil(3)
}

fn up_to(most: u64) -> ObjectBuilder {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0_usize)).maximum(Some(most))
}

pub(crate) fn timeout_ms() -> ObjectBuilder {
    up_to(MAX_TIMEOUT_MS).description(Some("For how long to wait, milliseconds."))
}

pub(crate) fn event_id() -> ObjectBuilder {
    up_to(u64::MAX).description(Some("The number of the event; 0 is before the first."))
}

pub(crate) fn sign_count() -> ObjectBuilder {
    let described = "The signature counter: the value in the last assertion, and the next has one more, so that 4294967295 \
                     is refused. Without it, it is always 0, as those of synchronised passkeys are.";
    up_to(u32::MAX.into()).schema_type(or_null(Type::Integer)).description(Some(described))
}

/// A message in hexadecimal.
pub(crate) fn message() -> ObjectBuilder {
    let text = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^([0-9A-Fa-f]{2})*$"));
    text.max_length(Some(2 * MAX_MESSAGE_SIZE)).description(Some("The message, in hexadecimal."))
}

pub(crate) fn profile() -> ObjectBuilder {
    let text = ObjectBuilder::new().schema_type(or_null(Type::String));
    let names: Vec<_> = Profile::built_in_names().map(|name| name.replace('.', "\\.")).collect();
    let aaguid = "mds:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}";
    let described = "The name of its profile, or mds:AAGUID of a rack that was given FIDO metadata; without it, that of the \
                     snapshot, or keyrig.";
    text.pattern(Some(format!("^({}|{aaguid})$", names.join("|")))).description(Some(described))
}

pub(crate) fn quirks() -> ArrayBuilder {
    let name = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(Quirk::names()));
    let described = "Known bugs of real keys that it is to have beside what its profile says: those that change something there, \
                     and do not contradict each other.";
    ArrayBuilder::new().items(name).unique_items(true).description(Some(described))
}

pub(crate) fn enterprise_rps() -> ArrayBuilder {
    let host = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[A-Za-z0-9.-]+$"));
    let host = host.max_length(Some(EnterpriseAttestation::MAX_RP_ID));
    let described = "RP IDs that it gives enterprise attestations to, beside those of its profile, once that is enabled: at a key \
                     that is capable of them.";
    ArrayBuilder::new().items(host).description(Some(described))
}

pub(crate) fn snapshot() -> ObjectBuilder {
    base64url("The snapshot.").max_length(Some(encoded(MAX_SNAPSHOT)))
}

pub(crate) fn credential_id() -> ObjectBuilder {
    let id = base64url("The credential id, in base64url without padding.");
    id.min_length(Some(encoded(1))).max_length(Some(encoded(MAX_CREDENTIAL_ID)))
}

pub(crate) fn template_id() -> ObjectBuilder {
    let id = base64url("The id of the fingerprint's template, in base64url without padding.");
    id.min_length(Some(encoded(1))).max_length(Some(encoded(MAX_CREDENTIAL_ID)))
}

pub(crate) fn rp_id() -> ObjectBuilder {
    let text = ObjectBuilder::new().schema_type(Type::String).description(Some("The RP ID; for CTAP1/U2F the AppID."));
    // No longer than the messages that the key takes, which is its own.
    let longest = Profile::built_in_names().filter_map(Profile::built_in).map(|profile| profile.max_msg_size.into());
    text.max_length(longest.max())
}

pub(crate) fn user_id() -> ObjectBuilder {
    let described = "The user handle: a credential that has one is discoverable, and others are not.";
    let id = base64url(described).schema_type(or_null(Type::String));
    id.max_length(Some(encoded(MAX_USER_ID)))
}

pub(crate) fn cred_random() -> ObjectBuilder {
    let described = "What hmac-secret and prf compute with, CredRandomWithUV and CredRandomWithoutUV behind it; without it the key \
                     that imports the credential has its own.";
    exactly(64, described)
}

pub(crate) fn large_blob_key() -> ObjectBuilder {
    exactly(32, "largeBlobKey.")
}

fn exactly(bytes: usize, description: &str) -> ObjectBuilder {
    let text = base64url(description).schema_type(or_null(Type::String));
    text.min_length(Some(encoded(bytes))).max_length(Some(encoded(bytes)))
}

/// A virtual authenticator of WebDriver, in the place of a profile.
pub(crate) fn virtual_authenticator() -> ObjectBuilder {
    let text = |values: &[&str]| {
        let values: Vec<_> = values.iter().copied().map(serde_json::Value::from).collect();
        ObjectBuilder::new().schema_type(Type::String).enum_values(Some(values))
    };
    let flag = |described: &str| ObjectBuilder::new().schema_type(Type::Boolean).description(Some(described));
    let extensions = ArrayBuilder::new().items(text(&VirtualAuthenticator::EXTENSIONS));
    let transports = text(&VirtualTransport::ALL.map(VirtualTransport::name));
    ObjectBuilder::new()
        .schema_type(or_null(Type::Object))
        .description(Some("In the place of a profile: a virtual authenticator of WebDriver (WebAuthn Level 3 §11)."))
        .property("protocol", text(&["ctap1/u2f", "ctap2", "ctap2_1"]))
        .required("protocol")
        .property("resident_keys", flag("Whether it makes discoverable credentials."))
        .property("user_verification", flag("Whether it verifies its user itself."))
        .property("extensions", extensions.description(Some("By the names that WebAuthn has for them.")))
        .property("backup_eligible", flag("BE of the credentials that it makes."))
        .property("backup_state", flag("BS of the credentials that it makes."))
        .property(
            "transport",
            transports.description(Some("How it says that it is reached; one that is internal is on no USB.")),
        )
        .additional_properties(Some(utoipa::openapi::schema::AdditionalProperties::FreeForm(false)))
}
