//! The site of a run: ours, with its users, and the browsers that are logged in there.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener as Listener};
use std::sync::Arc;

use keyrig_ctap::cose::PublicKey;
use keyrig_relying_party::{
    Attestation, By, Clock, DangerSeeded, Event, EventFilter, Options, PasswordCost, PasswordHash, Realm, RealmChange,
    RealmError, RelyingParty, Requirement, Server, Settings, Store, SyncWish, Totp, User, UserChange, UserName, Which,
    router, serve,
};
use serde_json::Value;
use tokio::net::TcpListener;

use super::error::RunError;
use super::seed;
use super::time::RunTime;
use crate::language::{AcceptedAttestation, AdminCommand, AttestationRoot, SitePlan, UserPlan};
use crate::site::Site;

/// Where a site listens.
struct Port {
    listener: Listener,
    address: SocketAddr,
    server: Option<Server>,
}

/// What a user has to log in with, beside keys.
#[derive(Debug, Default)]
pub(super) struct Possessions {
    pub(super) totp: Option<Totp>,
    /// The code that was given last.
    pub(super) last_code: Option<String>,
    /// Keys on paper.
    pub(super) paper: Vec<String>,
    /// How many of these were given.
    pub(super) given: usize,
}

/// A site of ours.
pub(super) struct Rehearsal {
    store: Arc<Store>,
    time: RunTime,
    /// The TEST root of the scenario's keys, and another.
    roots: [Vec<u8>; 2],
    /// What it is by now.
    plan: SitePlan,
    origin: String,
    /// What is wrong with its settings.
    webauthn_problem: Option<String>,
    /// A browser without a session, of which others are made.
    fresh: Site,
    port: Option<Port>,
    users: Vec<UserPlan>,
    random: Arc<DangerSeeded>,
    /// Who is logged in, in a browser of one's own.
    pub(super) sessions: BTreeMap<String, Site>,
    pub(super) possessions: BTreeMap<String, Possessions>,
}

impl Rehearsal {
    pub(super) async fn start(
        plan: &SitePlan,
        users: &[UserPlan],
        is_elsewhere: bool,
        roots: [Vec<u8>; 2],
        time: &RunTime,
        seed: u64,
    ) -> Result<Self, RunError> {
        let random = Arc::new(DangerSeeded::new(seed::of(seed, "relying party")));
        let store = Arc::new(Store::in_memory()?.with_randomness(random.clone()));
        let port = if plan.listens {
            let listener = Listener::bind(("127.0.0.1", 0)).map_err(RunError::System)?;
            listener.set_nonblocking(true).map_err(RunError::System)?;
            let address = listener.local_addr().map_err(RunError::System)?;
            Some(Port { listener, address, server: None })
        } else {
            None
        };
        let mut rehearsal = Self {
            store,
            time: time.clone(),
            roots,
            plan: plan.clone(),
            origin: String::new(),
            webauthn_problem: None,
            fresh: Site::direct("", axum::Router::new()),
            port,
            users: users.to_vec(),
            random,
            sessions: BTreeMap::new(),
            possessions: BTreeMap::new(),
        };
        for (realm, settings) in &plan.directories {
            let new = RealmChange { options: settings.options(), ..RealmChange::default() };
            rehearsal.store.add_realm(realm, settings.kind.name(), &new, &rehearsal.by()).await?;
        }
        for user in users.iter().filter(|user| !is_elsewhere && !user.is_of_directory) {
            let hash = PasswordHash::new(&user.password, PasswordCost::DangerNone, &*rehearsal.random)?;
            rehearsal.store.add_user(&name(&user.name)?, user.role, &hash, &rehearsal.by())?;
        }
        rehearsal.serve(plan).await?;
        Ok(rehearsal)
    }

    fn by(&self) -> By {
        By::command_line(self.time.now())
    }

    /// Serves it with these settings, from now on.
    pub(super) async fn serve(&mut self, plan: &SitePlan) -> Result<(), RunError> {
        for (realm, requirement) in &plan.realms {
            self.require(realm, *requirement)?;
        }
        self.plan = plan.clone();
        self.origin = match (&plan.origins, &self.port) {
            (Some(origins), None) => origins.first().cloned().unwrap_or_else(|| format!("https://{}", plan.rp_id)),
            (_, Some(port)) => format!("http://localhost:{}", port.address.port()),
            (None, None) => format!("https://{}", plan.rp_id),
        };
        let settings = self.settings(plan);
        let options =
            Options { explain: true, password_cost: PasswordCost::DangerNone, ..Options::new(self.store.clone()) };
        let relying_party = Arc::new(RelyingParty::new(Ok(settings), options, Arc::new(self.time.clone())));
        relying_party.settle_in()?;
        self.webauthn_problem = relying_party.webauthn_problem().map(str::to_owned);
        let calls = self.fresh.clone();
        self.fresh = match &mut self.port {
            None => Site::direct(&self.origin, router(relying_party)),
            Some(port) => {
                if let Some(server) = port.server.take() {
                    server.shutdown().await.map_err(RunError::System)?;
                }
                let listener = port.listener.try_clone().and_then(TcpListener::from_std).map_err(RunError::System)?;
                port.server = Some(serve(listener, relying_party).map_err(RunError::System)?);
                Site::new(&self.origin, "localhost", port.address)?
            }
        }
        .heard_with(&calls);
        for site in self.sessions.values_mut() {
            *site = site.at(&self.fresh);
        }
        Ok(())
    }

    fn settings(&self, plan: &SitePlan) -> Settings {
        let [of_the_keys, of_others] = &self.roots;
        let roots = || {
            vec![match plan.attestation.root {
                AttestationRoot::OfTheKeys => of_the_keys.clone(),
                AttestationRoot::OfOthers => of_others.clone(),
            }]
        };
        let origins = match (&plan.origins, &self.port) {
            (Some(origins), _) => origins.clone(),
            (None, _) => vec![self.origin.clone()],
        };
        Settings {
            origins,
            app_origins: plan.app_origins.clone(),
            related_origins: plan.related_origins.clone(),
            app_id: plan.app_id.clone(),
            allow_subdomains: plan.allow_subdomains,
            passkey_login: plan.passkey_login,
            policy: plan.policy.clone(),
            attestation: match plan.attestation.accept {
                AcceptedAttestation::None => Attestation::None,
                AcceptedAttestation::Any => Attestation::Any,
                AcceptedAttestation::Root => Attestation::Root { roots: roots() },
                AcceptedAttestation::Model => {
                    Attestation::Aaguid { aaguids: plan.attestation.models.clone(), roots: roots() }
                }
            },
            enterprise_attestation: plan.attestation.enterprise,
            ..Settings::new(&plan.rp_id, &self.origin)
        }
    }

    /// What it is by now.
    pub(super) fn plan(&self) -> &SitePlan {
        &self.plan
    }

    /// Moves here what a key was registered by under the site's AppID; or why it is not taken.
    pub(super) fn move_here(
        &self,
        user: &str,
        description: &str,
        (key_handle, public_key): (&[u8], &PublicKey),
    ) -> Result<Result<(), String>, RunError> {
        let added = self.store.add_u2f_credential(
            &name(user)?,
            description,
            (key_handle, public_key),
            &self.plan.rp_id,
            &self.by(),
        );
        Ok(added.map(drop).map_err(told))
    }

    /// Which of its settings no browser can be served with, if one is so.
    pub(super) fn webauthn_problem(&self) -> Option<&str> {
        self.webauthn_problem.as_deref()
    }

    /// Where its pages are.
    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    /// A browser without a session.
    pub(super) fn browser(&self) -> Site {
        self.fresh.clone()
    }

    /// The password of a user.
    pub(super) fn password(&self, user: &str) -> String {
        let found = self.users.iter().find(|known| known.name == user);
        found.map_or_else(|| crate::language::PASSWORD.to_owned(), |user| user.password.clone())
    }

    pub(super) fn possessions(&mut self, user: &str) -> &mut Possessions {
        self.possessions.entry(user.to_owned()).or_default()
    }

    pub(super) fn totp_code(&mut self, user: &str, drift: i32) -> Result<String, RunError> {
        let now = self.time.now();
        let totp = self.possessions(user).totp.as_ref();
        let totp = totp.ok_or_else(|| RunError::Cannot(format!("{user} has no codes: put totp = \"enrol\" before")))?;
        let off = core::time::Duration::from_secs(totp.step().saturating_mul(drift.unsigned_abs().into()));
        Ok(totp.code(if drift < 0 { now - off } else { now + off }))
    }

    /// Takes a factor's possession from the answer by which it was enrolled.
    pub(super) fn keep_paper(&mut self, user: &str, answer: &Value) {
        let keys = answer.get("recovery_keys").and_then(Value::as_array);
        let text = |key: &Value| key.get("key").unwrap_or(key).as_str().map(str::to_owned);
        let possessions = self.possessions(user);
        possessions.paper = keys.into_iter().flatten().filter_map(text).collect();
        possessions.given = 0;
    }

    pub(super) fn user(&self, user: &str) -> Result<User, RunError> {
        Ok(self.store.user(&name(user)?)?)
    }

    /// The descriptions of a user's factors, the oldest first.
    pub(super) fn factors(&self, user: &str) -> Result<Vec<(String, String, Option<Value>)>, RunError> {
        let factors = self.store.factors(&name(user)?)?;
        let of = |factor: keyrig_relying_party::Factor| {
            let json = serde_json::to_value(&factor).unwrap_or_default();
            let credential = json.get("credential_id").cloned();
            (factor.id, factor.description, credential)
        };
        Ok(factors.into_iter().map(of).collect())
    }

    pub(super) fn is_locked(&self, user: &User) -> bool {
        user.is_locked(self.time.now())
    }

    /// The kinds of the latest events, the latest last.
    pub(super) fn log(&self, count: usize) -> Result<Vec<&'static str>, RunError> {
        let events = self.store.events(&EventFilter::default())?;
        let mut kinds: Vec<_> = events.iter().take(count).map(|event| event.kind.name()).collect();
        kinds.reverse();
        Ok(kinds)
    }

    /// What became of users since an event, the latest last.
    pub(super) fn events_since(&self, last: i64) -> Result<Vec<Event>, RunError> {
        let mut events = self.store.events(&EventFilter::default())?;
        events.retain(|event| event.id > last);
        events.reverse();
        Ok(events)
    }

    /// The number of the latest event.
    pub(super) fn last_event(&self) -> Result<i64, RunError> {
        let latest = EventFilter { limit: Some(1), ..EventFilter::default() };
        Ok(self.store.events(&latest)?.first().map_or(0, |event| event.id))
    }

    /// The report that an event names.
    pub(super) fn report(&self, event: &Event) -> Result<Option<Value>, RunError> {
        let Some(id) = &event.report_id else { return Ok(None) };
        Ok(self.store.report(id)?.map(|(_, report)| report))
    }

    fn require(&self, realm: &str, requirement: Requirement) -> Result<Realm, RunError> {
        Ok(self.store.set_requirement(realm, requirement, &self.by())?)
    }

    pub(super) fn unlock(&self, user: &str) -> Result<bool, RunError> {
        Ok(self.store.unlock(&name(user)?, &self.by())?)
    }

    /// Carries out an administrator's command: what there is to say of it, or why not.
    pub(super) async fn administer(&mut self, command: &AdminCommand) -> Result<Result<String, String>, RunError> {
        let by = self.by();
        let done = match command {
            AdminCommand::AddUser(user, role) => {
                let hash = PasswordHash::new(crate::language::PASSWORD, PasswordCost::DangerNone, &*self.random)?;
                self.store
                    .add_user(user, *role, &hash, &by)
                    .map(|user| format!("{} was added", user.name))
                    .map_err(told)
            }
            AdminCommand::ModifyUser(user, role, enabled) => {
                let change = UserChange { role: *role, enabled: *enabled, ..UserChange::default() };
                let changed = self.store.change_user(user, &change, &by);
                changed.map(|user| format!("{} was changed", user.name)).map_err(told)
            }
            AdminCommand::DeleteUser(user) => {
                self.sessions.remove(&user.to_string());
                self.store.delete_user(user, &by).map(|()| format!("{user} was deleted")).map_err(told)
            }
            AdminCommand::DeleteFactors(user, id, force) => {
                let by_description = id.as_ref().and_then(|id| {
                    let factors = self.store.factors(user).ok()?;
                    factors.into_iter().find(|factor| factor.description == *id).map(|factor| factor.id)
                });
                let id = by_description.or_else(|| id.clone());
                let which = id.as_deref().map_or(Which::All, Which::One);
                let deleted = self.store.delete_factors(user, which, *force, &by);
                deleted.map(|factors| format!("{} factors were deleted", factors.len())).map_err(told)
            }
            AdminCommand::Unlock(user) => {
                let unlocked = self.store.unlock(user, &by);
                unlocked.map(|was| if was { "it was locked" } else { "nothing was locked" }.to_owned()).map_err(told)
            }
            AdminCommand::Sync(realm, wish) => self.sync(realm, *wish, &by).await.map_err(told),
            AdminCommand::Grant(subjects, roles) => {
                let granted = self.store.grant(roles, subjects, &by);
                granted.map(|()| format!("roles were given: {}", roles.join(", "))).map_err(told)
            }
            AdminCommand::Require(realm, requirement) => {
                let changed = self.store.set_requirement(realm, *requirement, &by);
                changed.map(|realm| format!("{} requires {}", realm.name, realm.requirement)).map_err(told)
            }
        };
        Ok(done)
    }

    /// Has users and groups be as a realm's directory has them.
    async fn sync(&self, realm: &str, wish: SyncWish, by: &By) -> Result<String, RealmError> {
        let settings = self.plan.directories.get(realm).ok_or_else(|| RealmError::NotADirectory(realm.to_owned()))?;
        let options = wish.completed_by(settings)?;
        let fetched = self.store.fetch_directory(realm).await?;
        let report = self.store.sync_realm(realm, &fetched, options, by)?;
        Ok(report.lines().collect::<Vec<_>>().join("; "))
    }

    /// Ends it.
    pub(super) async fn close(&mut self) -> Result<(), RunError> {
        self.sessions.clear();
        match self.port.as_mut().and_then(|port| port.server.take()) {
            Some(server) => server.shutdown().await.map_err(RunError::System),
            None => Ok(()),
        }
    }
}

fn told(error: impl core::fmt::Display) -> String {
    error.to_string()
}

/// The name of a user, which was looked at when the file was read.
fn name(user: &str) -> Result<UserName, RunError> {
    user.parse::<UserName>().map_err(|error| RunError::Cannot(error.to_string()))
}
