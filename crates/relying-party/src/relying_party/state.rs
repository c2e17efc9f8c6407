//! What a relying party is made of, and how its work is kept off the threads that serve.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use keyrig_http::Connections;
use keyrig_verifier::Strictness;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::audit_log::Occasion;
use crate::clock::Clock;
use crate::directory::{self, Directory, DirectoryAnswer, DirectorySettings, DirectoryUnavailable};
use crate::http::TICKET_KEY_BYTES;
use crate::limits::Limits;
use crate::password::{Compared, PasswordCost, PasswordHash, Passwords};
use crate::policy::Policy;
use crate::refusal::Refusal;
use crate::settings::Settings;
use crate::store::Store;
use crate::turns::{Asker, Failures, Places, Turns};
use crate::user_name::UserName;
use crate::webauthn::Webauthn;

/// How many requests work on the store at once; others wait for their turn.
const WORKERS: usize = 32;

/// How many syncs go on at once.
const MAX_SYNCS: usize = 4;

/// What lies between browsers and a relying party. Over TLS cookies are `Secure`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// Plain HTTP.
    #[default]
    Plain,
    /// A proxy that ends TLS, and passes on plain HTTP.
    BehindTls,
    /// TLS, by a certificate that only those trust who try it out: browsers are never told to insist on it.
    TestTls,
    /// TLS.
    Tls,
}

/// What a relying party is made of, beside its settings.
#[derive(Debug)]
pub struct Options {
    /// Where everything is kept.
    pub store: Arc<Store>,
    /// What is expensive about a password, for hashes that are made from now on.
    pub password_cost: PasswordCost,
    /// Who knows the passwords of which realm's users, where they are not kept in the store.
    pub directories: BTreeMap<String, Arc<dyn Directory>>,
    /// Whether users are told why a login was refused, as on a rehearsal site, and of one that was not what each check found. It tells
    /// attackers as well.
    pub explain: bool,
    /// What lies between browsers and here.
    pub transport: Transport,
    /// The addresses of proxies whose `X-Forwarded-For` is believed: of what comes from one, the last address in it that is none of
    /// these is where it came from.
    pub trusted_proxies: Vec<IpAddr>,
    /// Whether the four routes of FIDO's server conformance API are there, by which anybody can make a user in a realm of their own and add
    /// keys to any user there.
    pub fido_conformance: bool,
}

impl Options {
    /// A relying party on this store that tells nobody why.
    pub fn new(store: impl Into<Arc<Store>>) -> Self {
        let store = store.into();
        let directories = BTreeMap::new();
        Self {
            store,
            password_cost: PasswordCost::Full,
            directories,
            explain: false,
            transport: Transport::Plain,
            trusted_proxies: Vec::new(),
            fido_conformance: false,
        }
    }
}

/// Where a user's password is.
pub(super) struct Kept {
    pub(super) hash: Option<PasswordHash>,
    /// Where the realm has a directory there is no hash that counts.
    pub(super) directory: Option<DirectorySettings>,
}

/// A relying party.
pub struct RelyingParty {
    pub(super) store: Arc<Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) passwords: Passwords,
    directories: BTreeMap<String, Arc<dyn Directory>>,
    /// Turns at directories, which may be slow.
    pub(super) asking: Arc<Turns>,
    pub(super) policy: Policy,
    /// `Err` says why WebAuthn cannot be used: nobody who has enrolled a credential can log in then.
    pub(super) webauthn: Result<Webauthn, String>,
    pub(super) password_cost: PasswordCost,
    pub(super) explain: bool,
    pub(crate) over_tls: bool,
    /// TLS is not spoken here.
    pub(crate) behind_proxy: bool,
    /// There is TLS, and browsers trust it without being told to for a test.
    pub(crate) is_of_real_tls: bool,
    pub(crate) trusted_proxies: Vec<IpAddr>,
    pub(crate) fido_conformance: bool,
    pub(crate) limits: Limits,
    pub(crate) connections: Arc<Connections>,
    pub(crate) failures: Arc<Failures>,
    pub(super) workers: Arc<Turns>,
    /// Turns at syncs, which take a while and much memory.
    pub(super) syncs: Arc<Semaphore>,
    /// Once it was read.
    pub(super) ticket_key: OnceLock<[u8; TICKET_KEY_BYTES]>,
}

impl RelyingParty {
    /// A relying party with these settings.
    ///
    /// Settings that cannot work, or cannot be read (an error, with the reason), do not keep it from serving: who has no
    /// WebAuthn credential can log in. Who has one cannot, not even by another factor, until the settings are mended: a
    /// second factor is never dropped because of a mistake. [`Self::webauthn_problem`] says what is wrong.
    ///
    /// [`Self::settle_in`] says what they mean for what is enrolled: call it before serving.
    pub fn new(settings: Result<Settings, String>, options: Options, clock: Arc<dyn Clock>) -> Self {
        let limits = settings.as_ref().map_or_else(|_| Limits::default(), |settings| settings.limits.clone());
        let policy = settings.as_ref().map_or_else(|_| Policy::strict(), |settings| settings.policy.clone());
        let webauthn = settings.and_then(|settings| Webauthn::new(settings).map_err(|error| error.to_string()));
        let pages_are_https = webauthn.as_ref().is_ok_and(Webauthn::pages_are_https);
        let failures = Arc::new(Failures::default());
        let places = Places {
            all: limits.waiting,
            per_client: limits.waiting_per_client,
            per_account: limits.waiting_per_account,
        };
        // A connection may wait for the store.
        let workers = Turns::new(WORKERS, Places { all: usize::MAX, ..places }, failures.clone());
        options.store.keep_events(limits.events);
        Self {
            clock,
            passwords: Passwords::new(options.password_cost, places, failures.clone(), options.store.random().clone()),
            store: options.store,
            directories: options.directories,
            asking: Turns::new(WORKERS, places, failures.clone()),
            policy,
            webauthn,
            password_cost: options.password_cost,
            explain: options.explain,
            over_tls: options.transport != Transport::Plain || pages_are_https,
            behind_proxy: options.transport == Transport::BehindTls,
            is_of_real_tls: matches!(options.transport, Transport::BehindTls | Transport::Tls),
            trusted_proxies: options.trusted_proxies.iter().map(IpAddr::to_canonical).collect(),
            fido_conformance: options.fido_conformance,
            connections: Connections::new(limits.of_connections()),
            limits,
            failures,
            workers,
            syncs: Arc::new(Semaphore::new(MAX_SYNCS)),
            ticket_key: OnceLock::new(),
        }
    }

    pub(crate) fn now(&self) -> SystemTime {
        self.clock.now()
    }

    pub(super) fn occasion(&self, address: Option<IpAddr>) -> Occasion {
        Occasion { now: self.clock.now(), address }
    }

    pub(crate) fn strictness(&self) -> &Strictness {
        &self.policy.strictness
    }

    pub(super) fn rp_id(&self) -> Option<&str> {
        self.webauthn.as_ref().ok().map(|webauthn| webauthn.settings.rp_id.as_str())
    }

    /// What is served as `/.well-known/webauthn`, if the settings name related origins.
    pub(crate) fn related_origins_file(&self) -> Option<String> {
        self.webauthn.as_ref().ok()?.settings.related_origins_file()
    }

    /// The pages that may have the page in a frame.
    pub(crate) fn top_origins(&self) -> &[String] {
        self.webauthn.as_ref().map_or(&[], |webauthn| &webauthn.settings.top_origins)
    }

    /// Why WebAuthn cannot be used, if it cannot.
    pub fn webauthn_problem(&self) -> Option<&str> {
        self.webauthn.as_ref().err().map(String::as_str)
    }

    /// Compares a password with the stored one, or has the realm's directory do so. Outside of any transaction: it takes its
    /// time, and nobody else could write meanwhile.
    pub(super) async fn compare(
        &self,
        asker: &Asker,
        user: &UserName,
        password: Zeroizing<String>,
        kept: Kept,
    ) -> Result<Compared, Refusal> {
        let Some(directory) = self.directories.get(user.realm()).cloned() else {
            let Some(settings) = kept.directory else {
                return Ok(self.passwords.compare(asker, password, kept.hash).await?);
            };
            let _turn = self.asking.take(asker).await?;
            let directory = self.store.stored(user.realm(), settings);
            return Ok(Compared::ByDirectory(directory::ask(directory, user, &password).await));
        };
        let turn = self.asking.take(asker).await?;
        let user = user.clone();
        let answer = tokio::task::spawn_blocking(move || {
            // Until the answer, even if nobody waits for it any more.
            let _turn = turn;
            directory.is_password(&user, &password).map(DirectoryAnswer::from)
        });
        let answer = answer.await.unwrap_or_else(|error| Err(DirectoryUnavailable { reason: error.to_string() }));
        Ok(Compared::ByDirectory(answer))
    }

    /// The hash of a password that is being set.
    ///
    /// # Errors
    /// Also if the user's realm has a directory.
    pub(super) async fn hash(&self, user: &UserName, password: Zeroizing<String>) -> Result<PasswordHash, Refusal> {
        if self.directories.contains_key(user.realm()) {
            return Err(Refusal::PasswordElsewhere { realm: user.realm().to_owned() });
        }
        Ok(self.passwords.hash(password, self.password_cost).await??)
    }

    /// Does what blocks, off the threads that serve.
    pub(super) async fn work<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        self.work_for(&Asker::default(), work).await
    }

    /// The same for somebody who is not known yet.
    pub(super) async fn work_for<T: Send + 'static>(
        self: &Arc<Self>,
        asker: &Asker,
        work: impl FnOnce(&Self) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let _turn = self.workers.take(asker).await?;
        let relying_party = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&relying_party)).await;
        done.unwrap_or_else(|error| Err(Refusal::Unavailable { reason: error.to_string() }))
    }
}

impl std::fmt::Debug for RelyingParty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RelyingParty")
            .field("store", &self.store)
            .field("policy", &self.policy.name)
            .finish_non_exhaustive()
    }
}
