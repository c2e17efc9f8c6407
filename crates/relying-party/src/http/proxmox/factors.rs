//! Second factors, in the shapes of Proxmox VE's `/access/tfa`.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::State;
use keyrig_verifier::RegistrationResponse;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::access::{confirmed, with_type};
use super::answer::{Answer, Data, Failure};
use super::caller::{Caller, InPerson};
use super::params::{InPath, NoParams, Params};
use crate::factors::{Factor, FactorChange, FactorDetail, FactorError};
use crate::relying_party::{Added, Claim, Own, Present, RegistrationWish, SeeUsers};
use crate::store::seconds;
use crate::totp::Totp;
use crate::user_name::UserName;
use crate::users::User;
use crate::webauthn::Page;
use crate::{Refusal, RelyingParty};

type Shared = State<Arc<RelyingParty>>;

/// The most users whose factors are listed in one part.
const PART: u32 = 200;

/// The identifier of recovery keys, of which a user has one set (proxmox-tfa, `api/methods`).
const RECOVERY: &str = "recovery";

/// The identifier of a factor here.
fn id_of(factor: &Factor) -> &str {
    if matches!(factor.detail, FactorDetail::Recovery { .. }) { RECOVERY } else { &factor.id }
}

/// The identifier that a user's factor has elsewhere.
async fn kept_id(
    relying_party: &Arc<RelyingParty>,
    claim: &Claim<Own>,
    user: &str,
    id: String,
) -> Result<String, Failure> {
    if id != RECOVERY {
        return Ok(id);
    }
    let factors = relying_party.factors(claim.for_right(), user.parse().map_err(Refusal::from)?).await?;
    let found = factors.into_iter().find(|factor| id_of(factor) == RECOVERY);
    Ok(found.map_or(id, |factor| factor.id))
}

/// A factor as it is listed. That it is enabled is not said.
fn entry(factor: &Factor) -> Value {
    let mut entry = json!({
        "type": factor.kind(),
        "id": id_of(factor),
        "description": factor.description,
        "created": seconds(factor.created),
    });
    if let Some(members) = entry.as_object_mut().filter(|_| !factor.enabled) {
        members.insert("enable".to_owned(), json!(false));
    }
    entry
}

fn entries(factors: &[Factor]) -> Value {
    factors.iter().map(entry).collect()
}

/// A user with factors, and with the locks if there are any.
fn of(user: &User, factors: &[Factor], now: std::time::SystemTime) -> Value {
    let mut found = json!({ "userid": user.name, "entries": entries(factors) });
    if let Some(members) = found.as_object_mut() {
        if user.totp_locked {
            members.insert("totp-locked".to_owned(), json!(true));
        }
        if let Some(until) = user.locked_until.filter(|_| user.is_locked(now)) {
            members.insert("tfa-locked-until".to_owned(), json!(seconds(until)));
        }
    }
    found
}

/// Of everybody for who may see that, otherwise one's own.
pub(super) async fn of_all(State(relying_party): Shared, Caller(claim): Caller<Own>, _: NoParams) -> Answer {
    let now = relying_party.now();
    let mut listed = Vec::new();
    let mut after = None;
    loop {
        let users = match relying_party.users(claim.for_right::<SeeUsers>(), after.take(), PART).await {
            Err(Refusal::Forbidden { .. }) => {
                let (session, _) = relying_party.session(claim.for_right()).await?;
                let factors = relying_party.own_factors(claim.for_right()).await?;
                return Ok(Data(json!([of(&session.user, &factors, now)])));
            }
            found => found?,
        };
        let Some((last, _)) = users.last() else { return Ok(Data(Value::Array(listed))) };
        after = Some(last.name.clone());
        listed.extend(
            users.iter().filter(|(_, factors)| !factors.is_empty()).map(|(user, factors)| of(user, factors, now)),
        );
    }
}

pub(super) async fn of_user(
    State(relying_party): Shared,
    Caller(claim): Caller<Own>,
    InPath(user): InPath<String>,
    _: NoParams,
) -> Answer {
    let user: UserName = user.parse().map_err(Refusal::from)?;
    Ok(Data(entries(&relying_party.factors(claim, user).await?)))
}

pub(super) async fn one(
    State(relying_party): Shared,
    Caller(claim): Caller<Own>,
    InPath((user, id)): InPath<(String, String)>,
    _: NoParams,
) -> Answer {
    let user: UserName = user.parse().map_err(Refusal::from)?;
    let factors = relying_party.factors(claim, user.clone()).await?;
    let factor = factors.iter().find(|factor| id_of(factor) == id);
    let factor = factor.ok_or(Refusal::Factor(FactorError::Unknown { user, id }))?;
    Ok(Data(entry(factor)))
}

/// Which kinds of factors a user has, and what the realm asks for.
pub(super) async fn types(
    State(relying_party): Shared,
    Caller(claim): Caller<Own>,
    InPath(user): InPath<String>,
    mut params: Params,
) -> Answer {
    let multiple = params.boolean("multiple").unwrap_or(false);
    params.finish()?;
    let user: UserName = user.parse().map_err(Refusal::from)?;
    let factors = relying_party.factors(claim, user.clone()).await?;
    let kinds: BTreeSet<&str> = factors.iter().filter(|factor| factor.enabled).map(Factor::kind).collect();
    let mut found = Map::new();
    let realms = relying_party.realms().await?;
    let is_oath = |requirement| matches!(requirement, crate::realms::Requirement::Oath { .. });
    if realms.iter().any(|realm| realm.name == user.realm() && is_oath(realm.requirement)) {
        found.insert("realm".to_owned(), "oath".into());
    }
    if multiple {
        found.insert("types".to_owned(), json!(kinds));
    } else if let Some(kind) = kinds.iter().find(|kind| ["totp", "webauthn"].contains(*kind)) {
        found.insert("user".to_owned(), json!(if *kind == "totp" { "oath" } else { "u2f" }));
    }
    Ok(Data(Value::Object(found)))
}

/// Adds a factor. A key takes two calls: the first gives the options of the ceremony as `challenge`, a text of JSON, the second brings
/// that challenge and the answer of the key.
pub(super) async fn add(
    State(relying_party): Shared,
    InPerson(claim): InPerson<Present>,
    InPath(user): InPath<String>,
    page: Page,
    mut params: Params,
) -> Answer {
    let kind = params.required("type");
    let description = params.non_empty("description");
    let totp = params.optional("totp");
    let value = params.optional("value");
    let challenge = params.optional("challenge");
    let password = params.optional("password");
    params.finish()?;
    let user: UserName = user.parse().map_err(Refusal::from)?;
    confirmed(&relying_party, &claim, password).await?;
    let description = description.map_or_else(|| (*kind).clone(), |text| text.to_string());
    match (kind.as_str(), totp, challenge, value) {
        ("totp", Some(uri), None, Some(code)) => {
            let totp = Totp::from_uri(&uri).map_err(Refusal::from)?;
            let added =
                relying_party.add_totp(claim.for_right(), Some(user), description, totp, code.to_string()).await?;
            Ok(id(&added))
        }
        ("webauthn", None, None, None) => {
            let begun =
                relying_party.begin_registration(claim.for_right(), Some(user), RegistrationWish::default()).await?;
            // Its challenge names it: clients send that back.
            Ok(Data(json!({ "challenge": begun.options.to_string() })))
        }
        ("webauthn", None, Some(challenge), Some(credential)) => {
            let credential: Value = serde_json::from_str(&credential)
                .map_err(|_| Failure::of_parameter("value", "it is not JSON of a credential"))?;
            let response = RegistrationResponse::from_value_by(&with_type(credential), relying_party.strictness())
                .map_err(Refusal::from)?;
            let added = relying_party
                .finish_registration(claim.for_right(), Some(user), challenge.to_string(), description, response, page)
                .await?;
            Ok(id(&added))
        }
        ("recovery", None, None, None) => {
            let (_, set) = relying_party.add_recovery_keys(claim.for_right(), Some(user), description).await?;
            let keys: Vec<String> = set.keys.iter().map(ToString::to_string).collect();
            Ok(Data(json!({ "id": RECOVERY, "recovery": keys })))
        }
        ("totp", ..) => {
            Err(Failure::of_parameter("totp", "TOTP takes its otpauth URI in 'totp' and a code in 'value'"))
        }
        ("webauthn", ..) => Err(Failure::of_parameter(
            "challenge",
            "a key takes 'challenge' and 'value' in the second call, none in the first",
        )),
        ("recovery", ..) => Err(Failure::of_parameter("value", "recovery keys are made here: they take none")),
        ("u2f" | "yubico", ..) => Err(Failure::of_parameter("type", "it is not offered any more: use webauthn")),
        _ => Err(Failure::of_parameter(
            "type",
            "value does not have a value in the enumeration 'totp, webauthn, recovery'",
        )),
    }
}

fn id(added: &Added) -> Data {
    Data(json!({ "id": added.factor.id }))
}

pub(super) async fn change(
    State(relying_party): Shared,
    InPerson(claim): InPerson<Own>,
    InPath((user, id)): InPath<(String, String)>,
    mut params: Params,
) -> Answer {
    let description = params.optional("description").map(|text| text.to_string());
    let enabled = params.boolean("enable");
    let password = params.optional("password");
    params.finish()?;
    let change = FactorChange { description, enabled };
    let is_own = is_own(&relying_party, &claim, &user, password).await?;
    let id = kept_id(&relying_party, &claim, &user, id).await?;
    if is_own {
        relying_party.change_own_factor(claim.for_right(), id, change).await?;
    } else {
        let user = user.parse().map_err(Refusal::from)?;
        relying_party.change_factor(claim.for_right(), user, id, change, false).await?;
    }
    Ok(Data(Value::Null))
}

pub(super) async fn delete(
    State(relying_party): Shared,
    InPerson(claim): InPerson<Own>,
    InPath((user, id)): InPath<(String, String)>,
    mut params: Params,
) -> Answer {
    let password = params.optional("password");
    params.finish()?;
    let is_own = is_own(&relying_party, &claim, &user, password).await?;
    let id = kept_id(&relying_party, &claim, &user, id).await?;
    if is_own {
        relying_party.delete_own_factor(claim.for_right(), id).await?;
    } else {
        let user = user.parse().map_err(Refusal::from)?;
        relying_party.delete_factors(claim.for_right(), user, Some(id), false).await?;
    }
    Ok(Data(Value::Null))
}

/// Whether the factors are the caller's, whose password comes with the call if it has to.
async fn is_own(
    relying_party: &Arc<RelyingParty>,
    claim: &Claim<Own>,
    user: &str,
    password: Option<Zeroizing<String>>,
) -> Result<bool, Failure> {
    let user: UserName = user.parse().map_err(Refusal::from)?;
    confirmed(relying_party, claim, password).await?;
    let (session, _) = relying_party.session(claim.for_right()).await?;
    Ok(session.user.name == user)
}
