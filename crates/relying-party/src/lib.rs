//! A WebAuthn relying party to rehearse on: users register security keys and log in with them, over HTTP, and a refusal
//! says which check refused, what it expected and what it found.
//!
//! Verification is webauthn-rs's, in the form that Proxmox VE uses: security keys that prove user presence, without a
//! PIN. What it leaves to its caller is here: challenges that are answered once and expire, credentials that belong to
//! one user, a signature counter that is checked against the last login rather than against the beginning of this one.
//!
//! Everything is kept in memory, within bounds.
//!
//! | route | body | answer |
//! |---|---|---|
//! | `POST /api/register/begin` | `{"user"}` | `{"ceremony", "options": {"publicKey"}}` |
//! | `POST /api/register/finish` | `{"ceremony", "name"?, "credential"}` | `{"user", "credential"}` |
//! | `POST /api/login/begin` | `{"user"}` | `{"ceremony", "options": {"publicKey"}}` |
//! | `POST /api/login/finish` | `{"ceremony", "credential"}` | `{"user", "credential"}` |
//! | `GET /api/users/{user}/credentials` | | `{"user", "credentials": [..]}` |
//!
//! `options` and the `credential` that is sent are WebAuthn's own JSON (Level 3, §5.1.8 to §5.1.10 and §5.1.1). A
//! `credential` that is answered is a [record](CredentialView). Any other answer is a [`Refusal`]: `{"refused_by":
//! "relying_party", "code", "reason"}`.

#[allow(dead_code, reason = "the HTTP API is yet to use all of it")]
mod audit_log;
mod ceremony;
#[allow(dead_code, reason = "the HTTP API is yet to use all of it")]
mod challenges;
mod client_data;
mod clock;
#[allow(dead_code, reason = "the HTTP API is yet to use all of it")]
mod factors;
mod http;
#[allow(dead_code, reason = "the HTTP API is yet to use all of it")]
mod locks;
mod login;
#[allow(dead_code, reason = "the HTTP API is yet to use all of it")]
mod password;
mod place;
mod policy;
mod property_string;
mod qr;
#[allow(dead_code, reason = "the HTTP API is yet to use all of it")]
mod random;
#[allow(dead_code, reason = "the HTTP API is yet to use all of it")]
mod realms;
mod recovery_keys;
mod refusal;
mod registered;
mod registration;
mod server;
#[allow(dead_code, reason = "the HTTP API is yet to use all of it")]
mod sessions;
mod settings;
#[allow(dead_code, reason = "the HTTP API is yet to use all of it")]
mod store;
mod tfa_option;
mod totp;
#[allow(dead_code, reason = "the HTTP API is yet to use all of it")]
mod users;
pub mod verifier;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use webauthn_rs::{Webauthn, WebauthnBuilder};

pub use self::audit_log::{Actor, Event, EventFilter, EventKind};
pub use self::ceremony::{MAX_CEREMONIES, MAX_CEREMONIES_PER_USER};
pub use self::challenges::{MAX_ANONYMOUS_LOGINS, MAX_CHALLENGES_PER_SESSION, MAX_LOGINS_PER_USER};
pub use self::clock::{Clock, SystemClock};
pub use self::factors::{Factor, FactorChange, FactorDetail, FactorError, FactorKind, MAX_FACTORS_PER_USER, Which};
pub use self::http::{MAX_BODY_BYTES, router};
pub use self::locks::{FAILURES, LOCK_TIME, TOTP_FAILURES};
pub use self::password::{InvalidPassword, MAX_PASSWORD_BYTES, MIN_PASSWORD_BYTES, PasswordCost, PasswordHash};
pub use self::place::Place;
pub use self::policy::{
    DecidedBy, Difference, FramedLogin, InvalidPolicy, Policy, Preference, SignatureCounter, UnknownPolicy, UserHandle,
};
pub use self::property_string::PropertyProblem;
pub use self::qr::{TooLongForQr, qr_svg, qr_terminal};
pub use self::realms::{Realm, RealmError, RealmKind, Requirement};
pub use self::recovery_keys::{
    FEW_RECOVERY_KEYS, NotARecoveryKey, RECOVERY_KEYS, RECOVERY_SECRET_BYTES, RecoveryHash, RecoveryKey, RecoveryKeySet,
};
pub use self::refusal::{Purpose, Refusal};
pub use self::registered::{CredentialView, MAX_CREDENTIALS_PER_USER, MAX_USERS};
pub use self::server::{SHUTDOWN_GRACE, Server, serve};
pub use self::sessions::{CONFIRMATION_FAILURES, CONFIRMATION_LIFETIME, ENROLMENT_LIFETIME, SESSION_LIFETIME};
pub use self::settings::{
    Attestation, ConfigError, ConfigProblem, MAX_CONFIG_BYTES, OriginProblem, RpIdProblem, Settings, SettingsError,
};
pub use self::store::{DATABASE_FILE, Store, StoreError};
pub use self::tfa_option::{TfaOption, TfaOptionError, TfaOptionProblem};
pub use self::totp::{AcceptedCode, CodeRefused, TOTP_SECRET_BYTES, TOTP_WINDOW, Totp, TotpAlgorithm, TotpRefused};
pub use self::users::{InvalidRole, InvalidUserName, Role, User, UserChange, UserError, UserId, UserName};

use self::ceremony::Ceremonies;
use self::registered::Users;

/// A relying party: its settings, its users and the ceremonies that are under way.
pub struct RelyingParty {
    settings: Settings,
    webauthn: Webauthn,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    users: Users,
    ceremonies: Ceremonies,
}

impl RelyingParty {
    /// A relying party without users.
    ///
    /// # Errors
    /// When the settings could never work; the error says what is wrong and what to write instead.
    pub fn new(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, SettingsError> {
        let origins = settings.check()?;
        let refused =
            |error: webauthn_rs::prelude::WebauthnError| SettingsError::Verifier { reason: error.to_string() };
        let (first, others) = origins.split_first().ok_or(SettingsError::NoOrigin)?;
        let builder = WebauthnBuilder::new(&settings.rp_id, first)
            .map_err(refused)?
            .rp_name(&settings.name)
            .timeout(Duration::from_millis(settings.policy.timeout_ms.into()))
            .danger_set_user_presence_only_security_keys(true);
        let webauthn = others.iter().fold(builder, WebauthnBuilder::append_allowed_origin).build().map_err(refused)?;
        Ok(Self { settings, webauthn, clock, state: Mutex::default() })
    }

    /// The settings this relying party was made with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The state is whole even if a thread has panicked while it held the lock: checks come before changes, and no
    /// change can panic.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
