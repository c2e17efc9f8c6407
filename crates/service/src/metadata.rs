//! FIDO metadata of the keys, under the TEST root: for anybody, as nothing in it is a secret, and whatever the Host, as those who
//! fetch it are servers.

use core::time::Duration;
use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::{Path, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use keyrig_http::openapi::Operation;
use keyrig_rack::command::{Command, Refusal};
use keyrig_rack::published::{Publication, Variant, built_in, pem};
use serde_json::json;

use crate::error::Refused;
use crate::service::Service;

/// Where it is.
pub(crate) const PATH: &str = "/v1/mds/{file}";

/// What all of its paths begin with.
pub(crate) const PREFIX: &str = "/v1/mds/";

const ROOT: &str = "root.pem";
const REVOCATIONS: &str = "root.crl";
const BLOB: &str = ".jwt";

/// Describes [`file`].
pub(crate) fn operation(id: &str) -> Operation {
    let blobs = Variant::ALL.iter().map(|variant| format!("{variant}{BLOB}"));
    let files: Vec<_> = blobs.chain([ROOT.to_owned(), REVOCATIONS.to_owned()]).collect();
    let what = Variant::ALL.iter().map(|variant| format!("{variant}.jwt: {}", variant.what())).collect::<Vec<_>>();
    let summary = "FIDO metadata of the keys, under the TEST root, for anybody.";
    let text = json!({"schema": {"type": "string"}});
    Operation::answering::<crate::error::ErrorBody>(id, summary)
        .for_anybody()
        .with_file(files, format!("BLOBs, the TEST root, and its list of revocations. {}", what.join(" ")))
        .with_success(json!({
            "description": "The file.",
            "content": {
                "application/jose": text,
                "application/x-pem-file": text,
                "application/pkix-crl": {"schema": {"type": "string", "format": "binary"}},
            },
        }))
}

pub(crate) async fn file(
    State(service): State<Arc<Service>>,
    Path(file): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    if file == ROOT {
        let pem = pem(service.rack.root_certificate());
        return Ok(([(header::CONTENT_TYPE, "application/x-pem-file")], pem).into_response());
    }
    let variant = match file.strip_suffix(BLOB).map(str::parse::<Variant>) {
        Some(Ok(variant)) => Some(variant),
        None if file == REVOCATIONS => None,
        _ => return Err(Refused::NotFound { path: format!("{PREFIX}{}", file.chars().take(64).collect::<String>()) }),
    };
    let mut profiles = built_in();
    // Certified keys that are here have entries, too.
    for key in service.rack.command(Command::List).await?.keys {
        if !profiles.iter().any(|known| known.name == key.profile) {
            profiles.push(service.rack.profile(&key.profile)?);
        }
    }
    let crl = address(&headers).map(|address| format!("http://{address}{PREFIX}{REVOCATIONS}"));
    let rack = service.rack.clone();
    let made = tokio::task::spawn_blocking(move || {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let publication = Publication { root: rack.root(), profiles: &profiles, now, crl: crl.as_deref() };
        match variant {
            Some(variant) => publication.jwt(variant).map(String::into_bytes),
            None => publication.crl(),
        }
    });
    let made = made.await.map_err(|_| Refusal::Stopped)?.map_err(|error| Refused::Metadata(error.to_string()))?;
    let kind = if variant.is_some() { "application/jose" } else { "application/pkix-crl" };
    Ok(([(header::CONTENT_TYPE, kind)], made).into_response())
}

/// By which address this was asked for: the list of revocations is beside it.
fn address(headers: &HeaderMap) -> Option<Authority> {
    headers.get(header::HOST)?.to_str().ok()?.parse().ok()
}
