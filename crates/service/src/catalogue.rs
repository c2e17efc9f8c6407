//! What a rack can be asked for by name: profiles of keys, and faults.

use axum::Json;
use keyrig_faults::{COMMANDS, Kind, Unit, catalogue};
use keyrig_http::openapi::Operation;
use keyrig_rack::published::built_in;
use serde::Serialize;
use utoipa::ToSchema;

/// What a rack can be asked for by name.
#[derive(Serialize, ToSchema)]
pub(crate) struct Catalogue {
    /// The profiles that come with keyrig.
    profiles: Vec<ListedProfile>,
    /// What can go wrong on purpose, by layer.
    faults: Vec<ListedFault>,
    /// The commands that a fault may be confined to.
    commands: Vec<String>,
}

/// A profile.
#[derive(Serialize, ToSchema)]
struct ListedProfile {
    /// Its name.
    name: String,
    /// What it is, in a line.
    description: String,
    /// The maker whose identity it carries, if it is an imitation.
    imitates: Option<String>,
    /// Whether it is a USB device.
    usb: bool,
    /// Whether it speaks CTAP2.
    ctap2: bool,
    /// Whether it verifies its user itself.
    built_in_uv: bool,
}

/// A fault.
#[derive(Serialize, ToSchema)]
struct ListedFault {
    /// Its name.
    name: &'static str,
    /// Where it is put in.
    layer: &'static str,
    /// What goes wrong, in a line.
    summary: String,
    /// Its own parameter, if it has one.
    parameter: Option<ListedParameter>,
}

/// A parameter of a fault.
#[derive(Serialize, ToSchema)]
struct ListedParameter {
    /// Its name.
    name: &'static str,
    /// What it says.
    meaning: String,
    /// How its value is written: `number`, `code` (0x and hexadecimal digits) or `status` (the same, or the name of a status).
    unit: &'static str,
    /// The value without a word about it.
    default: u64,
    /// The least.
    least: u64,
    /// The most.
    most: u64,
}

/// Describes [`catalogue`](list).
pub(crate) fn operation(id: &str) -> Operation {
    Operation::answering::<Catalogue>(id, "What a rack can be asked for by name: profiles of keys, and faults.")
}

pub(crate) async fn list() -> Json<Catalogue> {
    let profiles = built_in().into_iter().map(|profile| ListedProfile {
        usb: profile.usb.is_some(),
        ctap2: profile.has_ctap2(),
        built_in_uv: profile.has_built_in_uv(),
        name: profile.name,
        description: profile.description,
        imitates: profile.imitates,
    });
    let faults = Kind::ALL.iter().filter_map(|kind| {
        let described = catalogue::of(*kind)?;
        let parameter = kind.parameter().map(|parameter| ListedParameter {
            name: parameter.name,
            meaning: described.parameter.clone().unwrap_or_default(),
            unit: match parameter.unit {
                Unit::Number => "number",
                Unit::Code => "code",
                Unit::Status => "status",
            },
            default: parameter.default,
            least: parameter.least,
            most: parameter.most,
        });
        let (name, layer) = (kind.name(), kind.layer().name());
        Some(ListedFault { name, layer, summary: described.summary.clone(), parameter })
    });
    let commands = COMMANDS.iter().map(ToString::to_string).collect();
    Json(Catalogue { profiles: profiles.collect(), faults: faults.collect(), commands })
}
