//! What the owner of a key has done with it, running or not: [`keyrig_authenticator::administration`] by the key's task.

use keyrig_authenticator::administration::{
    Act, BackupRefused, ImportRefused, LargeBlobsRefused, PinRefused, PinState, RestoreRefused,
};
pub use keyrig_authenticator::administration::{FingerprintRefused, Signal};
use keyrig_authenticator::credential::CredentialSource;
use keyrig_authenticator::store::{Change, Store};
use keyrig_authenticator::{Authenticator, Fingerprint};
use thiserror::Error;
use tokio::sync::oneshot;

use super::lone::StartingPoint;
use super::message::{Message, Work};
use super::{KeyGone, KeyHandle};
use crate::snapshot::Snapshot;
use crate::storage::NotDurable;

/// Why an act of the owner did not happen.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ActRefused {
    /// Credentials cannot be imported because of one of them, and none was.
    #[error("{}{refused}", if *.of == 1 { String::new() } else { format!("none was imported, because of number {number} of {of}: ") })]
    Import {
        /// Which one, from 1.
        number: usize,
        /// Of how many.
        of: usize,
        /// Why.
        refused: ImportRefused,
    },
    /// The key does not become what a snapshot holds.
    #[error("the snapshot is not of such a key: {0}")]
    Restore(#[from] RestoreRefused),
    /// What a credential says of its backup is not changed.
    #[error(transparent)]
    Backup(#[from] BackupRefused),
    /// The key has no such credential.
    #[error("the key has no credential with this id")]
    NoCredential,
    /// The PIN is not set or changed.
    #[error(transparent)]
    Pin(#[from] PinRefused),
    /// The large blobs are not read or written.
    #[error(transparent)]
    LargeBlobs(#[from] LargeBlobsRefused),
    /// Nothing is done about fingerprints.
    #[error(transparent)]
    Fingerprint(#[from] FingerprintRefused),
    /// It could not be made durable.
    #[error("it could not be made durable: {0}")]
    NotDurable(String),
    /// The key has ended.
    #[error("the key is no more")]
    Gone,
}

impl From<KeyGone> for ActRefused {
    fn from(KeyGone: KeyGone) -> Self {
        Self::Gone
    }
}

struct Job<T, F> {
    plan: Option<F>,
    act: Option<Act<Result<T, ActRefused>>>,
    done: Option<oneshot::Sender<Result<T, ActRefused>>>,
}

impl<T, F> Job<T, F> {
    fn tell(&mut self, result: Result<T, ActRefused>) {
        if let Some(done) = self.done.take() {
            // The asker may have gone; what is done is done.
            let _ = done.send(result);
        }
    }
}

impl<T: Send, F> Work for Job<T, F>
where
    F: FnOnce(&mut Authenticator) -> Result<Act<Result<T, ActRefused>>, ActRefused> + Send,
{
    fn begin(&mut self, authenticator: &mut Authenticator) -> Option<(Vec<Change>, bool)> {
        match self.plan.take()?(authenticator) {
            Ok(act) => {
                let begun = (act.changes().to_vec(), act.replaces_all());
                self.act = Some(act);
                Some(begun)
            }
            Err(refused) => {
                self.tell(Err(refused));
                None
            }
        }
    }

    fn end(mut self: Box<Self>, authenticator: &mut Authenticator, durable: Result<(), NotDurable>) {
        let Some(act) = self.act.take() else { return };
        let result = match durable {
            Ok(()) => act.committed(authenticator),
            Err(error) => Err(ActRefused::NotDurable(error.to_string())),
        };
        self.tell(result);
    }
}

impl KeyHandle {
    /// Has the key's task carry something out. It is carried out even if nobody waits for it any more.
    async fn act<T: Send + 'static>(
        &self,
        plan: impl FnOnce(&mut Authenticator) -> Result<Act<Result<T, ActRefused>>, ActRefused> + Send + 'static,
    ) -> Result<T, ActRefused> {
        let (done, told) = oneshot::channel();
        let work = Box::new(Job { plan: Some(plan), act: None, done: Some(done) });
        self.messages.send(Message::Work(work)).map_err(|_| KeyGone)?;
        told.await.map_err(|_| KeyGone)?
    }

    /// Asks the key something.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Authenticator) -> Result<T, ActRefused> + Send + 'static,
    ) -> Result<T, ActRefused> {
        self.act(move |authenticator| question(authenticator).map(|answer| Act::of(Ok(answer)))).await
    }

    /// Erases the key: see [`Authenticator::erase`].
    ///
    /// # Errors
    /// [`ActRefused`].
    pub async fn erase(&self) -> Result<(), ActRefused> {
        self.act(|authenticator| Ok(authenticator.erase().map(Ok))).await
    }

    /// Has the key keep this instead of what it keeps: see [`Authenticator::restore`].
    ///
    /// # Errors
    /// [`ActRefused`].
    pub async fn restore(&self, store: Store) -> Result<(), ActRefused> {
        self.act(move |authenticator| Ok(authenticator.restore(&store)?.map(Ok))).await
    }

    /// All that the key keeps, as it is between two commits.
    ///
    /// # Errors
    /// [`ActRefused`].
    pub async fn store(&self) -> Result<Store, ActRefused> {
        self.ask(|authenticator| Ok(authenticator.store().clone())).await
    }

    /// What it starts from, if all that is random in it follows from a seed: what it keeps, and how far its randomness has come.
    ///
    /// # Errors
    /// [`ActRefused`].
    pub async fn starting_point(&self) -> Result<Option<StartingPoint>, ActRefused> {
        self.ask(|authenticator| {
            let (profile, store) = (authenticator.profile().name.clone(), authenticator.store().clone());
            let snapshot = Snapshot { profile, store };
            Ok(authenticator.position().map(|position| StartingPoint { snapshot, position }))
        })
        .await
    }

    /// Imports credentials, all or none: see [`Authenticator::import`].
    ///
    /// # Errors
    /// [`ActRefused`].
    pub async fn import(&self, sources: Vec<CredentialSource>) -> Result<(), ActRefused> {
        let of = sources.len();
        let refused = move |(place, refused)| ActRefused::Import { number: place + 1, of, refused };
        self.act(move |authenticator| Ok(authenticator.import(sources).map_err(refused)?.map(Ok))).await
    }

    /// Exports the stored credentials: see [`Authenticator::export_all`].
    ///
    /// # Errors
    /// [`ActRefused`].
    pub async fn export_all(&self) -> Result<Vec<CredentialSource>, ActRefused> {
        self.ask(|authenticator| Ok(authenticator.export_all())).await
    }

    /// Exports one credential: see [`Authenticator::export`].
    ///
    /// # Errors
    /// [`ActRefused`].
    pub async fn export(&self, id: Vec<u8>, relying_party_id: Option<String>) -> Result<CredentialSource, ActRefused> {
        self.ask(move |authenticator| {
            authenticator.export(&id, relying_party_id.as_deref()).ok_or(ActRefused::NoCredential)
        })
        .await
    }

    /// Deletes a stored credential: see [`Authenticator::delete`].
    ///
    /// # Errors
    /// [`ActRefused`].
    pub async fn delete(&self, id: Vec<u8>) -> Result<(), ActRefused> {
        self.act(move |authenticator| Ok(authenticator.delete(&id).ok_or(ActRefused::NoCredential)?.map(Ok))).await
    }

    /// Changes what a stored credential says of its backup: see [`Authenticator::set_backup`].
    ///
    /// # Errors
    /// [`ActRefused`].
    pub async fn set_backup(&self, id: Vec<u8>, eligible: bool, backed_up: bool) -> Result<(), ActRefused> {
        self.act(move |authenticator| Ok(authenticator.set_backup(&id, eligible, backed_up)?.map(Ok))).await
    }

    /// Has the key do what a relying party signals of its credentials: see [`Authenticator::signal`].
    ///
    /// # Errors
    /// [`ActRefused`].
    pub async fn signal(&self, relying_party_id: String, signal: Signal) -> Result<(), ActRefused> {
        self.act(move |authenticator| Ok(authenticator.signal(&relying_party_id, &signal).map(Ok))).await
    }

    /// What is told of the PIN.
    ///
    /// # Errors
    /// [`ActRefused`].
    pub async fn pin_state(&self) -> Result<PinState, ActRefused> {
        self.ask(|authenticator| Ok(authenticator.pin_state().ok_or(PinRefused::NotSupported)?)).await
    }

    /// Sets the first PIN: see [`Authenticator::set_pin`].
    ///
    /// # Errors
    /// [`ActRefused`].
    pub async fn set_pin(&self, pin: String) -> Result<(), ActRefused> {
        self.act(move |authenticator| Ok(authenticator.set_pin(&pin)?.map(Ok))).await
    }

    /// Changes the PIN: see [`Authenticator::change_pin`].
    ///
    /// # Errors
    /// [`ActRefused`].
    pub async fn change_pin(&self, current: String, new: String) -> Result<(), ActRefused> {
        self.act(move |authenticator| {
            Ok(authenticator.change_pin(&current, &new)?.map(|changed| changed.map_err(ActRefused::from)))
        })
        .await
    }

    /// The fingerprints that the key knows.
    ///
    /// # Errors
    /// [`ActRefused`].
    pub async fn fingerprints(&self) -> Result<Vec<Fingerprint>, ActRefused> {
        self.ask(|authenticator| Ok(authenticator.fingerprints()?)).await
    }

    /// Has it know another finger: see [`Authenticator::enroll_fingerprint`].
    ///
    /// # Errors
    /// [`ActRefused`].
    pub async fn enroll_fingerprint(&self, name: String) -> Result<Vec<u8>, ActRefused> {
        self.act(move |authenticator| Ok(authenticator.enroll_fingerprint(name)?.map(Ok))).await
    }

    /// Gives a finger another name: see [`Authenticator::rename_fingerprint`].
    ///
    /// # Errors
    /// [`ActRefused`].
    pub async fn rename_fingerprint(&self, id: Vec<u8>, name: String) -> Result<(), ActRefused> {
        self.act(move |authenticator| Ok(authenticator.rename_fingerprint(&id, name)?.map(Ok))).await
    }

    /// Has it forget a finger: see [`Authenticator::delete_fingerprint`].
    ///
    /// # Errors
    /// [`ActRefused`].
    pub async fn delete_fingerprint(&self, id: Vec<u8>) -> Result<(), ActRefused> {
        self.act(move |authenticator| Ok(authenticator.delete_fingerprint(&id)?.map(Ok))).await
    }

    /// The serialized large-blob array.
    ///
    /// # Errors
    /// [`ActRefused`].
    pub async fn large_blobs(&self) -> Result<Vec<u8>, ActRefused> {
        self.ask(|authenticator| Ok(authenticator.large_blobs()?.to_vec())).await
    }

    /// Writes the serialized large-blob array: see [`Authenticator::write_large_blobs`].
    ///
    /// # Errors
    /// [`ActRefused`].
    pub async fn write_large_blobs(&self, array: Vec<u8>) -> Result<(), ActRefused> {
        self.act(move |authenticator| Ok(authenticator.write_large_blobs(array)?.map(Ok))).await
    }
}
