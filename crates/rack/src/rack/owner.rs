//! What the owner of a rack does with whole keys: create, remove, reset, put aside and restore.

use keyrig_authenticator::Profile;
use keyrig_authenticator::profile::Quirk;
use tokio::sync::oneshot;

use super::Rack;
use super::error::RackError;
use super::maker::Contents;
use super::task::Request;
use crate::certified;
use crate::command::{Command, RackState, Refusal};
use crate::events::What;
use crate::key_name::KeyName;
use crate::snapshot::Snapshot;
use crate::state_directory::StateError;
use crate::verification::UvPolicy;

/// A key that is to come to a running rack.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// Its name.
    pub name: KeyName,
    /// Which key it is.
    pub profile: Profile,
    /// What it keeps from the start; otherwise it is new, or the one of this name that the state directory keeps.
    pub snapshot: Option<Snapshot>,
    /// Its PIN, from the start.
    pub pin: Option<String>,
    /// Whom it finds when it verifies its user itself; without it always the user.
    pub uv: Option<UvPolicy>,
    /// Whether it is plugged in.
    pub plugged: bool,
}

impl NewKey {
    /// Gives it known bugs, by their names, and RP IDs that it gives enterprise attestations to, beside those of its profile.
    ///
    /// # Errors
    /// [`Refusal::UnknownQuirk`], [`Refusal::Quirk`], [`Refusal::Enterprise`].
    pub fn add(&mut self, quirks: &[String], enterprise_rps: &[String]) -> Result<(), Refusal> {
        let Self { name, profile, .. } = self;
        for quirk in quirks {
            let added = profile.add(Quirk::named(quirk)?);
            added.map_err(|refused| Refusal::Quirk { key: name.clone(), refused })?;
        }
        for rp_id in enterprise_rps {
            let listed = profile.list_for_enterprise(rp_id);
            listed.map_err(|refused| Refusal::Enterprise { key: name.clone(), refused })?;
        }
        Ok(())
    }
}

impl Rack {
    /// Makes a key and puts it into the rack. It is made whole, or not at all, even if nobody waits for it any more.
    ///
    /// # Errors
    /// [`Refusal`]: there is no such key.
    pub async fn create(&self, key: NewKey) -> Result<RackState, Refusal> {
        let rack = self.clone();
        let created = tokio::spawn(async move { rack.make(key).await });
        created.await.unwrap_or(Err(Refusal::Stopped))
    }

    async fn make(&self, key: NewKey) -> Result<RackState, Refusal> {
        let name = key.name.clone();
        let number = self.request(|answer| Request::Reserve { name: name.clone(), answer }).await?;
        let made = self.make_at(key, number).await;
        if made.is_err() {
            // A task that has stopped keeps no places.
            let _ = self.requests.send(Request::Release { name });
        }
        made
    }

    async fn make_at(&self, key: NewKey, number: usize) -> Result<RackState, Refusal> {
        let NewKey { name, profile, snapshot, pin, uv, plugged } = key;
        if uv.is_some() && !profile.has_built_in_uv() {
            return Err(Refusal::NoVerification(name));
        }
        if let Some(snapshot) = &snapshot {
            check_profile(&name, &profile.name, snapshot)?;
        }
        let contents = Contents { store: snapshot.map(|snapshot| snapshot.store), pin };
        let (shared, made_name) = (self.shared.clone(), name.clone());
        // The disk, and certificates.
        let making = tokio::task::spawn_blocking(move || shared.maker.make(made_name, profile, number, contents));
        let made = making.await.map_err(|_| Refusal::Stopped)?.map_err(|error| match error {
            RackError::Refused(refusal) => refusal,
            RackError::State(StateError::KeyExists { .. }) => Refusal::KeyKept(name),
            error => Refusal::CannotCreate { key: name, reason: error.to_string() },
        })?;
        let mut entry = made.run();
        entry.uv = uv.or(entry.uv);
        let added = self.request(|answer| Request::Add { entry: Box::new(entry), plugged, answer }).await?;
        self.shared.keys.seen().await;
        Ok(added)
    }

    /// Takes a key out of the rack, and lets go of what it kept; what a state directory keeps stays there.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn remove(&self, key: &KeyName) -> Result<RackState, Refusal> {
        let removed = self.request(|answer| Request::Remove { key: key.clone(), answer }).await?;
        self.shared.keys.seen().await;
        Ok(removed)
    }

    /// Has a key forget everything, as authenticatorReset does, but at any time and without a touch. What waits for a gesture is
    /// denied before.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn reset(&self, key: &KeyName) -> Result<RackState, Refusal> {
        let handle = self.known(key)?;
        handle.erase().await.map_err(Refusal::of(key))?;
        self.tell(What::Reset { key: key.clone() });
        self.state_of(key).await
    }

    /// All that a key keeps, as it is between two commits. Private keys are in it.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn snapshot(&self, key: &KeyName) -> Result<Snapshot, Refusal> {
        let state = self.state_of(key).await?;
        let profile = state.keys.into_iter().next().map(|state| state.profile).ok_or(Refusal::Stopped)?;
        let store = self.known(key)?.store().await.map_err(Refusal::of(key))?;
        Ok(Snapshot { profile, store })
    }

    /// Has a key keep what a snapshot of a key of the same profile holds, and nothing else. What waits for a gesture is denied before.
    /// Its counters may go back by it, which is what relying parties shall notice.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn restore(&self, key: &KeyName, snapshot: Snapshot) -> Result<RackState, Refusal> {
        let state = self.state_of(key).await?;
        for state in &state.keys {
            check_profile(key, &state.profile, &snapshot)?;
        }
        self.known(key)?.restore(snapshot.store).await.map_err(Refusal::of(key))?;
        self.tell(What::Restored { key: key.clone() });
        self.state_of(key).await
    }

    /// The profile of this name: one that comes with keyrig, or `mds:AAGUID` out of the metadata that the rack was given.
    ///
    /// # Errors
    /// [`Refusal::UnknownProfile`], [`Refusal::NoProfile`].
    pub fn profile(&self, name: &str) -> Result<Profile, Refusal> {
        if name.starts_with(certified::PREFIX) {
            return Ok(certified::profile(name, self.shared.metadata.as_deref())?);
        }
        Profile::built_in(name).ok_or_else(|| Refusal::UnknownProfile(name.chars().take(64).collect()))
    }

    /// Makes another key that keeps what this one does, private keys and counters included, has the same quirks, and lists the same RP IDs
    /// for enterprise attestations.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn clone_key(&self, key: &KeyName, name: KeyName) -> Result<RackState, Refusal> {
        let snapshot = self.snapshot(key).await?;
        let profile = self.profile(&snapshot.profile)?;
        let mut clone = NewKey { name, profile, snapshot: Some(snapshot), pin: None, uv: None, plugged: true };
        for state in self.state_of(key).await?.keys {
            clone.add(&state.quirks, &state.enterprise_rps)?;
        }
        self.create(clone).await
    }

    async fn state_of(&self, key: &KeyName) -> Result<RackState, Refusal> {
        self.command(Command::Show { key: key.clone() }).await
    }

    fn tell(&self, what: What) {
        // A task that has stopped tells nobody.
        let _ = self.requests.send(Request::Tell(what));
    }

    pub(super) async fn request<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, Refusal>>) -> Request,
    ) -> Result<T, Refusal> {
        let (answer, answered) = oneshot::channel();
        self.requests.send(request(answer)).map_err(|_| Refusal::Stopped)?;
        answered.await.unwrap_or(Err(Refusal::Stopped))
    }
}

fn check_profile(key: &KeyName, profile: &str, snapshot: &Snapshot) -> Result<(), Refusal> {
    if snapshot.profile == profile {
        return Ok(());
    }
    let (profile, found) = (profile.to_owned(), snapshot.profile.clone());
    Err(Refusal::OtherProfile { key: key.clone(), profile, found })
}
