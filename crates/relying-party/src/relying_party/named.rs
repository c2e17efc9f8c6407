//! Ceremonies of whoever names a user, as the tools of FIDO's server conformance API have them: there is no password. They are for a realm of
//! their own, whose users are made as they are named, and for a site that was told to have it.
//!
//! What is decided is what is decided of everybody: a ceremony stands on a login under way, which somebody else begins with a password.

use std::sync::Arc;

use keyrig_verifier::RegistrationResponse;

use super::authorization::{Authorized, Session};
use super::enrolment::{Added, RegistrationWish};
use super::login::{Account, Cause, Ceremony, LOGIN_LIFETIME};
use super::state::RelyingParty;
use crate::audit_log::{By, Occasion};
use crate::challenges::{self, Login};
use crate::realms::{self, RealmKind};
use crate::refusal::{Committed, Refusal};
use crate::store::{StoreError, Transaction};
use crate::turns::Asker;
use crate::user_name::UserName;
use crate::users::{self, Role};
use crate::webauthn::Page;

/// The realm of users who have no password.
pub(crate) const CONFORMANCE_REALM: &str = "fido";

/// How many users there can be in it: anybody can make one.
const MAX_USERS: u32 = 10_000;

/// The end of a registration.
pub(crate) struct NamedRegistration {
    /// The secret identifier of the login under way.
    pub(crate) login: String,
    /// That of the ceremony.
    pub(crate) challenge: String,
    pub(crate) response: RegistrationResponse,
    pub(crate) page: Page,
}

impl RelyingParty {
    /// Begins to register a key of a user, who is made if there is none of that name: the login's secret identifier, and the ceremony.
    pub(crate) async fn begin_named_registration(
        self: &Arc<Self>,
        asker: &Asker,
        name: String,
        verify_user: bool,
    ) -> Result<(String, Ceremony), Refusal> {
        let name = named(&name)?;
        let address = asker.address;
        self.work_for(asker, move |this| {
            let at = this.occasion(address);
            this.store.write(|transaction| -> Committed<_, Refusal> {
                this.usable_webauthn()?;
                make(transaction, &name, at)?;
                let Some(account) = account(transaction, &name)? else { return Ok(Err(Refusal::UnknownLogin)) };
                if let Some(cause) = this.obstacle(&account, at.now) {
                    return Ok(Err(this.refuse(transaction, &name.to_string(), &cause, at)?));
                }
                let (token, login) = challenges::begin_login(transaction, account.user.id, at.now, LOGIN_LIFETIME)?;
                let wish = RegistrationWish::of_second_factor(verify_user);
                let authorized = standing_on(&login, &account, transaction, at);
                Ok(Ok((token, this.offer_registration(&authorized, &account.user, wish)?)))
            })?
        })
        .await
    }

    /// Ends it: the challenge is used up, whatever comes of it.
    pub(crate) async fn finish_named_registration(
        self: &Arc<Self>,
        asker: &Asker,
        NamedRegistration { login, challenge, response, page }: NamedRegistration,
    ) -> Result<Added, Refusal> {
        let address = asker.address;
        self.work_for(asker, move |this| {
            let at = this.occasion(address);
            this.store.write(|transaction| -> Committed<Added, Refusal> {
                let found = challenges::find_login(transaction, &login, at.now)?;
                let account =
                    found.and_then(|login| login.user).map(|user| Account::load(transaction, user)).transpose()?;
                // A login of another realm began with a password, which is not enough to add a factor.
                let account = account.flatten().filter(|account| account.user.name.realm() == CONFORMANCE_REALM);
                let (Some(login), Some(account)) = (found, account) else { return Ok(Err(Refusal::UnknownLogin)) };
                if let Some(cause) = this.obstacle(&account, at.now) {
                    return Ok(Err(this.refuse(transaction, &account.user.name.to_string(), &cause, at)?));
                }
                let authorized = standing_on(&login, &account, transaction, at);
                let description = "FIDO conformance";
                let added = this.register(&authorized, &account.user, &challenge, description, response, &page)?;
                if added.is_ok() {
                    challenges::end_login(transaction, &login)?;
                }
                Ok(added)
            })?
        })
        .await
    }

    /// Begins the login of a user who is there: the login's secret identifier, and the ceremony. It ends as every login does.
    pub(crate) async fn begin_named_login(
        self: &Arc<Self>,
        asker: &Asker,
        name: String,
        verify_user: bool,
    ) -> Result<(String, Ceremony), Refusal> {
        let name = named(&name)?;
        let address = asker.address;
        self.work_for(asker, move |this| {
            let at = this.occasion(address);
            this.store.write(|transaction| -> Committed<_> {
                let text = name.to_string();
                let Some(account) = account(transaction, &name)? else {
                    return Ok(Err(this.refuse(transaction, &text, &Cause::UnknownUser, at)?));
                };
                if let Some(cause) = this.obstacle(&account, at.now) {
                    return Ok(Err(this.refuse(transaction, &text, &cause, at)?));
                }
                let webauthn = match &this.webauthn {
                    Ok(webauthn) if !account.credentials_here(webauthn).is_empty() => webauthn,
                    _ => return Ok(Err(this.refuse(transaction, &text, &Cause::NoWebauthn, at)?)),
                };
                let (token, login) = challenges::begin_login(transaction, account.user.id, at.now, LOGIN_LIFETIME)?;
                let ceremony = this.begin_ceremony(transaction, webauthn, &account, &login, verify_user, at.now)?;
                Ok(Ok((token, ceremony)))
            })?
        })
        .await
    }
}

/// A user of the realm, by what the tool calls them.
fn named(name: &str) -> Result<UserName, Refusal> {
    Ok(format!("{name}@{CONFORMANCE_REALM}").parse()?)
}

fn account(connection: &Transaction<'_>, name: &UserName) -> Result<Option<Account>, StoreError> {
    let user = users::find(connection, name)?;
    Ok(user.map(|user| Account::load(connection, user.id)).transpose()?.flatten())
}

/// Makes a user, if there is none of that name, and the realm.
fn make(connection: &Transaction<'_>, name: &UserName, at: Occasion) -> Result<(), Refusal> {
    let realm = realms::find(connection, CONFORMANCE_REALM)?;
    if realm.is_some_and(|realm| realm.kind != RealmKind::Fido) {
        let reason = format!("the realm {CONFORMANCE_REALM} is for users with passwords");
        return Err(Refusal::BadRequest { reason });
    }
    realms::have_conformance(connection)?;
    if users::find(connection, name)?.is_some() {
        return Ok(());
    }
    if users::count(connection, CONFORMANCE_REALM)? >= MAX_USERS {
        let reason = format!("the realm {CONFORMANCE_REALM} has as many users as it can have: delete some");
        return Err(Refusal::BadRequest { reason });
    }
    users::add(connection, name, Role::User, None, &By::nobody(at))?;
    Ok(())
}

/// The right to add a key of one's own, of who began this login.
fn standing_on<'a>(login: &Login, account: &Account, connection: &'a Transaction<'a>, at: Occasion) -> Authorized<'a> {
    let session = Session::of_login(login.id, account.user.clone(), at.now);
    Authorized { connection, session, by: By::user(&account.user.name, at) }
}
