//! Realms, which everybody may see, as a login form has to; what their directories are asked by is for who may change them, and auditors.

use std::sync::Arc;

use super::authorization::{Authorized, Claim, Right};
use super::rights::{ChangeRealms, ReplaceUsers, SeeRealms};
use super::state::RelyingParty;
use crate::directory::{self, DirectorySettings, Trial};
use crate::realm_change::{self, RealmChange};
use crate::realms::{self, Realm, RealmError};
use crate::refusal::Refusal;
use crate::turns::Asker;
use crate::users;

/// A realm, what its directory is asked by if it has one, and the [`digest`](realm_change::digest) of all realms.
pub(crate) struct SeenRealm {
    pub(crate) realm: Realm,
    pub(crate) directory: Option<DirectorySettings>,
    pub(crate) digest: String,
}

impl RelyingParty {
    pub(crate) async fn realms(self: &Arc<Self>) -> Result<Vec<Realm>, Refusal> {
        self.work(|this| Ok(this.store.realms()?)).await
    }

    pub(crate) async fn realm(self: &Arc<Self>, claim: Claim<SeeRealms>, name: String) -> Result<SeenRealm, Refusal> {
        self.read_as(claim, move |_, Authorized { connection, .. }| {
            let directory = directory::find(connection, &name)?;
            let realm = realms::find(connection, &name)?.ok_or(RealmError::Unknown(name))?;
            Ok(SeenRealm { realm, directory, digest: realm_change::digest(connection)? })
        })
        .await
    }

    /// Adds a realm. Whoever may not add any has no directory asked either.
    pub(crate) async fn add_realm(
        self: &Arc<Self>,
        claim: Claim<ChangeRealms>,
        name: String,
        kind: String,
        change: RealmChange,
    ) -> Result<Realm, Refusal> {
        let look = move |this: &Self, Authorized { connection, .. }: Authorized<'_>| {
            let trial = realm_change::trial_of_new(&this.store, connection, &name, &kind, &change)?;
            Ok((name, kind, change, trial))
        };
        let (claim, (name, kind, change, trial)) = self.read_for_later(claim, look).await?;
        self.tried(trial).await?;
        self.write_as(claim, move |this, Authorized { connection, by, .. }| {
            Ok(realm_change::add(&this.store, connection, &name, &kind, &change, &by)?)
        })
        .await
    }

    pub(crate) async fn change_realm(
        self: &Arc<Self>,
        claim: Claim<ChangeRealms>,
        name: String,
        change: RealmChange,
    ) -> Result<Realm, Refusal> {
        let look = move |this: &Self, Authorized { connection, .. }: Authorized<'_>| {
            let trial = realm_change::trial_of_change(&this.store, connection, &name, &change)?;
            Ok((name, change, trial))
        };
        let (claim, (name, change, trial)) = self.read_for_later(claim, look).await?;
        let tried = self.tried(trial).await?;
        self.write_as(claim, move |this, Authorized { connection, by, .. }| {
            Ok(realm_change::change(&this.store, connection, &name, &change, tried.as_ref(), &by)?)
        })
        .await
    }

    /// How many users it had. They go along, so that with users it takes what deleting users does.
    pub(crate) async fn delete_realm(
        self: &Arc<Self>,
        claim: Claim<ChangeRealms>,
        name: String,
    ) -> Result<usize, Refusal> {
        self.write_as(claim, move |this, Authorized { connection, session, by }| {
            if users::are_in_realm(connection, &name)? {
                ReplaceUsers::check(&session, by.now, &this.policy)?;
            }
            Ok(realm_change::delete(&this.store, connection, &name, &by)?)
        })
        .await
    }

    /// Tries a directory, if one is to be tried, outside of any transaction: what it was asked by.
    async fn tried(&self, trial: Option<Trial>) -> Result<Option<DirectorySettings>, Refusal> {
        let Some(trial) = trial else { return Ok(None) };
        let _turn = self.asking.take(&Asker::default()).await?;
        Ok(Some(trial.run().await?))
    }
}
