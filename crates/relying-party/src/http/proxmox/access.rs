//! Logging in, and what one may ask of oneself.

use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::State;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::answer::{Answer, Data, Failure};
use super::caller::{Caller, InPerson, csrf_token, moment};
use super::params::{NoParams, Params};
use super::ticket::{MAX_TICKET_BYTES, TICKET_KEY_BYTES, Ticket};
use crate::http::login::counted;
use crate::privileges::Privileges;
use crate::relying_party::{
    self as decided, Claim, Credential, LoggedIn, Offer, Own, Present, Right, SessionTicket, Step,
};
use crate::store::seconds;
use crate::turns::Asker;
use crate::user_name::UserName;
use crate::webauthn::Page;
use crate::{Refusal, RelyingParty};
use keyrig_verifier::AuthenticationResponse;

type Shared = State<Arc<RelyingParty>>;

/// The release whose API this is.
const RELEASE: &str = "9.0";

/// Of which commit it is built, there: 8 to 64 hexadecimal digits. These are the bytes of `keyrig`.
const REPOID: &str = "6b6579726967";

pub(super) async fn version(_: Caller<Present>, _: NoParams) -> Answer {
    Ok(Data(json!({ "version": RELEASE, "release": RELEASE, "repoid": REPOID })))
}

/// What there is below `/access`.
pub(super) async fn index(_: Caller<Present>, _: NoParams) -> Answer {
    let below = ["users", "groups", "roles", "acl", "domains", "tfa", "ticket", "permissions", "password"];
    Ok(Data(below.iter().map(|name| json!({ "subdir": name })).collect()))
}

/// Clients ask whether there is anybody.
pub(super) async fn no_ticket(_: NoParams) -> Answer {
    Ok(Data(Value::Null))
}

/// A ticket for a password, for the second factor after half a ticket, or for a ticket that is about to be over.
pub(super) async fn ticket(State(relying_party): Shared, asker: Asker, page: Page, mut params: Params) -> Answer {
    let username = params.required("username");
    let password = params.required("password");
    let realm = params.non_empty("realm");
    let challenge = params.optional("tfa-challenge");
    let otp = params.non_empty("otp");
    // Of no consequence here: a ticket always has the new form, and nobody's rights to a path are asked for.
    let _ = params.boolean("new-format");
    for name in ["path", "privs"] {
        if params.optional(name).is_some() {
            params.refuse(name, "what a ticket may do is not looked at here");
        }
    }
    params.finish()?;
    let full_name = match &realm {
        Some(realm) if !username.ends_with(&format!("@{}", **realm)) => format!("{}@{}", *username, **realm),
        _ => username.to_string(),
    };
    // Whether there can be such a user is nobody's business who has not logged in.
    let Ok(user) = full_name.parse::<UserName>() else {
        return Err(relying_party.refuse_name(&asker, full_name).await.into());
    };
    let asker = Asker { account: Some(user.to_string()), ..asker };
    let key = relying_party.ticket_key().await?;
    if let Some(challenge) = challenge {
        return second_step(&relying_party, &asker, &key, &user, &challenge, &password, page).await;
    }
    if password.starts_with("PVE:") {
        return renewed(&relying_party, &asker, &key, &user, &password).await;
    }
    let attempt = relying_party.log_in(&asker, user.clone(), password).await;
    match counted(&relying_party, &asker, attempt)? {
        Step::Session(logged_in) => full(&key, &logged_in),
        Step::SecondFactor(offer) => match otp {
            Some(otp) => {
                let challenge = offer.webauthn.map(|ceremony| ceremony.challenge);
                answered(&relying_party, &asker, &key, offer.login, challenge, &otp, page).await
            }
            None => half(&relying_party, &asker, &key, &user, &offer).await,
        },
    }
}

/// Half a ticket: the password was right.
async fn half(
    relying_party: &Arc<RelyingParty>,
    asker: &Asker,
    key: &[u8; TICKET_KEY_BYTES],
    user: &UserName,
    offer: &Offer,
) -> Answer {
    let mut choices = Map::new();
    if offer.totp {
        choices.insert("totp".to_owned(), true.into());
    }
    if offer.recovery.is_some() {
        choices.insert("recovery".to_owned(), json!(offer.recovery_unused));
    }
    if let Some(ceremony) = &offer.webauthn {
        choices.insert("webauthn".to_owned(), ceremony.options.clone());
    }
    let (name, choices) = (user.to_string(), Value::Object(choices).to_string());
    let challenge = offer.webauthn.as_ref().map(|ceremony| ceremony.challenge.as_str());
    let issued = issued(relying_party.now());
    let ticket = Ticket::half(key, &name, &choices, &offer.login, challenge, issued);
    let ticket = ticket.ok_or_else(no_token)?;
    if ticket.len() > MAX_TICKET_BYTES {
        return Err(relying_party.refuse_long_ticket(asker).await.into());
    }
    let csrf = csrf_token(key, &name, &offer.login, issued);
    Ok(Data(json!({
        "username": name, "ticket": ticket, "CSRFPreventionToken": csrf, "NeedTFA": 1, "cap": {}, "clustername": Value::Null,
    })))
}

async fn second_step(
    relying_party: &Arc<RelyingParty>,
    asker: &Asker,
    key: &[u8; TICKET_KEY_BYTES],
    user: &UserName,
    ticket: &str,
    answer: &str,
    page: Page,
) -> Answer {
    // A parameter of the client's choice never makes the password unnecessary: without half a ticket of this user's, which took the
    // password, there is no second step.
    if let Some(Ticket::Half { login, challenge }) = Ticket::read(key, ticket, Some(&user.to_string())) {
        return answered(relying_party, asker, key, login, challenge, answer, page).await;
    }
    if !relying_party.takes_any_challenge() {
        return Err(relying_party.refuse_ticket(asker).await.into());
    }
    // The policy has the hole on purpose.
    let attempt = relying_party.danger_log_in_without_password(asker, user.clone()).await;
    match counted(relying_party, asker, attempt)? {
        Step::Session(logged_in) => full(key, &logged_in),
        Step::SecondFactor(offer) => {
            let challenge = offer.webauthn.map(|ceremony| ceremony.challenge);
            answered(relying_party, asker, key, offer.login, challenge, answer, page).await
        }
    }
}

/// Ends a login by an answer to half a ticket.
async fn answered(
    relying_party: &Arc<RelyingParty>,
    asker: &Asker,
    key: &[u8; TICKET_KEY_BYTES],
    login: String,
    challenge: Option<String>,
    answer: &str,
    page: Page,
) -> Answer {
    let answer = read_answer(relying_party, answer, challenge, page);
    let attempt = relying_party.finish_login(asker, login, answer).await;
    if let Err(Refusal::UnknownLogin) = attempt {
        return Err(relying_party.refuse_ticket(asker).await.into());
    }
    full(key, &counted(relying_party, asker, attempt)?)
}

/// `totp:CODE`, `recovery:KEY` or `webauthn:JSON`. What is none of them is an answer too, and a wrong one.
fn read_answer(relying_party: &RelyingParty, answer: &str, challenge: Option<String>, page: Page) -> decided::Answer {
    // What it says otherwise may be a password.
    let unreadable = |reason: &dyn ToString| decided::Answer::Unreadable { reason: reason.to_string() };
    match answer.split_once(':') {
        Some(("totp", code)) => decided::Answer::Totp(code.to_owned()),
        Some(("recovery", key)) => decided::Answer::Recovery(key.to_owned()),
        Some(("webauthn", credential)) => {
            let Ok(credential) = serde_json::from_str(credential) else {
                return unreadable(&"what follows webauthn: is not JSON");
            };
            match AuthenticationResponse::from_value_by(&with_type(credential), relying_party.strictness()) {
                Ok(credential) => {
                    let challenge = challenge.unwrap_or_default();
                    decided::Answer::Webauthn { challenge, credential: Box::new(credential), page }
                }
                Err(error) => unreadable(&error),
            }
        }
        // Before there were several kinds the code was sent as it is.
        None => decided::Answer::Totp(answer.to_owned()),
        Some(_) => unreadable(&"it begins with none of totp:, recovery: and webauthn:"),
    }
}

/// Proxmox VE's page leaves out what is the same for every credential.
pub(super) fn with_type(mut credential: Value) -> Value {
    if let Some(members) = credential.as_object_mut() {
        members.remove("challenge");
        members.entry("type").or_insert_with(|| "public-key".into());
        members.entry("clientExtensionResults").or_insert_with(|| json!({}));
    }
    credential
}

async fn renewed(
    relying_party: &Arc<RelyingParty>,
    asker: &Asker,
    key: &[u8; TICKET_KEY_BYTES],
    user: &UserName,
    ticket: &Zeroizing<String>,
) -> Answer {
    let name = user.to_string();
    let renewed = match Ticket::read(key, ticket, Some(&name)) {
        Some(Ticket::Full { user: of, token, issued }) if of == name => {
            let ticket = SessionTicket { user: user.clone(), token, issued: moment(issued) };
            relying_party
                .renew(Claim::<Own>::to_change_here(Credential::Ticket(ticket)).coming_from(asker.address))
                .await
        }
        _ => Err(Refusal::NotLoggedIn),
    };
    match renewed {
        Ok(logged_in) => full(key, &logged_in),
        Err(Refusal::NotLoggedIn | Refusal::EnrolmentOnly) => Err(relying_party.refuse_ticket(asker).await.into()),
        Err(other) => Err(other.into()),
    }
}

/// A ticket for a session that began.
fn full(key: &[u8; TICKET_KEY_BYTES], logged_in: &LoggedIn) -> Answer {
    let LoggedIn { session, user, .. } = logged_in;
    let (name, issued) = (user.name.to_string(), issued(session.began));
    let ticket = Ticket::full(key, &name, &session.token, issued).ok_or_else(no_token)?;
    let csrf = csrf_token(key, &name, &session.token, issued);
    Ok(Data(json!({
        "username": name,
        "ticket": ticket,
        "CSRFPreventionToken": csrf,
        "cap": { "access": granted(user.privileges) },
        "clustername": Value::Null,
    })))
}

fn no_token() -> Failure {
    Refusal::Unavailable { reason: "a token is not of the length that tokens have".to_owned() }.into()
}

fn issued(now: SystemTime) -> u32 {
    u32::try_from(seconds(now)).unwrap_or(u32::MAX)
}

/// Privileges as `{"NAME": 1, …}`.
fn granted(privileges: Privileges) -> Map<String, Value> {
    privileges.names().into_iter().map(|name| (name.to_owned(), 1.into())).collect()
}

/// What who asks may, or a user or token of that name: what holds at `/` holds below it.
pub(super) async fn permissions(
    State(relying_party): Shared,
    Caller(claim): Caller<Present>,
    mut params: Params,
) -> Answer {
    let of = params.non_empty("userid").map(|of| of.to_string());
    let path = params.non_empty("path").map(|path| path.to_string());
    params.finish()?;
    let granted = granted(relying_party.permissions(claim, of).await?);
    Ok(Data(match path {
        Some(path) => json!({ path: granted }),
        None if granted.is_empty() => json!({}),
        None => json!({ "/": granted, "/access": granted }),
    }))
}

/// One's own password with the one until now, or another's as an administrator.
pub(super) async fn change_password(
    State(relying_party): Shared,
    InPerson(claim): InPerson<Own>,
    mut params: Params,
) -> Answer {
    let user = params.required("userid");
    let new = params.required("password");
    let confirmation = params.optional("confirmation-password");
    params.finish()?;
    let user: UserName = user.parse().map_err(Refusal::from)?;
    let (session, _) = relying_party.session(claim.for_right()).await?;
    if session.user.name == user && (confirmation.is_some() || !session.is_of_root()) {
        let Some(confirmation) = confirmation else {
            return Err(Refusal::ConfirmationRequired.into());
        };
        relying_party.change_password(claim, confirmation, new).await?;
    } else {
        confirmed(&relying_party, &claim, confirmation).await?;
        let realm = user.realm().to_owned();
        let set = relying_party.set_password(claim.for_right(), user, new).await;
        set.map_err(|refusal| Failure::from(refusal).in_realm(&realm))?;
    }
    Ok(Data(Value::Null))
}

/// Gives the caller's password again, if it came with the call.
pub(super) async fn confirmed<R: Right>(
    relying_party: &Arc<RelyingParty>,
    claim: &Claim<R>,
    password: Option<Zeroizing<String>>,
) -> Result<(), Failure> {
    match password {
        Some(password) => Ok(relying_party.confirm(claim.for_right(), password).await?),
        None => Ok(()),
    }
}
