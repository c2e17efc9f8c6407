//! Realms, in the shapes of Proxmox VE's `/access/domains`.

use std::sync::Arc;

use axum::extract::State;
use serde_json::{Map, Value, json};

use super::answer::{Answer, Data, Failure};
use super::caller::Caller;
use super::params::{InPath, NoParams, Params};
use crate::directory::{DIRECTORY_OPTIONS, DirectoryOptionError};
use crate::realm_change::RealmChange;
use crate::realms::{RealmError, Requirement};
use crate::relying_party::{ChangeRealms, SeeRealms};
use crate::tfa_option::TfaOptionProblem;
use crate::{Refusal, RelyingParty};

type Shared = State<Arc<RelyingParty>>;

/// The options that are booleans, and those that are told as numbers.
const BOOLEANS: [&str; 3] = ["case-sensitive", "secure", "verify"];
const NUMBERS: [&str; 3] = ["case-sensitive", "port", "verify"];

/// Everybody may see which realms there are: a login form has to.
pub(super) async fn domains(State(relying_party): Shared, _: NoParams) -> Answer {
    let realms = relying_party.realms().await?.into_iter().map(|realm| {
        let kind = realm.kind.name();
        let mut entry = json!({ "realm": realm.name, "type": kind, "comment": realm.comment });
        let tfa = match realm.requirement {
            Requirement::None => None,
            Requirement::Oath { .. } => Some("oath"),
            Requirement::Any => Some("any"),
            Requirement::Webauthn => Some("webauthn"),
        };
        if let (Some(tfa), Some(members)) = (tfa, entry.as_object_mut()) {
            members.insert("tfa".to_owned(), tfa.into());
        }
        entry
    });
    Ok(Data(realms.collect()))
}

/// A realm as it was added: never with its bind password.
pub(super) async fn domain(
    State(relying_party): Shared,
    Caller(claim): Caller<SeeRealms>,
    InPath(name): InPath<String>,
    _: NoParams,
) -> Answer {
    let seen = relying_party.realm(claim, name.clone()).await;
    let seen = seen.map_err(|refusal| failure(refusal, &name, ""))?;
    let mut members = Map::from_iter([("type".to_owned(), seen.realm.kind.name().into())]);
    let mut tell = |name: &str, value: Value| drop(members.insert(name.to_owned(), value));
    if !seen.realm.comment.is_empty() {
        tell("comment", seen.realm.comment.into());
    }
    if let Some(tfa) = seen.realm.requirement.tfa_option() {
        tell("tfa", tfa.into());
    }
    for (option, value) in seen.directory.iter().flat_map(|directory| directory.options()) {
        let number = value.parse::<u16>().ok().filter(|_| NUMBERS.contains(&option));
        tell(option, number.map_or_else(|| value.into(), Value::from));
    }
    tell("digest", seen.digest.into());
    Ok(Data(Value::Object(members)))
}

/// What is taken of a realm, and nothing else: what is not kept here is refused rather than forgotten.
fn change_of(params: &mut Params) -> RealmChange {
    let requirement = params.optional("tfa").and_then(|text| match text.parse::<Requirement>() {
        Ok(requirement) => Some(requirement),
        Err(error) => {
            match error.problem {
                TfaOptionProblem::Nothing => params.refuse("tfa", "to require nothing, delete it: delete=tfa"),
                problem => params.refuse("tfa", problem),
            }
            None
        }
    });
    let mut options = Vec::new();
    for option in DIRECTORY_OPTIONS {
        let value = match BOOLEANS.contains(option) {
            true => params.boolean(option).map(|is_on| u8::from(is_on).to_string()),
            false => params.optional(option).map(|text| text.to_string()),
        };
        options.extend(value.map(|value| (*option, value)));
    }
    // That is how it was said before there was mode, which counts where both are there.
    let has_mode = options.iter().any(|(option, _)| *option == "mode");
    options.retain(|(option, _)| *option != "secure" || !has_mode);
    if params.boolean("default") == Some(true) {
        params.refuse("default", "no realm is a login form's first choice here");
    }
    if params.optional("sslversion").is_some() {
        params.refuse("sslversion", "TLS is 1.3 here, or 1.2 with a server that has nothing newer");
    }
    RealmChange {
        comment: params.optional("comment").map(|text| text.to_string()),
        requirement,
        options,
        bind_password: params.optional("password"),
        check_connection: params.boolean("check-connection"),
        ..RealmChange::default()
    }
}

pub(super) async fn add(
    State(relying_party): Shared,
    Caller(claim): Caller<ChangeRealms>,
    mut params: Params,
) -> Answer {
    let (name, kind) = (params.required("realm").to_string(), params.required("type").to_string());
    let change = change_of(&mut params);
    params.finish()?;
    let added = relying_party.add_realm(claim, name.clone(), kind, change).await;
    added.map(|_| Data(Value::Null)).map_err(|refusal| failure(refusal, &name, "add auth server failed: "))
}

pub(super) async fn change(
    State(relying_party): Shared,
    Caller(claim): Caller<ChangeRealms>,
    InPath(name): InPath<String>,
    mut params: Params,
) -> Answer {
    let digest = params.non_empty("digest").map(|text| text.to_string());
    let mut delete = params.list("delete").unwrap_or_default();
    // No realm is the default one.
    delete.retain(|option| option != "default");
    let change = RealmChange { digest, delete, ..change_of(&mut params) };
    params.finish()?;
    let changed = relying_party.change_realm(claim, name.clone(), change).await;
    changed.map(|_| Data(Value::Null)).map_err(|refusal| failure(refusal, &name, "update auth server failed: "))
}

/// Deletes a realm, and one of a directory with its users.
pub(super) async fn delete(
    State(relying_party): Shared,
    Caller(claim): Caller<ChangeRealms>,
    InPath(name): InPath<String>,
    params: Params,
) -> Answer {
    params.finish()?;
    let deleted = relying_party.delete_realm(claim, name.clone()).await;
    deleted.map(|_| Data(Value::Null)).map_err(|refusal| match refusal {
        Refusal::Realm(RealmError::Unknown(_)) => {
            Failure::died(format!("delete auth server failed: authentication domain '{name}' does not exist"))
        }
        other => failure(other, &name, "delete auth server failed: "),
    })
}

/// Why it did not go well: what a parameter cannot be by its name, all else as Proxmox VE's code would die of it.
fn failure(refusal: Refusal, name: &str, doing: &str) -> Failure {
    let Refusal::Realm(error) = refusal else { return refusal.into() };
    let wrong = Failure::of_parameter;
    let died = |words: &str| Failure::died(format!("{doing}{words}"));
    match error {
        RealmError::Unknown(_) => died(&format!("domain '{name}' does not exist")),
        RealmError::Exists(_) => died(&format!("domain '{name}' already exists")),
        RealmError::BuiltInType { kind, .. } => died(&format!("unable to create builtin type '{kind}'")),
        RealmError::NothingToChange => died("no options specified"),
        RealmError::ChangedMeanwhile => {
            died("detected modified configuration - file changed by other user? Try again.")
        }
        RealmError::OfDirectories { option, .. } if option == "check-connection" => {
            died("'check-connection' parameter can only be set for realms of type 'ldap' or 'ad'")
        }
        RealmError::OfDirectories { option, .. } => died(&format!("unexpected property '{option}'")),
        RealmError::Option(DirectoryOptionError::NotForKind { option, .. }) => {
            died(&format!("unexpected property '{option}'"))
        }
        RealmError::Option(DirectoryOptionError::Missing(option)) => {
            died(&format!("missing value for required option '{option}'"))
        }
        RealmError::Option(DirectoryOptionError::Value { option, expected, .. }) => wrong(&option, expected),
        RealmError::Option(DirectoryOptionError::Filter { option, problem }) => wrong(&option, &problem.to_string()),
        RealmError::Option(DirectoryOptionError::Properties { option, problem }) => {
            wrong(&option, &problem.to_string())
        }
        RealmError::Option(DirectoryOptionError::CertificateUnused) => {
            wrong("cert", "it is for the modes ldaps and ldap+starttls with verify: otherwise nobody is shown it")
        }
        RealmError::NoOption { .. } | RealmError::SetAndDeleted(_) => wrong("delete", &error.to_string()),
        RealmError::Name(_) => wrong("realm", &error.to_string()),
        RealmError::Comment => wrong("comment", &error.to_string()),
        RealmError::NotBuilt { .. } => wrong("type", &error.to_string()),
        RealmError::Oath { .. } | RealmError::NotOfPolicy { .. } => wrong("tfa", &error.to_string()),
        RealmError::BindDnMissing => wrong("bind_dn", &error.to_string()),
        RealmError::BindPasswordMissing | RealmError::BindPasswordLength => wrong("password", &error.to_string()),
        RealmError::PasswordAgain => {
            wrong("password", "it was given for another server or bind_dn, or for TLS that verifies: give it again")
        }
        other => died(&other.to_string()),
    }
}
