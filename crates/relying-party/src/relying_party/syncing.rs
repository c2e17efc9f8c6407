//! Syncing a realm's directory while whoever asked for it waits for nothing: a task.

use std::sync::Arc;

use super::authorization::{Authorized, Claim, Own};
use super::rights::{EndSync, SyncRealms};
use super::state::RelyingParty;
use crate::directory::{self, StoredDirectory, SyncOptions, SyncWish};
use crate::refusal::Refusal;
use crate::tasks::{self, NewTask, Task, Upid};

impl RelyingParty {
    /// Begins to sync a realm, and says what that is called. The claim is looked at again when there is something to write.
    pub(crate) async fn begin_sync(
        self: &Arc<Self>,
        claim: Claim<SyncRealms>,
        realm: String,
        wish: SyncWish,
        node: String,
    ) -> Result<Upid, Refusal> {
        let turn = self.syncs.clone().try_acquire_owned().map_err(|_| Refusal::Busy)?;
        let token = claim.api_token().map(|name| format!("!{name}")).unwrap_or_default();
        // Whoever has confirmed the password for this has done so: the directory may take longer than that is good for.
        let later = claim.for_right::<EndSync>();
        let begun = self.write_as(claim, move |this, Authorized { connection, session, by }| {
            let settings = directory::to_sync(connection, &realm)?;
            let options = wish.completed_by(&settings)?;
            let (kind, said) = match options.dry_run {
                true => ("auth-realm-sync-test", "(dry test run) "),
                false => ("auth-realm-sync", ""),
            };
            let task = NewTask { node, kind, about: realm.clone(), user: format!("{}{token}", session.user.name) };
            let upid = tasks::begin(connection, task, &format!("{said}starting sync for realm {realm}"), by.now)?;
            Ok((upid, this.store.stored(&realm, settings), options))
        });
        let (upid, directory, options) = begun.await?;
        let (this, number) = (self.clone(), upid.number);
        tokio::spawn(async move {
            let _turn = turn;
            if let Err(error) = this.sync(later, number, directory, options).await {
                tracing::warn!(number, %error, "what became of a task is not written down");
            }
        });
        Ok(upid)
    }

    /// Does it. What is written, and that the task is over, are one.
    async fn sync(
        self: &Arc<Self>,
        claim: Claim<EndSync>,
        number: u32,
        directory: StoredDirectory,
        options: SyncOptions,
    ) -> Result<(), Refusal> {
        let realm = directory.realm.clone();
        let synced = match directory::fetch(directory).await {
            Ok(fetched) => {
                let write = move |_: &Self, Authorized { connection, by, .. }: Authorized<'_>| {
                    let report = directory::sync(connection, &realm, &fetched, options, &by)?;
                    Ok(tasks::end(connection, number, report.lines(), Ok(()))?)
                };
                self.write_as(claim, write).await
            }
            Err(error) => Err(error.into()),
        };
        match synced {
            Ok(()) => Ok(()),
            Err(refusal) => {
                let reason = refusal.to_string();
                self.work(move |this| {
                    let end = |connection: &_| tasks::end(connection, number, std::iter::empty(), Err(&reason));
                    Ok(this.store.write(|transaction| end(transaction))?)
                })
                .await
            }
        }
    }

    /// What became of a task, for its user and for who may see others'.
    pub(crate) async fn task(self: &Arc<Self>, claim: Claim<Own>, upid: Upid) -> Result<Option<Task>, Refusal> {
        self.read_as(claim, move |_, Authorized { connection, session, by }| {
            if !upid.is_of(&session.user.name) {
                session.may_see_tasks()?;
            }
            Ok(tasks::find(connection, &upid, by.now)?)
        })
        .await
    }
}
