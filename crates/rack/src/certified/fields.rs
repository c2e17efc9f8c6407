//! The fields of a profile, one after the other.

use core::ops::RangeInclusive;
use std::collections::BTreeSet;

use keyrig_ctap::Aaguid;
use keyrig_ctap::cose::Algorithm;
use keyrig_ctap::get_info::OptionId;
use keyrig_metadata::{GetInfo, Statement};
use toml::{Table, Value};

const PIN_RETRIES: u64 = 8;
/// What CTAP 2.3 §6.4 has where the member is absent, bytes.
const DEFAULT_MAX_MSG_SIZE: u64 = 1024;
const DEFAULT_CAPACITY: u64 = 25;
/// What a CTAPHID message holds at most (CTAP 2.3 §11.2.4), bytes.
const LONGEST_MESSAGE: u64 = 7609;
const DEFAULT_ID_LENGTH: u64 = 64;

/// What is being made of a statement.
pub(super) struct Fields<'a> {
    statement: &'a Statement,
    info: &'a GetInfo,
    profile: Table,
    behaviour: Table,
    unproven: Table,
    not_built: Vec<String>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(statement: &'a Statement, info: &'a GetInfo) -> Self {
        Self {
            statement,
            info,
            profile: Table::new(),
            behaviour: Table::new(),
            unproven: Table::new(),
            not_built: Vec::new(),
        }
    }

    /// The profile's text.
    pub(super) fn text(mut self) -> String {
        let not_built: BTreeSet<_> = self.not_built.iter().map(|withheld| shown(withheld)).collect();
        self.set("not_built", texts(not_built));
        self.set("behaviour", Value::Table(self.behaviour.clone()));
        self.set("unproven", Value::Table(self.unproven.clone()));
        self.profile.to_string()
    }

    fn set(&mut self, field: &str, value: impl Into<Value>) {
        self.profile.insert(field.to_owned(), value.into());
    }

    fn unproven(&mut self, field: &str, why: &str) {
        self.unproven.insert(field.to_owned(), text(why));
    }

    fn not_built(&mut self, what: impl Into<String>) {
        self.not_built.push(what.into());
    }

    fn option(&self, id: OptionId) -> Option<bool> {
        self.info.options.get(id.name()).copied()
    }

    /// A number, within what is built; what was stated beyond that is withheld.
    fn within(&mut self, member: &str, stated: u64, bounds: RangeInclusive<u64>) -> u64 {
        let value = stated.clamp(*bounds.start(), *bounds.end());
        if value != stated {
            self.not_built(format!("{member}: {stated} (here {value})"));
        }
        value
    }

    fn set_within(&mut self, field: &str, member: &str, stated: Option<u64>, bounds: RangeInclusive<u64>) {
        if let Some(stated) = stated {
            let value = self.within(member, stated, bounds);
            self.set(field, number(value));
        }
    }

    pub(super) fn identity(&mut self, aaguid: Aaguid) {
        let name = shown(&self.statement.description);
        let name = if name.is_empty() { aaguid.to_string() } else { name };
        self.set("description", format!("{name} (as its metadata statement says: behaviour is keyrig's)"));
        self.set("imitates", name);
        self.set("aaguid", aaguid.to_string());
        let inside = self.info.aaguid.to_ascii_lowercase().replace('-', "");
        if !inside.is_empty() && inside != aaguid.to_string().replace('-', "") {
            self.not_built(format!("aaguid: {inside} (its getInfo names another than the statement)"));
        }
        self.set("compared_with", "its metadata statement, which is not what goes over the wire");
        let usb = [
            ("vendor_id", number(0x1209)),
            ("product_id", number(0x0001)),
            ("device_release", number(0x0100)),
            ("manufacturer", text("keyrig")),
            ("product", text("keyrig software security key")),
            ("interval", number(2)),
        ];
        self.set("usb", Value::Table(usb.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()));
        for field in ["vendor_id", "product_id", "device_release", "manufacturer", "product", "interval"] {
            self.unproven(&format!("usb.{field}"), "keyrig's own: a statement tells nothing of USB");
        }
        let mut ctaphid = Table::new();
        ctaphid.insert("version".to_owned(), Value::Array([0, 1, 0].map(Value::Integer).to_vec()));
        ctaphid.insert("capabilities".to_owned(), texts(["WINK", "CBOR"]));
        self.set("ctaphid", Value::Table(ctaphid));
        for field in ["version", "capabilities"] {
            self.unproven(&format!("ctaphid.{field}"), "keyrig's own: a statement tells nothing of CTAPHID");
        }
    }

    pub(super) fn protocols(&mut self) {
        let versions = self.info.versions.iter().map(|version| shown(version));
        self.set("versions", texts(versions));
        self.set("transports", texts(self.info.transports.iter().map(|transport| shown(transport))));
        let mut protocols = Vec::new();
        for stated in &self.info.pin_uv_auth_protocols {
            match stated {
                1 | 2 if protocols.contains(stated) => {}
                1 | 2 => protocols.push(*stated),
                other => self.not_built.push(format!("pinUvAuthProtocols: {other}")),
            }
        }
        let wants_one = self.option(OptionId::ClientPin).is_some()
            || self.option(OptionId::Uv).is_some() && self.option(OptionId::PinUvAuthToken) == Some(true)
            || self.info.extensions.iter().any(|extension| extension == "hmac-secret");
        if protocols.is_empty() && wants_one {
            protocols.push(1);
            self.unproven("pin_uv_auth_protocols", "the statement names none, and has what needs one: CTAP 2.0's");
        }
        self.set("pin_uv_auth_protocols", protocols.into_iter().map(number).collect::<Vec<_>>());
        let later = |version: &String| !["FIDO_2_0", "U2F_V2"].contains(&version.as_str());
        if !self.info.versions.iter().any(later) {
            let from = "CTAP 2.0 §5.2 has it, and the statement names no later version";
            self.behaviour.insert("no_credentials".to_owned(), behaviour(text("after-touch"), "guessed", from));
        }
    }

    pub(super) fn algorithms(&mut self) {
        let mut algorithms: Vec<Algorithm> = Vec::new();
        for stated in &self.info.algorithms {
            match Algorithm::from_identifier(stated.alg) {
                Some(known) if algorithms.contains(&known) => {}
                Some(known) => algorithms.push(known),
                None => self.not_built.push(format!("algorithms: {}", stated.alg)),
            }
        }
        let tells = !algorithms.is_empty();
        if !tells {
            let named = |algorithm: &str| match algorithm {
                "secp256r1_ecdsa_sha256_raw" | "secp256r1_ecdsa_sha256_der" => Some(Algorithm::Es256),
                "ed25519_eddsa_sha512_raw" => Some(Algorithm::EdDsa),
                "secp384r1_ecdsa_sha384_raw" => Some(Algorithm::Es384),
                _ => None,
            };
            for known in self.statement.authentication_algorithms.iter().filter_map(|algorithm| named(algorithm)) {
                if !algorithms.contains(&known) {
                    algorithms.push(known);
                }
            }
            self.unproven("algorithms", "getInfo names none: those of the statement's authenticationAlgorithms");
        }
        if algorithms.is_empty() {
            algorithms.push(Algorithm::Es256);
            self.unproven("algorithms", "what CTAP 2.0 asks of every key: the statement has none that is built");
        }
        self.set("tells_algorithms", tells);
        self.set("algorithms", texts(algorithms.iter().map(|algorithm| algorithm.name())));
    }

    pub(super) fn options(&mut self) {
        let mut options = Table::new();
        for (name, stated) in &self.info.options {
            let Some(id) = OptionId::from_name(name) else {
                self.not_built.push(format!("options: {name}"));
                continue;
            };
            let value = match id {
                // A key that asks for touches has it, and it is true if it is not said.
                OptionId::Up if !stated => {
                    self.not_built.push("options: up false (keys here are touched)".to_owned());
                    continue;
                }
                OptionId::ClientPin | OptionId::BioEnroll | OptionId::UserVerificationMgmtPreview | OptionId::Ep => {
                    false
                }
                OptionId::Uv if self.knows_fingerprints() => false,
                _ => *stated,
            };
            if value != *stated {
                let why = format!("that of a new key: the statement says {stated}, of the key that was certified");
                self.unproven.insert(format!("options.{name}"), text(&why));
            }
            if id == OptionId::Ep {
                let why =
                    "the statement does not say who has enterprise attestations: whom a managed platform asks for";
                self.unproven("enterprise_attestation", why);
            }
            options.insert(name.clone(), value.into());
        }
        // U2F cannot verify a user (CTAP 2.3 §7.2.4).
        if self.option(OptionId::AlwaysUv) == Some(true) {
            if self.info.versions.iter().any(|version| version == "U2F_V2") {
                self.not_built.push("versions: U2F_V2 (not while alwaysUv is on)".to_owned());
            }
            if self.option(OptionId::MakeCredUvNotRqd) == Some(true) {
                self.not_built.push("options: makeCredUvNotRqd (false while alwaysUv is on)".to_owned());
            }
        }
        self.set("options", Value::Table(options));
    }

    fn knows_fingerprints(&self) -> bool {
        self.option(OptionId::BioEnroll).is_some() || self.option(OptionId::UserVerificationMgmtPreview).is_some()
    }

    pub(super) fn extensions(&mut self) {
        let has = |name: &str| self.info.extensions.iter().any(|extension| extension == name);
        let missing = |extension: &str| match extension {
            "largeBlobKey" if self.option(OptionId::LargeBlobs) != Some(true) => Some("the option largeBlobs"),
            "hmac-secret-mc" if !has("hmac-secret") => Some("hmac-secret"),
            "minPinLength" if self.option(OptionId::SetMinPinLength) != Some(true) => {
                Some("the option setMinPINLength")
            }
            "pinComplexityPolicy" if self.info.pin_complexity_policy.is_none() => {
                Some("the member pinComplexityPolicy")
            }
            _ => None,
        };
        let (mut kept, mut withheld) = (Vec::new(), Vec::new());
        for extension in &self.info.extensions {
            match missing(extension) {
                Some(what) => withheld.push(format!("extensions: {extension} (without {what})")),
                None => kept.push(shown(extension)),
            }
        }
        self.not_built.extend(withheld);
        self.set("extensions", texts(kept));
    }

    pub(super) fn sizes(&mut self) {
        match self.info.max_msg_size {
            Some(stated) => {
                let size = self.within("maxMsgSize", stated, 64..=LONGEST_MESSAGE);
                self.set("max_msg_size", number(size));
            }
            None => {
                self.set("max_msg_size", number(DEFAULT_MAX_MSG_SIZE));
                self.unproven("max_msg_size", "the statement has none: the specification's default");
            }
        }
        let count = self.info.max_credential_count_in_list.filter(|count| *count > 0);
        self.set_within("max_credential_count_in_list", "maxCredentialCountInList", count, 1..=1024);
        let id_length = self.info.max_credential_id_length.filter(|length| *length > 0);
        self.set_within("max_credential_id_length", "maxCredentialIdLength", id_length, 32..=LONGEST_MESSAGE);
        // Ids are not longer than what is announced.
        if let Some(longest) = id_length.filter(|longest| *longest < DEFAULT_ID_LENGTH) {
            let from = "the longest that is announced: a statement tells no other length";
            self.behaviour
                .insert("credential_id_length".to_owned(), behaviour(number(longest.max(32)), "guessed", from));
        }
        let array = self.info.max_serialized_large_blob_array;
        self.set_within("max_serialized_large_blob_array", "maxSerializedLargeBlobArray", array, 1024..=16_384);
        let has_cred_blob = self.info.extensions.iter().any(|extension| extension == "credBlob");
        match self.info.max_cred_blob_length {
            None if has_cred_blob => {
                self.set("max_cred_blob_length", number(32));
                self.unproven("max_cred_blob_length", "the statement has none: what the specification wants at least");
            }
            stated => self.set_within("max_cred_blob_length", "maxCredBlobLength", stated, 32..=1024),
        }
        let rp_ids = self.info.max_rp_ids_for_set_min_pin_length;
        self.set_within("max_rp_ids_for_set_min_pin_length", "maxRPIDsForSetMinPINLength", rp_ids, 0..=255);
        let remaining = self.info.remaining_discoverable_credentials;
        self.set("remaining_discoverable_credentials", remaining.is_some());
        let capacity = match remaining {
            Some(0) | None => {
                self.unproven("discoverable_credentials", "the statement does not tell how many fit");
                DEFAULT_CAPACITY
            }
            Some(stated) => self.within("remainingDiscoverableCredentials", stated, 1..=10_000),
        };
        self.set("discoverable_credentials", number(capacity));
    }

    pub(super) fn pins(&mut self) {
        self.set_within("min_pin_length", "minPINLength", self.info.min_pin_length, 4..=63);
        let shortest = self.info.min_pin_length.unwrap_or(4).clamp(4, 63);
        if let Some(stated) = self.info.max_pin_length {
            let longest = self.within("maxPINLength", stated, shortest.max(8)..=63);
            self.set("max_pin_length", number(longest));
            let from = "its metadata statement: maxPINLength";
            self.behaviour.insert("longest_pin".to_owned(), behaviour(number(longest), "documented", from));
        }
        if let Some(stated) = self.info.force_pin_change {
            self.set("force_pin_change", false);
            if stated {
                self.unproven("force_pin_change", "that of a new key: the statement says true");
            }
        }
        if let Some(policy) = self.info.pin_complexity_policy {
            self.set("pin_complexity_policy", policy);
        }
        if let Some(url) = &self.info.pin_complexity_policy_url {
            self.not_built(format!("pinComplexityPolicyURL: {url}"));
        }
        let passcodes = self.statement.user_verification_details.iter().flatten().filter_map(|method| method.ca_desc);
        let retries: BTreeSet<_> = passcodes.map(|passcode| passcode.max_retries).collect();
        for retries in retries.into_iter().filter(|retries| ![0, PIN_RETRIES].contains(retries)) {
            self.not_built(format!("PIN retries: {retries} (here {PIN_RETRIES})"));
        }
    }

    pub(super) fn user_verification(&mut self) {
        if self.option(OptionId::Uv).is_some() {
            let attempts = self.info.preferred_platform_uv_attempts;
            self.set_within("preferred_platform_uv_attempts", "preferredPlatformUvAttempts", attempts, 1..=255);
            self.set("uv_count_since_last_pin_entry", self.info.uv_count_since_last_pin_entry.is_some());
        }
        if let Some(modality) = self.info.uv_modality {
            self.set("uv_modality", number(modality));
        }
        let sensors = || self.statement.user_verification_details.iter().flatten().filter_map(|method| method.ba_desc);
        let templates = sensors().map(|sensor| sensor.max_templates).find(|templates| (1..=255).contains(templates));
        let retries = sensors().map(|sensor| sensor.max_retries).find(|retries| (1..=25).contains(retries));
        if let Some(retries) = retries.filter(|_| self.option(OptionId::Uv).is_some()) {
            let from = "its metadata statement: maxRetries";
            self.behaviour.insert("uv_retries".to_owned(), behaviour(number(retries), "documented", from));
        }
        if self.knows_fingerprints() {
            let mut sensor = Table::new();
            for (field, value) in
                [("kind", 1), ("samples", 5), ("templates", templates.unwrap_or(5)), ("longest_name", 15)]
            {
                sensor.insert(field.to_owned(), number(value));
                if field != "templates" || templates.is_none() {
                    self.unproven(&format!("fingerprints.{field}"), "the statement does not tell");
                }
            }
            self.set("fingerprints", Value::Table(sensor));
        }
    }

    pub(super) fn rest(&mut self) {
        if let Some(long) = self.info.long_touch_for_reset {
            self.set("long_touch_for_reset", long);
        }
        let transports = self.info.transports_for_reset.iter().map(|transport| shown(transport).to_lowercase());
        self.set("transports_for_reset", texts(transports));
        if !self.info.authenticator_config_commands.is_empty() {
            let commands: Vec<_> = self.info.authenticator_config_commands.iter().copied().map(number).collect();
            self.set("authenticator_config_commands", commands);
        }
        if let Some(version) = self.info.firmware_version {
            self.set("firmware_version", number(version));
        }
        self.set("attestation_formats", texts(self.info.attestation_formats.iter().map(|format| shown(format))));
        for (name, level) in &self.info.certifications {
            self.not_built.push(format!("certifications: {name} {level}"));
        }
        for command in &self.info.vendor_prototype_config_commands {
            self.not_built.push(format!("vendorPrototypeConfigCommands: {command}"));
        }
        let encrypted = self.info.enc_identifier.is_some() || self.info.enc_cred_store_state.is_some();
        match (self.option(OptionId::PerCredMgmtRo) == Some(true), encrypted) {
            (true, false) => {
                self.unproven(
                    "options.perCredMgmtRO",
                    "keys here that have it have encIdentifier and encCredStoreState too",
                );
            }
            (false, true) => {
                self.not_built("encIdentifier: with encCredStoreState (here with the option perCredMgmtRO alone)")
            }
            _ => {}
        }
    }
}

/// A text of a statement, as it may stand in a line: what is not seen is left out, and so is what is too long.
pub(super) fn shown(text: &str) -> String {
    let seen = text.split_whitespace().collect::<Vec<_>>().join(" ");
    seen.chars().filter(|character| !character.is_control()).take(120).collect()
}

fn text(value: &str) -> Value {
    Value::String(value.to_owned())
}

fn texts<T: AsRef<str>>(values: impl IntoIterator<Item = T>) -> Value {
    values.into_iter().map(|value| text(value.as_ref())).collect::<Vec<_>>().into()
}

fn number(value: u64) -> Value {
    Value::Integer(i64::try_from(value).unwrap_or(i64::MAX))
}

/// A field of behaviour.
fn behaviour(is: Value, known: &str, from: &str) -> Value {
    let stated = [("is", is), ("known", text(known)), ("from", text(from))];
    Value::Table(stated.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Table>())
}
