//! A profile out of a record: getInfo and how the key looks as they are, behaviour as it was seen.

use keyrig_authenticator::Profile;
use keyrig_authenticator::profile::InvalidProfile;
use keyrig_ctap::Status;
use keyrig_ctap::cose::Algorithm;
use keyrig_ctap::get_info::{OptionId, Response as Info};
use thiserror::Error;
use toml::{Table, Value};

use super::record::{Answer, Channels, KeyRecord, Question};
use crate::hardware::record::bytes_of;

/// A record yields no profile.
#[derive(Debug, Error)]
pub enum CannotImport {
    /// A key of U2F alone has no getInfo, from which a profile is made.
    #[error("the record has no answer to getInfo: a key of U2F alone is profile u2f-only")]
    NoInfo,
    /// Something in it is not as a record has it.
    #[error("{0} of the record cannot be read")]
    Unreadable(&'static str),
    /// What came of it is no profile of a key that is built here.
    #[error(transparent)]
    Profile(#[from] Box<InvalidProfile>),
}

/// Makes a profile of a record: its text, as files in `crates/authenticator/profiles` are, and it.
///
/// # Errors
/// [`CannotImport`].
pub fn profile(record: &KeyRecord, name: &str) -> Result<(String, Profile), CannotImport> {
    let info = record.get_info.as_deref().ok_or(CannotImport::NoInfo)?;
    let info = bytes_of(info).ok_or(CannotImport::Unreadable("get_info"))?;
    let info = Info::decode(&info).map_err(|_| CannotImport::Unreadable("get_info"))?;
    let table = table(record, &info)?;
    let text = format!("# Out of a record by {}.\n{table}", record.recorded_by);
    let profile = Profile::parse(name, &text).map_err(Box::new)?;
    Ok((text, profile))
}

/// What a record is called where a profile says where something is known from.
fn source(record: &KeyRecord) -> String {
    let usb = &record.usb;
    let words: Vec<_> = [&usb.manufacturer, &usb.product].into_iter().flatten().map(String::as_str).collect();
    let [major, minor, build] = record.ctaphid.device_version;
    format!("keyrig hid record of {}, {major}.{minor}.{build}", words.join(" "))
}

fn table(record: &KeyRecord, info: &Info) -> Result<Table, CannotImport> {
    let from = source(record);
    let mut profile = Table::new();
    let mut set = |field: &str, value: Option<Value>| {
        if let Some(value) = value {
            profile.insert(field.to_owned(), value);
        }
    };
    let usb = &record.usb;
    let product = usb.product.clone().unwrap_or_else(|| "security key".to_owned());
    set("description", text(&format!("{product} ({from})")));
    set("imitates", usb.manufacturer.as_deref().and_then(text));
    set("compared_with", text(&from));
    set("aaguid", text(&info.aaguid.to_string()));
    let mut not_built = Vec::new();
    let known = |parameters: &keyrig_ctap::entities::CredentialParameters| {
        let known = Algorithm::from_identifier(parameters.algorithm);
        if known.is_none() {
            not_built.push(format!("algorithms: {}", parameters.algorithm));
        }
        known
    };
    let mut algorithms: Vec<_> = info.algorithms.iter().filter_map(known).collect();
    let tells_algorithms = !info.algorithms.is_empty();
    if algorithms.is_empty() {
        algorithms.push(Algorithm::Es256);
    }
    set("algorithms", texts(algorithms.iter().map(|algorithm| algorithm.name())));
    set("tells_algorithms", Some(tells_algorithms.into()));
    set("versions", texts(&info.versions));
    set("extensions", texts(&info.extensions));
    set("transports", texts(&info.transports));
    set("attestation_formats", texts(&info.attestation_formats));
    set("transports_for_reset", texts(&info.transports_for_reset));
    set("pin_uv_auth_protocols", numbers(&info.pin_uv_auth_protocols));
    // What CTAP 2.3 §6.4 has where the member is absent, bytes.
    set("max_msg_size", number(info.max_msg_size.or(Some(1024))));
    for (field, value) in [
        ("max_credential_count_in_list", info.max_credential_count_in_list),
        ("max_credential_id_length", info.max_credential_id_length),
        ("max_serialized_large_blob_array", info.max_serialized_large_blob_array),
        ("max_cred_blob_length", info.max_cred_blob_length),
        ("max_rp_ids_for_set_min_pin_length", info.max_rp_ids_for_set_min_pin_length),
        ("min_pin_length", info.min_pin_length),
        ("max_pin_length", info.max_pin_length),
        ("firmware_version", info.firmware_version),
        ("preferred_platform_uv_attempts", info.preferred_platform_uv_attempts),
        ("uv_modality", info.uv_modality),
    ] {
        set(field, number(value));
    }
    // Those of a new key, whatever this one's owner has made of it.
    set("force_pin_change", info.force_pin_change.map(|_| false.into()));
    set("pin_complexity_policy", info.pin_complexity_policy.map(Into::into));
    set("long_touch_for_reset", info.long_touch_for_reset.map(Into::into));
    set("uv_count_since_last_pin_entry", Some(info.uv_count_since_last_pin_entry.is_some().into()));
    set("remaining_discoverable_credentials", Some(info.remaining_discoverable_credentials.is_some().into()));
    if !info.authenticator_config_commands.is_empty() {
        set("authenticator_config_commands", numbers(&info.authenticator_config_commands));
    }
    let mut unproven = Table::new();
    let capacity = info.remaining_discoverable_credentials.filter(|remaining| *remaining > 0);
    let why = if capacity.is_some() {
        "what still fitted when it was recorded: a new key may hold more"
    } else {
        "the key does not tell how many fit"
    };
    unproven.extend(text(why).map(|why| ("discoverable_credentials".to_owned(), why)));
    set("discoverable_credentials", number(capacity.or(Some(25))));
    let mut options = Table::new();
    for (name, value) in &info.options {
        match OptionId::from_name(name) {
            // What is set up is its owner's.
            Some(OptionId::ClientPin | OptionId::BioEnroll | OptionId::UserVerificationMgmtPreview | OptionId::Uv) => {
                options.insert(name.clone(), false.into());
            }
            Some(_) => drop(options.insert(name.clone(), (*value).into())),
            None => not_built.push(format!("options: {name}")),
        }
    }
    not_built.extend(info.certifications.iter().map(|(name, level)| format!("certifications: {name} {level}")));
    set("not_built", texts(&not_built));
    set("options", Some(options.into()));
    set("behaviour", Some(behaviour(record, &from).into()));
    set("usb", Some(usb_table(record, &mut unproven)?.into()));
    let mut capabilities = Vec::new();
    for (name, flag) in [("WINK", 0x01), ("CBOR", 0x04)] {
        if record.ctaphid.capabilities & flag != 0 {
            capabilities.push(name);
        }
    }
    let mut ctaphid = Table::new();
    ctaphid.insert(
        "version".to_owned(),
        Value::Array(record.ctaphid.device_version.map(|part| Value::Integer(part.into())).to_vec()),
    );
    ctaphid.extend(texts(capabilities).map(|flags| ("capabilities".to_owned(), flags)));
    set("ctaphid", Some(ctaphid.into()));
    if !record.device_info.is_empty() {
        let mut pages = Table::new();
        pages.extend(
            texts(record.device_info.iter().map(|page| with_serial_number(page)))
                .map(|text| ("pages".to_owned(), text)),
        );
        pages.extend(text("recorded").map(|known| ("known".to_owned(), known)));
        pages.extend(text(&from).map(|from| ("from".to_owned(), from)));
        set("device_info", Some(pages.into()));
    }
    set("unproven", Some(unproven.into()));
    Ok(profile)
}

/// The first page of device information with room for a serial number, which a record leaves out.
fn with_serial_number(page: &str) -> String {
    const USB_SUPPORTED: u8 = 0x01;
    const SERIAL_NUMBER: u8 = 0x02;
    let mut tags = Vec::new();
    let bytes = bytes_of(page).unwrap_or_default();
    let mut rest = bytes.as_slice();
    while let [tag, length, behind @ ..] = rest {
        tags.push(*tag);
        rest = behind.get(usize::from(*length)..).unwrap_or_default();
    }
    let lacks_it = tags.contains(&USB_SUPPORTED) && !tags.contains(&SERIAL_NUMBER);
    if lacks_it { format!("{page}020400000000") } else { page.to_owned() }
}

fn usb_table(record: &KeyRecord, unproven: &mut Table) -> Result<Table, CannotImport> {
    let number = |text: &str, what| {
        u16::from_str_radix(text, 16)
            .map(|number| Value::Integer(number.into()))
            .map_err(|_| CannotImport::Unreadable(what))
    };
    let of = &record.usb;
    let mut usb = Table::new();
    usb.insert("vendor_id".to_owned(), number(&of.vendor_id, "vendor_id")?);
    usb.insert("product_id".to_owned(), number(&of.product_id, "product_id")?);
    usb.insert("device_release".to_owned(), number(&of.release, "release")?);
    usb.extend(text(of.manufacturer.as_deref().unwrap_or("keyrig")).map(|text| ("manufacturer".to_owned(), text)));
    usb.extend(text(of.product.as_deref().unwrap_or("security key")).map(|text| ("product".to_owned(), text)));
    usb.insert("interval".to_owned(), Value::Integer(2));
    unproven.extend(text("what many keys have: it is not recorded").map(|why| ("usb.interval".to_owned(), why)));
    Ok(usb)
}

/// The fields of behaviour that a record settles: name and value.
#[must_use]
pub fn settled(record: &KeyRecord) -> Vec<(&'static str, Value)> {
    let answer = |question: Question| record.questions.iter().find(|answer| answer.question == question);
    let asks = |answer: &Answer| answer.asked_for_touch_ms.is_some();
    let code = |answer: &Answer| Value::Integer(answer.status_code.into());
    let is = |answer: &Answer, status: Status| answer.status_code == u16::from(u8::from(status));
    let mut fields: Vec<(&'static str, Value)> = Vec::new();
    let text = |text: &str| Value::String(text.to_owned());
    if let (Some(unlisted), Some(listed)) = (answer(Question::NoCredential), answer(Question::NoCredentialOfList)) {
        let when = match (asks(unlisted), asks(listed)) {
            (false, false) => Some("at-once"),
            (true, true) => Some("after-touch"),
            (false, true) => Some("after-touch-if-listed"),
            // No field says so.
            (true, false) => None,
        };
        fields.extend(when.map(|when| ("no_credentials", text(when))));
        // What stands for a refusal of the PIN's, or of nobody's touch, says nothing of credentials.
        if is(unlisted, Status::NoCredentials) || is(unlisted, Status::InvalidCredential) {
            fields.push(("unknown_credential_status", code(unlisted)));
        }
    }
    fields.extend(answer(Question::OptionRk).filter(|answer| !asks(answer)).and_then(|rk| {
        let says_of_option = is(rk, Status::UnsupportedOption) || is(rk, Status::InvalidOption);
        says_of_option.then(|| ("get_assertion_rk_status", code(rk)))
    }));
    if let Some(timeout) = answer(Question::TouchTimeout).filter(|answer| asks(answer)) {
        let seconds = ((timeout.ms - timeout.asked_for_touch_ms.unwrap_or_default()) / 1000.0).round();
        // A touch that came is no time-out.
        if !is(timeout, Status::Ok) {
            fields.push(("touch_timeout_status", code(timeout)));
            let whole = (10..=250_u8).find(|whole| (f64::from(*whole) - seconds).abs() < 0.5);
            fields.extend(whole.map(|whole| ("touch_timeout", Value::Integer(whole.into()))));
        }
    }
    let length =
        |question| answer(question).and_then(|answer| answer.id_length).and_then(|length| i64::try_from(length).ok());
    fields.extend(length(Question::Credential).map(|length| ("credential_id_length", Value::Integer(length))));
    fields.extend(length(Question::U2fRegistration).map(|length| ("key_handle_length", Value::Integer(length))));
    let channels = match record.ctaphid.channels {
        Channels::Counted => "counted",
        Channels::TwoCounters => "two-counters",
        Channels::Random => "random",
    };
    fields.push(("channel_ids", text(channels)));
    if record.ctaphid.capabilities & 0x01 != 0 {
        fields.push(("answers_wink", Value::Boolean(record.ctaphid.wink == "answered")));
    }
    fields
}

fn behaviour(record: &KeyRecord, from: &str) -> Table {
    let stated = |(field, is): (&'static str, Value)| {
        let source =
            [("is", is), ("known", Value::String("recorded".to_owned())), ("from", Value::String(from.to_owned()))];
        let source: Table = source.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        (field.to_owned(), Value::Table(source))
    };
    settled(record).into_iter().map(stated).collect()
}

fn text(text: &str) -> Option<Value> {
    let seen: String = text.chars().filter(|character| !character.is_control()).take(200).collect();
    Some(Value::String(seen))
}

fn texts<T: AsRef<str>>(all: impl IntoIterator<Item = T>) -> Option<Value> {
    Some(all.into_iter().filter_map(|one| text(one.as_ref())).collect::<Vec<_>>().into())
}

fn number(number: Option<u64>) -> Option<Value> {
    number.and_then(|number| i64::try_from(number).ok()).map(Value::Integer)
}

fn numbers(all: &[u64]) -> Option<Value> {
    Some(all.iter().filter_map(|one| number(Some(*one))).collect::<Vec<_>>().into())
}
