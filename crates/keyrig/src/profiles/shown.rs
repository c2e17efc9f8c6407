//! One profile, for people and programs.

use keyrig_authenticator::Profile;
use keyrig_authenticator::profile::{DeviceInfo, Source, Stated};
use keyrig_rack::certified;
use serde::Serialize;

use crate::failure::Failure;
use crate::output::{YELLOW, print, print_marked};

#[derive(Serialize)]
pub(super) struct Shown {
    pub(super) name: String,
    pub(super) description: String,
    imitates: Option<String>,
    aaguid: String,
    pub(super) usb: Option<String>,
    pub(super) versions: Vec<String>,
    extensions: Vec<String>,
    pub(super) options: std::collections::BTreeMap<String, bool>,
    pin_uv_auth_protocols: Vec<u64>,
    algorithms: Vec<String>,
    discoverable_credentials: u32,
    device_info: Option<ShownDeviceInfo>,
    behaviour: Vec<ShownBehaviour>,
    unknown: Vec<&'static str>,
    compared_with: Option<String>,
    pub(super) withheld: Vec<String>,
    unproven: std::collections::BTreeMap<String, String>,
}

/// Where the pages are known from that a YubiKey tells its maker's tools.
#[derive(Serialize)]
struct ShownDeviceInfo {
    known: String,
    from: String,
}

impl From<&DeviceInfo> for ShownDeviceInfo {
    fn from(device_info: &DeviceInfo) -> Self {
        let Source { known, from } = device_info.source();
        Self { known: known.to_string(), from }
    }
}

/// A field in which the key deviates from the specification.
#[derive(Serialize)]
struct ShownBehaviour {
    field: &'static str,
    what: &'static str,
    value: String,
    specified: String,
    section: &'static str,
    known: String,
    from: String,
}

impl From<Stated<'_>> for ShownBehaviour {
    fn from(stated: Stated<'_>) -> Self {
        Self {
            field: stated.field.name,
            what: stated.field.what.trim(),
            section: stated.field.section,
            known: stated.source.known.to_string(),
            from: stated.source.from.clone(),
            value: stated.value,
            specified: stated.default,
        }
    }
}

impl From<&Profile> for Shown {
    fn from(profile: &Profile) -> Self {
        let info = profile.info();
        Self {
            name: profile.name.clone(),
            description: profile.description.clone(),
            imitates: profile.imitates.clone(),
            aaguid: profile.aaguid.to_string(),
            usb: profile.usb.as_ref().map(|usb| format!("{:04x}:{:04x}", usb.vendor_id, usb.product_id)),
            versions: info.versions,
            extensions: info.extensions,
            options: info.options.into_iter().collect(),
            pin_uv_auth_protocols: info.pin_uv_auth_protocols,
            algorithms: profile
                .algorithms()
                .iter()
                .map(|algorithm| format!("{} ({})", algorithm.name(), algorithm.identifier()))
                .collect(),
            discoverable_credentials: profile.discoverable_credentials,
            device_info: profile.device_info.as_ref().map(ShownDeviceInfo::from),
            behaviour: profile.behaviour.stated().filter(Stated::deviates).map(ShownBehaviour::from).collect(),
            unknown: profile.unknown().map(|field| field.name).collect(),
            compared_with: profile.compared_with.clone(),
            withheld: profile.withheld(),
            unproven: profile.unproven(),
        }
    }
}

pub(super) fn print_one(shown: &Shown) -> Result<(), Failure> {
    print(format!("{}: {}", shown.name, shown.description))?;
    if shown.name.starts_with(certified::PREFIX) {
        print_marked(YELLOW, "imitation", " of a certified key, attested by keyrig's TEST root")?;
    } else if let Some(maker) = &shown.imitates {
        print_marked(YELLOW, "imitation", format!(" of a key by {maker}, attested by keyrig's TEST root"))?;
    }
    print(format!("  USB id                      {}", shown.usb.as_deref().unwrap_or("none")))?;
    print(format!("  AAGUID                      {}", shown.aaguid))?;
    if let Some(maker) = &shown.imitates {
        print(format!("  attestation certificate     of CN=keyrig TEST, and without {maker}'s own extensions"))?;
    }
    print(format!("  versions                    {}", shown.versions.join(", ")))?;
    if !shown.extensions.is_empty() {
        print(format!("  extensions                  {}", shown.extensions.join(", ")))?;
    }
    if !shown.options.is_empty() {
        let options = shown.options.iter().map(|(name, on)| if *on { name.clone() } else { format!("{name}=false") });
        print(format!("  options                     {}", options.collect::<Vec<_>>().join(", ")))?;
    }
    if !shown.pin_uv_auth_protocols.is_empty() {
        let protocols: Vec<_> = shown.pin_uv_auth_protocols.iter().map(u64::to_string).collect();
        print(format!("  PIN/UV auth protocols       {}", protocols.join(", ")))?;
    }
    print(format!("  COSE algorithms             {}", shown.algorithms.join(", ")))?;
    print(format!("  discoverable credentials    {}", shown.discoverable_credentials))?;
    if let Some(ShownDeviceInfo { known, from }) = &shown.device_info {
        print(format!("  device information          for ykman; {known}: {from}"))?;
    }
    if !shown.behaviour.is_empty() {
        print("behaves otherwise than CTAP and WebAuthn have it:")?;
        for stated in &shown.behaviour {
            let ShownBehaviour { field, what, value, specified, section, known, from } = stated;
            print(format!("  {field}: {value}, instead of {specified} ({section})"))?;
            print(format!("    {what}"))?;
            print(format!("    {known}: {from}"))?;
        }
    }
    if !shown.unknown.is_empty() {
        print("behaves as specified, because no record tells of it:")?;
        print(format!("  {}", shown.unknown.join(", ")))?;
    }
    if let Some(record) = &shown.compared_with {
        print(format!("compared with: {record}"))?;
    }
    if !shown.withheld.is_empty() {
        print("withheld, because it is not built:")?;
        for entries in shown.withheld.chunk_by(|left, right| member(left) == member(right)) {
            let values: Vec<_> = entries.iter().filter_map(|entry| Some(entry.split_once(": ")?.1)).collect();
            print(format!("  {:<28}{}", entries.first().map_or("", |entry| member(entry)), values.join(", ")))?;
        }
    }
    if !shown.unproven.is_empty() {
        print("not proved by a record of a real key:")?;
        shown.unproven.iter().try_for_each(|(field, source)| print(format!("  {field}: {source}")))?;
    }
    Ok(())
}

/// The member that an entry of the withheld is about.
fn member(entry: &str) -> &str {
    entry.split_once(": ").map_or(entry, |(member, _)| member)
}
