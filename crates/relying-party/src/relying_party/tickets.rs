//! What tickets of Proxmox VE's form take: the key under which they are made, and a session for one that is about to be over.

use std::sync::Arc;

use rusqlite::{OptionalExtension, params};

use super::authorization::{Authorized, Claim, Own};
use super::login::{Cause, LoggedIn, Step};
use super::state::RelyingParty;
use crate::audit_log::{self, EventKind};
use crate::factors;
use crate::http::TICKET_KEY_BYTES;
use crate::notices;
use crate::random;
use crate::realms::{self, Requirement};
use crate::refusal::{Committed, Refusal};
use crate::sessions::{self, SessionKind};
use crate::store::StoreError;
use crate::turns::Asker;
use crate::user_name::UserName;

/// How much is written down of a name that no user can have, in bytes.
const MAX_NAME_BYTES: usize = 128;

impl RelyingParty {
    /// The key under which tickets are made, the same for all that serve this database. It is made when it is first asked for.
    pub(crate) async fn ticket_key(self: &Arc<Self>) -> Result<[u8; TICKET_KEY_BYTES], Refusal> {
        if let Some(key) = self.ticket_key.get() {
            return Ok(*key);
        }
        let key = self
            .work(|this| {
                Ok(this.store.write(|transaction| -> Result<_, StoreError> {
                    let found = transaction.query_row("SELECT key FROM ticket_key", [], |row| row.get(0)).optional()?;
                    if let Some(key) = found {
                        return Ok(key);
                    }
                    let key = random::bytes::<TICKET_KEY_BYTES>(transaction.random);
                    transaction.execute("INSERT INTO ticket_key VALUES (1, ?)", params![key])?;
                    Ok(key)
                })?)
            })
            .await?;
        Ok(*self.ticket_key.get_or_init(|| key))
    }

    /// Writes down that what came as a ticket is none, and makes the answer that every refused login gets.
    pub(crate) async fn refuse_ticket(self: &Arc<Self>, asker: &Asker) -> Refusal {
        self.refuse_for(asker, asker.account.clone().unwrap_or_default(), Cause::TicketRefused).await
    }

    /// The same of what no user can be called.
    pub(crate) async fn refuse_name(self: &Arc<Self>, asker: &Asker, mut name: String) -> Refusal {
        name.truncate(name.floor_char_boundary(MAX_NAME_BYTES));
        self.refuse_for(asker, name, Cause::NotAUserName).await
    }

    /// The same of half a ticket that would be too long.
    pub(crate) async fn refuse_long_ticket(self: &Arc<Self>, asker: &Asker) -> Refusal {
        self.refuse_for(asker, asker.account.clone().unwrap_or_default(), Cause::TicketTooLong).await
    }

    async fn refuse_for(self: &Arc<Self>, asker: &Asker, name: String, cause: Cause) -> Refusal {
        self.failures.add(asker);
        let address = asker.address;
        let refused = self
            .work_for(asker, move |this| {
                let at = this.occasion(address);
                this.store
                    .write(|transaction| -> Committed<()> { Ok(Err(this.refuse(transaction, &name, &cause, at)?)) })?
            })
            .await;
        refused.err().unwrap_or(Refusal::NotLoggedIn)
    }

    /// Whether a second step is taken whatever its ticket: the hole of CVE-2023-54391.
    pub(crate) fn takes_any_challenge(&self) -> bool {
        self.policy.second_step_without_ticket
    }

    /// The first step as the hole has it: nobody looks at a password. It is for policies that have the hole on purpose.
    pub(crate) async fn danger_log_in_without_password(
        self: &Arc<Self>,
        asker: &Asker,
        name: UserName,
    ) -> Result<Step, Refusal> {
        let address = asker.address;
        self.work_for(asker, move |this| {
            let at = this.occasion(address);
            this.store.write(|transaction| this.danger_skip_password(transaction, &name, at))?
        })
        .await
    }

    /// Another session for the user of one, which lasts as long as any that begins now.
    pub(crate) async fn renew(self: &Arc<Self>, claim: Claim<Own>) -> Result<LoggedIn, Refusal> {
        self.write_as(claim, |this, Authorized { connection, session, by }| {
            let (user, factor) = (session.user, session.factor.as_deref());
            let new = sessions::begin(connection, user.id, SessionKind::Full, false, factor, by.occasion())?;
            audit_log::record(connection, &by, EventKind::LoggedIn, &user.name.to_string(), "by a ticket")?;
            let notices = notices::of(&user, &factors::load(connection, user.id)?, this.rp_id());
            let requirement =
                realms::find(connection, user.name.realm())?.map_or(Requirement::None, |realm| realm.requirement);
            Ok(LoggedIn { session: new, user, notices, requirement, report: None })
        })
        .await
    }
}
