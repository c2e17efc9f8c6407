//! Settings from a file: a `datacenter.cfg` of Proxmox VE as it is, with the policy `proxmox-9`, or, if the name ends in `.toml`, our own.
//!
//! ```toml
//! datacenter_cfg = "datacenter.cfg"      # name, RP ID, origin and allow-subdomains from there; what follows goes before
//!
//! name = "Example"
//! rp_id = "example.com"
//! origins = ["https://pve1.example.com:8006", "https://pve2.example.com:8006"]
//! app_origins = ["android:apk-key-hash:…"]
//! related_origins = ["https://example.net"]      # served as /.well-known/webauthn, and accepted
//! top_origins = ["https://portal.example.net"]   # pages in whose frames ceremonies may run
//! app_id = "https://example.com/app-id.json"     # under which keys were registered by U2F, before
//! allow_subdomains = false
//! passkey_login = true
//!
//! policy = "proxmox-9"                   # or "mine.toml"; "strict-l3" unless it is written, with a datacenter_cfg too
//! challenge_lifetime_s = 60              # these four change the policy
//! user_verification = "required"
//! resident_key = "required"
//! signature_counter = "report"
//!
//! [attestation]
//! accept = "aaguid"                      # "none", "any", "root", "aaguid", "metadata"
//! aaguids = ["d7a423ad-3e19-4492-9200-78137dccc136"]
//! roots = ["root.pem"]                   # with "metadata": who may sign it
//! metadata = "blob.jwt"                  # with "metadata": the BLOB of the FIDO Metadata Service, or another
//! revocations = ["root.crl"]             # with "metadata": lists of revoked certificates, DER
//! enterprise = true                      # ask for enterprise attestation, with the serial number of the key
//!
//! [limits]                               # see `Limits`: a load test raises them
//! header_s = 10
//! body_s = 30
//! idle_s = 60
//! answer_s = 60
//! connections = 1024
//! waiting = 512                          # passwords
//! waiting_per_client = 32                # of those that have failed lately
//! waiting_per_account = 8
//! ceremonies = 2048                      # passkey logins that are pending
//! ceremonies_per_client = 64
//!
//! [events]                               # see `EventRetention`
//! keep_days = 90
//! keep = 100000
//! keep_of_account = 100
//! ```
//!
//! Every field may be left out. Paths are taken from the file's own directory.

use std::fs;
use std::io::Read;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use keyrig_ctap::Aaguid;
use keyrig_verifier::{TrustAnchors, TrustedMetadata};
use serde::Deserialize;
use toml::Spanned;
use x509_cert::Certificate;
use x509_cert::der::Encode;

use super::error::{ConfigError, ConfigProblem, part_of_origin, part_of_rp_id};
use super::limits::{EventsTable, LimitsTable, limits};
use super::{
    Attestation, Settings, check_app_id, check_app_origin, check_name, check_origin, check_related_origin, check_rp_id,
    check_web_origin, datacenter_cfg,
};
use crate::place::Place;
use crate::policy::{Policy, Preference, SignatureCounter};

/// The longest file of settings, policy or certificates that is read, in bytes.
pub const MAX_CONFIG_BYTES: u64 = 1 << 20;

/// The longest metadata, or list of revocations, that is read, in bytes.
const MAX_METADATA_BYTES: u64 = 64 << 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    datacenter_cfg: Option<Spanned<String>>,
    name: Option<Spanned<String>>,
    rp_id: Option<Spanned<String>>,
    origins: Option<Vec<Spanned<String>>>,
    #[serde(default)]
    app_origins: Vec<Spanned<String>>,
    #[serde(default)]
    related_origins: Vec<Spanned<String>>,
    #[serde(default)]
    top_origins: Vec<Spanned<String>>,
    app_id: Option<Spanned<String>>,
    allow_subdomains: Option<bool>,
    #[serde(default)]
    passkey_login: bool,
    policy: Option<Spanned<String>>,
    challenge_lifetime_s: Option<Spanned<i64>>,
    user_verification: Option<Preference>,
    resident_key: Option<Preference>,
    signature_counter: Option<SignatureCounter>,
    attestation: Option<Spanned<AttestationTable>>,
    #[serde(default)]
    limits: LimitsTable,
    #[serde(default)]
    events: EventsTable,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AttestationTable {
    accept: Accept,
    #[serde(default)]
    aaguids: Vec<Spanned<String>>,
    #[serde(default)]
    roots: Vec<Spanned<String>>,
    metadata: Option<Spanned<String>>,
    #[serde(default)]
    revocations: Vec<Spanned<String>>,
    #[serde(default)]
    enterprise: bool,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Accept {
    None,
    Any,
    Root,
    Aaguid,
    Metadata,
}

/// Settings as they are written, which may be unable to work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The settings.
    pub settings: Settings,
    /// What cannot work in them; if there is nothing, they are sound.
    pub problems: Vec<ConfigError>,
}

impl Settings {
    /// The settings of a file, which are sound.
    ///
    /// # Errors
    /// [`ConfigError`], with the character that is wrong.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let Written { settings, problems } = Self::read(file)?;
        problems.into_iter().next().map_or(Ok(settings), Err)
    }

    /// The settings of a file as they are written, for whoever asks what is wrong with them.
    ///
    /// # Errors
    /// [`ConfigError`], if they cannot be read: it says at which character.
    pub fn read(file: &Path) -> Result<Written, ConfigError> {
        let text = read(file)?;
        if file.extension().is_some_and(|extension| extension == "toml") {
            Self::from_toml(file, &text)
        } else {
            written(file, &text, datacenter_cfg::read(&text))
        }
    }

    /// The same of what Proxmox VE has behind `webauthn:`, `rp=NAME,id=DOMAIN,origin=URL`; `source` is where it comes from, for
    /// errors.
    ///
    /// # Errors
    /// [`ConfigError`], if it cannot be read: it says at which character.
    pub fn read_webauthn_line(source: &str, line: &str) -> Result<Written, ConfigError> {
        written(Path::new(source), line, datacenter_cfg::read_line(line))
    }

    /// The same of a whole `datacenter.cfg`; `source` is where it comes from, for errors.
    ///
    /// # Errors
    /// [`ConfigError`], if it cannot be read: it says at which character.
    pub fn read_datacenter_cfg(source: &str, text: &str) -> Result<Written, ConfigError> {
        written(Path::new(source), text, datacenter_cfg::read(text))
    }

    /// The same of our own TOML; `source` is where it comes from, for errors, and where the paths in it are taken from.
    ///
    /// # Errors
    /// [`ConfigError`], if it cannot be read: it says at which character.
    pub fn read_toml(source: &str, text: &str) -> Result<Written, ConfigError> {
        Self::from_toml(Path::new(source), text)
    }

    fn from_datacenter_cfg(file: &Path) -> Result<Written, ConfigError> {
        let text = read(file)?;
        written(file, &text, datacenter_cfg::read(&text))
    }

    fn from_toml(file: &Path, text: &str) -> Result<Written, ConfigError> {
        let wrong = |at: Range<usize>, problem| error(file, text, at, problem);
        let mut problems = Vec::new();
        let table: File = toml::from_str(text).map_err(|found| {
            let problem = ConfigProblem::Toml { reason: found.message().to_owned() };
            wrong(found.span().unwrap_or(text.len()..text.len()), problem)
        })?;
        let beside = |name: &str| file.parent().unwrap_or(Path::new("")).join(name);
        let base = match &table.datacenter_cfg {
            Some(name) => {
                let Written { settings, problems: of_base } = Self::from_datacenter_cfg(&beside(name.get_ref()))?;
                problems.extend(of_base);
                Some(settings)
            }
            None => None,
        };
        let policy = policy(&table, &beside).map_err(|failure| failure.at(&wrong))?;
        let end = text.len()..text.len();
        let rp_id = match (&table.rp_id, &base) {
            (Some(rp_id), _) => rp_id.get_ref().clone(),
            (None, Some(base)) => base.rp_id.clone(),
            (None, None) => {
                let how = "write rp_id = \"DOMAIN\", such as rp_id = \"pve.example.com\"";
                return Err(wrong(end, ConfigProblem::Missing { what: "rp_id", how }));
            }
        };
        if let Some(written) = &table.rp_id
            && let Err(problem) = check_rp_id(&rp_id)
        {
            let at = within(text, written, part_of_rp_id(&rp_id, problem));
            problems.push(wrong(at, ConfigProblem::RpId(problem)));
        }
        let origin_wrong = |written: &Spanned<String>, problem| {
            wrong(within(text, written, part_of_origin(written.get_ref(), &problem)), ConfigProblem::Origin(problem))
        };
        for written in table.origins.iter().flatten() {
            problems
                .extend(check_origin(written.get_ref(), &rp_id).err().map(|problem| origin_wrong(written, problem)));
        }
        for written in &table.app_origins {
            problems.extend(check_app_origin(written.get_ref()).err().map(|problem| origin_wrong(written, problem)));
        }
        for written in &table.related_origins {
            let checked = check_related_origin(written.get_ref(), &rp_id);
            problems.extend(checked.err().map(|problem| origin_wrong(written, problem)));
        }
        for written in &table.top_origins {
            let checked = check_web_origin(written.get_ref());
            problems.extend(checked.err().map(|problem| origin_wrong(written, problem)));
        }
        if let Some(written) = &table.app_id
            && let Err(problem) = check_app_id(written.get_ref(), &rp_id)
        {
            problems.push(wrong(within(text, written, 0..written.get_ref().len()), ConfigProblem::AppId(problem)));
        }
        if let Some(written) = table.name.as_ref().filter(|written| check_name(written.get_ref()).is_err()) {
            problems.push(wrong(written.span(), ConfigProblem::Name));
        }
        let attestation = attestation(&table, &beside).map_err(|failure| failure.at(&wrong))?;
        let texts = |list: &[Spanned<String>]| list.iter().map(|text| text.get_ref().clone()).collect::<Vec<_>>();
        let base_origins = || base.iter().flat_map(|base| base.origins.clone()).collect();
        let settings = Self {
            name: match (table.name, &base) {
                (Some(name), _) => name.into_inner(),
                (None, Some(base)) => base.name.clone(),
                (None, None) => rp_id.clone(),
            },
            origins: table.origins.as_deref().map_or_else(base_origins, texts),
            app_origins: texts(&table.app_origins),
            related_origins: texts(&table.related_origins),
            top_origins: texts(&table.top_origins),
            app_id: table.app_id.map(Spanned::into_inner),
            allow_subdomains: table
                .allow_subdomains
                .unwrap_or_else(|| base.as_ref().is_some_and(|base| base.allow_subdomains)),
            passkey_login: table.passkey_login,
            attestation,
            enterprise_attestation: table.attestation.as_ref().is_some_and(|table| table.get_ref().enterprise),
            policy,
            limits: limits(&table.limits, &table.events),
            notes: Vec::new(),
            rp_id,
        };
        // What stands in two files can be sound in each and not together.
        if problems.is_empty()
            && let Err(problem) = settings.check()
        {
            let at = table.rp_id.as_ref().map_or(end, Spanned::span);
            problems.push(wrong(at, ConfigProblem::Toml { reason: problem.to_string() }));
        }
        Ok(Written { settings, problems })
    }
}

/// What is wrong here, or in another file that is named here.
enum Failure {
    Here(Range<usize>, ConfigProblem),
    There(ConfigError),
}

impl Failure {
    fn at(self, wrong: &dyn Fn(Range<usize>, ConfigProblem) -> ConfigError) -> ConfigError {
        match self {
            Self::Here(at, problem) => wrong(at, problem),
            Self::There(error) => error,
        }
    }
}

fn policy(table: &File, beside: &dyn Fn(&str) -> std::path::PathBuf) -> Result<Policy, Failure> {
    let mut policy = match &table.policy {
        Some(name) if name.get_ref().ends_with(".toml") => {
            let text = read(&beside(name.get_ref())).map_err(Failure::There)?;
            Policy::parse(name.get_ref(), &text).map_err(|problem| Failure::Here(name.span(), problem.into()))?
        }
        Some(name) => Policy::built_in(name.get_ref()).map_err(|problem| Failure::Here(name.span(), problem.into()))?,
        None => Policy::strict(),
    };
    if let Some(written) = &table.challenge_lifetime_s {
        let found = *written.get_ref();
        policy.challenge_lifetime = match u64::try_from(found) {
            Ok(seconds @ 1..=600) => Duration::from_secs(seconds),
            _ => return Err(Failure::Here(written.span(), ConfigProblem::ChallengeLifetime { found })),
        };
    }
    policy.user_verification = table.user_verification.unwrap_or(policy.user_verification);
    policy.resident_key = table.resident_key.unwrap_or(policy.resident_key);
    policy.signature_counter = table.signature_counter.unwrap_or(policy.signature_counter);
    Ok(policy)
}

/// Metadata that one of the roots vouches for.
fn trusted(
    metadata: &Spanned<String>,
    revocations: &[Spanned<String>],
    roots: &[Vec<u8>],
    beside: &dyn Fn(&str) -> std::path::PathBuf,
) -> Result<Attestation, Failure> {
    let untrusted =
        |field: &Spanned<String>, reason: String| Failure::Here(field.span(), ConfigProblem::Metadata { reason });
    let mut lists = Vec::new();
    for list in revocations {
        lists.push(read_bytes(&beside(list.get_ref()), MAX_METADATA_BYTES).map_err(Failure::There)?);
    }
    let document = read_bytes(&beside(metadata.get_ref()), MAX_METADATA_BYTES).map_err(Failure::There)?;
    let roots = TrustAnchors::from_der(roots.iter().map(Vec::as_slice))
        .map_err(|error| untrusted(metadata, error.to_string()))?;
    let verified = TrustedMetadata::verify(&document, &roots, &lists, SystemTime::now());
    verified
        .map(|metadata| Attestation::Metadata { metadata: Arc::new(metadata) })
        .map_err(|error| untrusted(metadata, error.to_string()))
}

fn attestation(table: &File, beside: &dyn Fn(&str) -> std::path::PathBuf) -> Result<Attestation, Failure> {
    let Some(spanned) = &table.attestation else { return Ok(Attestation::None) };
    let AttestationTable { accept, aaguids, roots, metadata, revocations, enterprise } = spanned.get_ref();
    let missing = |what, how| Failure::Here(spanned.span(), ConfigProblem::Missing { what, how });
    let unused = |field: &Spanned<String>, what: &str| {
        let reason =
            format!("accept does not use {what}; remove them, or write accept = \"root\", \"aaguid\" or \"metadata\"");
        Failure::Here(field.span(), ConfigProblem::Toml { reason })
    };
    if *enterprise && matches!(accept, Accept::None) {
        let reason =
            "enterprise asks for attestation, and accept = \"none\" for none: write another accept, such as \"any\"";
        return Err(Failure::Here(spanned.span(), ConfigProblem::Toml { reason: reason.to_owned() }));
    }
    let (wants_aaguids, wants_roots) = match accept {
        Accept::None | Accept::Any => (false, false),
        Accept::Root | Accept::Metadata => (false, true),
        Accept::Aaguid => (true, true),
    };
    match (aaguids.first(), roots.first()) {
        (Some(aaguid), _) if !wants_aaguids => return Err(unused(aaguid, "aaguids")),
        (_, Some(root)) if !wants_roots => return Err(unused(root, "roots")),
        (None, _) if wants_aaguids => return Err(missing("aaguids", "name the models that are accepted")),
        (_, None) if wants_roots => {
            return Err(missing("roots", "name the files of the makers' root certificates: roots = [\"FILE.pem\"]"));
        }
        _ => {}
    }
    let wants_metadata = matches!(accept, Accept::Metadata);
    match (metadata, revocations.first()) {
        (Some(metadata), _) if !wants_metadata => return Err(unused(metadata, "metadata")),
        (_, Some(list)) if !wants_metadata => return Err(unused(list, "revocations")),
        (None, _) if wants_metadata => {
            return Err(missing("metadata", "name the file of the BLOB: metadata = \"blob.jwt\""));
        }
        _ => {}
    }
    let mut certificates = Vec::new();
    for root in roots {
        let text = read(&beside(root.get_ref())).map_err(Failure::There)?;
        let unreadable = |reason: String| Failure::Here(root.span(), ConfigProblem::Certificates { reason });
        if !text.contains("-----BEGIN CERTIFICATE-----") {
            return Err(unreadable("there is no -----BEGIN CERTIFICATE----- in the file".to_owned()));
        }
        let chain = Certificate::load_pem_chain(text.as_bytes()).map_err(|error| unreadable(error.to_string()))?;
        for certificate in chain {
            certificates.push(certificate.to_der().map_err(|error| unreadable(error.to_string()))?);
        }
    }
    let aaguid = |text: &Spanned<String>| -> Result<Aaguid, Failure> {
        text.get_ref().parse().map_err(|_| Failure::Here(text.span(), ConfigProblem::Aaguid))
    };
    if let (Accept::Metadata, Some(metadata)) = (accept, metadata) {
        return trusted(metadata, revocations, &certificates, beside);
    }
    Ok(match accept {
        Accept::None | Accept::Metadata => Attestation::None,
        Accept::Any => Attestation::Any,
        Accept::Root => Attestation::Root { roots: certificates },
        Accept::Aaguid => {
            Attestation::Aaguid { aaguids: aaguids.iter().map(aaguid).collect::<Result<_, _>>()?, roots: certificates }
        }
    })
}

/// Where a part of a string stands in the file: exact for a string without escapes, else the string as a whole.
fn within(text: &str, written: &Spanned<String>, part: Range<usize>) -> Range<usize> {
    let span = written.span();
    let inner = span.start + 1..span.end.saturating_sub(1);
    if text.get(inner.clone()) == Some(written.get_ref()) {
        inner.start + part.start..inner.start + part.end
    } else {
        span
    }
}

fn read(file: &Path) -> Result<String, ConfigError> {
    let bytes = read_bytes(file, MAX_CONFIG_BYTES)?;
    String::from_utf8(bytes).map_err(|error| {
        let problem = ConfigProblem::Unreadable { reason: error.utf8_error().to_string() };
        ConfigError { file: file.to_owned(), place: None, problem }
    })
}

fn read_bytes(file: &Path, longest: u64) -> Result<Vec<u8>, ConfigError> {
    let failed = |problem| ConfigError { file: file.to_owned(), place: None, problem };
    let unreadable = |error: std::io::Error| failed(ConfigProblem::Unreadable { reason: error.to_string() });
    let mut bytes = Vec::new();
    let opened = fs::File::open(file).map_err(unreadable)?;
    opened.take(longest + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > longest {
        return Err(failed(ConfigProblem::TooLong { longest }));
    }
    Ok(bytes)
}

/// What was read of a text, with the places of what is wrong.
fn written(
    file: &Path,
    text: &str,
    read: Result<(Settings, Vec<datacenter_cfg::Wrong>), datacenter_cfg::Wrong>,
) -> Result<Written, ConfigError> {
    let wrong = |(at, problem)| error(file, text, at, problem);
    let (settings, problems) = read.map_err(wrong)?;
    Ok(Written { settings, problems: problems.into_iter().map(wrong).collect() })
}

fn error(file: &Path, text: &str, at: Range<usize>, problem: ConfigProblem) -> ConfigError {
    ConfigError { file: file.to_owned(), place: Some(Box::new(Place::of(text, at))), problem }
}

#[cfg(test)]
mod tests;
