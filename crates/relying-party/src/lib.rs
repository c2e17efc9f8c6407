//! A relying party to rehearse on: users with passwords and second factors (WebAuthn, TOTP, recovery keys), realms that
//! require them, and a login that behaves like a real control plane's, over HTTP.
//!
//! Every check of WebAuthn is evaluated by [`keyrig_verifier`], which says what it expected and what it found. Refused
//! users learn only that, and the identifier of a report; the report is for administrators, and for everybody on a
//! rehearsal site ([`Options::explain`]).
//!
//! Everything is kept in a [`Store`], an SQLite database that several processes can have open at once: a login that begins
//! in one can end in another, and the command line changes it under a running server.
//!
//! # The API
//!
//! Bodies are JSON. A session is a cookie; every request of a session that changes something carries the session's token in
//! the header `X-CSRF-Token`. Any answer that is not a success is a [`Refusal`]: `{"refused_by": "relying_party", "code",
//! "reason"}`, with `report_id` where there is a report, and with `report` on a rehearsal site.
//!
//! | route | body | answer |
//! |---|---|---|
//! | `GET /api/openapi.json` | | all of this in OpenAPI 3.1, made of the types |
//! | `GET /api/site` | `?origin=` | `{"rp_id", "name", "origins", "allow_subdomains", "passkey_login", "policy", "realm_types", "oath_realm_excludes_webauthn", "origin_refusal": what answers from pages of that origin are refused for, or null}` |
//! | `POST /api/login` | `{"user", "password"}` | a session, or `{"state": "second_factor", "login", "factors": {"webauthn": {"challenge", "options"} or null, "totp", "totp_locked", "recovery", "unusable_keys": a sentence or null}}` |
//! | `POST /api/login/totp` | `{"login", "code"}` | a session |
//! | `POST /api/login/recovery` | `{"login", "key"}` | a session |
//! | `POST /api/login/webauthn/begin` | `{"login"}` | `{"challenge", "options": {"publicKey"}}`, for another try |
//! | `POST /api/login/webauthn` | `{"login", "challenge", "credential"}` | a session |
//! | `POST /api/login/passkey/begin` | `{}` | `{"login", "challenge", "options"}` |
//! | `POST /api/login/passkey` | `{"login", "challenge", "credential"}` | a session |
//! | `GET /api/session` | | `{"user", "role", "privileges", "kind", "csrf_token", "expires", "notices"}` |
//! | `GET /api/sessions` | | the user's [`SessionEntry`]s, each with `"current"`: whether it is this one |
//! | `DELETE /api/session`, `/api/sessions`, `/api/sessions/{id}` | | this session, all of the user's, or one of them, are over |
//! | `POST /api/session/confirm` | `{"password"}` | factors can be changed for [`CONFIRMATION_LIFETIME`] |
//! | `PUT /api/password` | `{"password", "new_password"}` | all of the user's sessions are over |
//! | `GET /api/factors` | | the user's [`Factor`]s |
//! | `POST /api/factors/webauthn/begin` | `{"passkey"?, "replaces"?}` | `{"challenge", "options": {"publicKey"}}` |
//! | `POST /api/factors/webauthn` | `{"challenge", "description", "credential"}` | `{"factor", "notices", "session"?}` |
//! | `POST /api/factors/totp/begin` | `{"algorithm"?, "digits"?, "step"?}` | `{"challenge", "uri", "secret", "qr_svg", "digits", "step"}` |
//! | `POST /api/factors/totp` | `{"challenge", "description", "code"}` | `{"factor", "notices", "session"?}` |
//! | `POST /api/factors/recovery` | `{"description"}` | the same with `"recovery_keys"` |
//! | `PATCH`, `DELETE /api/factors/{id}` | a [`FactorChange`] | the factor; those deleted |
//! | `GET /api/users` | `?after=&limit=` | users with factors, by realm and name |
//! | `POST /api/users` | `{"user", "role", "password"}` | the new [`User`] |
//! | `PATCH`, `DELETE /api/users/{user}` | a [`UserChange`] | the user |
//! | `PUT /api/users/{user}/password` | `{"password"}` | |
//! | `POST /api/users/{user}/unlock` | | `{"was_locked"}` |
//! | `GET /api/users/{user}/sessions` | | the user's [`SessionEntry`]s |
//! | `DELETE /api/users/{user}/sessions`, `/api/users/{user}/sessions/{id}` | | `{"sessions"}`, `{"ended"}` |
//! | `GET`, `DELETE /api/users/{user}/factors` | `?force=true` | factors |
//! | `PATCH`, `DELETE /api/users/{user}/factors/{id}` | a [`FactorChange`], `?force=true` | the factor |
//! | `GET /api/users/{user}/tokens` | | the user's tokens for programs: `{"name", "comment", "privilege_separated", "expires"}` |
//! | `POST /api/users/{user}/tokens` | `{"name", "comment"?, "privilege_separated"?: true if it is not said, "expire"?}` | `{"id": USER!NAME, "secret"}`, which is told once |
//! | `DELETE /api/users/{user}/tokens/{token}` | | |
//! | `GET /api/groups` | | the [`Group`]s, each with its `"roles"`; of their members a user sees themself alone |
//! | `POST /api/groups` | `{"name", "comment"?}` | |
//! | `PATCH`, `DELETE /api/groups/{group}` | `{"comment"?, "roles"?: the names of those that it has then}` | |
//! | `GET /api/roles` | | the [`NamedRole`]s |
//! | `GET /api/realms` | | the [`Realm`]s |
//! | `PUT /api/realms/{realm}` | `{"requirement": {"type": "none", "oath", "any" or "webauthn", "digits"?, "step"?}}` | the realm |
//! | `GET /api/audit` | `?after=&limit=` | users with factors, the realm's `"requirement"` and `"findings"`: each a `"code"`, the name of a [`Finding`], and a `"text"` |
//! | `GET /api/events` | `?user=&kind=&since=&until=&before=&limit=` | the [`Event`]s, the latest first |
//! | `GET /api/reports/{id}` | | `{"event", "report"}` |
//!
//! A session that begins is answered as `{"state": "logged_in", "session": {..}}`; where the realm requires a factor that
//! the user lacks, as `{"state": "enrolment_required", "requirement", "session"}`: that session is for enrolment only, and
//! gives way to a full one when the factor is there. On a rehearsal site what a key answered has its `report` in both, and in the
//! answer that adds a factor, though nothing is refused: `{"verification"}`, every check. `options` and `credential` are
//! WebAuthn's own JSON (Level 3, §5.1.8 to
//! §5.1.10 and §5.1.1). Moments are seconds since 1970. A list that goes on has its next page in a header
//! `Link: <..>; rel="next"` (RFC 8288).
//!
//! The same decisions are under `/api2/json` and `/api2/extjs` in Proxmox VE's shapes ([`PROXMOX_ROUTES`]): `POST /access/ticket` gives
//! a ticket for the cookie `PVEAuthCookie` and a token for the header `CSRFPreventionToken`, answers are `{"data": ..}`, and the cause of a
//! failure is the reason phrase, and `message` in the body. Realms are added by `POST /access/domains`; `GET`, `PUT` and `DELETE /access/domains/{realm}` tell, change and
//! delete one. `POST /access/domains/{realm}/sync` begins a task, and answers its UPID; `/nodes/{node}/tasks/{upid}/status` and `/log` say how it
//! stands with it.
//!
//! With [`Options::fido_conformance`] the routes of FIDO's "Conformance testing server API" are there as well ([`CONFORMANCE_ROUTES`]):
//! `POST /attestation/options`, `/attestation/result`, `/assertion/options` and `/assertion/result`, answered with `{"status": "ok" or
//! "failed", "errorMessage"}`, where a ceremony's two requests belong together by a cookie. Users are made as they are named, without a
//! password, in a realm `fido` of their own: that the shapes are spoken claims no conformance.
//!
//! `GET /.well-known/webauthn` is the file of [related origins](Settings::related_origins), for browsers.
//!
//! Users see and change what is theirs, and of others what [their privileges](Privilege) allow. Changing factors, users
//! and realms takes a session in which the password was given again.

mod api_tokens;
mod audit_log;
mod audit_report;
mod challenges;
mod clock;
mod directory;
mod factors;
mod groups;
mod http;
mod limits;
mod locks;
mod needed;
mod notices;
mod page;
mod password;
mod place;
mod policy;
mod printable;
mod privileges;
mod property_string;
mod proxmox_roles;
mod qr;
mod random;
mod realm_change;
mod realms;
mod recovery_keys;
mod refusal;
mod relying_party;
mod role;
mod roles;
mod sessions;
mod settings;
mod site;
mod standing;
mod store;
mod tasks;
#[cfg(feature = "tls")]
mod test_authority;
mod tfa_option;
mod totp;
mod turns;
mod user_name;
mod users;
mod webauthn;
mod whole;

pub use keyrig_http::{SHUTDOWN_GRACE, Server};
#[cfg(feature = "tls")]
pub use keyrig_http::{Tls, TlsError};

pub use self::api_tokens::{ApiToken, InvalidTokenId, TokenChange, TokenId, TokenWish};
pub use self::audit_log::{Actor, By, Event, EventFilter, EventKind, InvalidEventKind, REFUSED_LOGINS};
pub use self::audit_report::{AuditReport, AuditedUser, Finding, InvalidMoment, read_moment};
pub use self::challenges::{ChallengeGone, MAX_CHALLENGES_PER_SESSION, MAX_CHALLENGES_PER_USER, MAX_LOGINS_PER_USER};
pub use self::clock::{Clock, SystemClock};
pub use self::directory::{
    DIRECTORY_OPTIONS, Directory, DirectoryKind, DirectoryOptionError, DirectorySettings, DirectoryUnavailable,
    Fetched, FetchedGroup, FetchedUser, Mode, RemoveVanished, SyncChange, SyncOptions, SyncReport, SyncScope, SyncWish,
};
pub use self::factors::{Factor, FactorChange, FactorDetail, FactorError, FactorKind, MAX_FACTORS_PER_USER, Which};
pub use self::groups::{Group, GroupError};
#[cfg(feature = "tls")]
pub use self::http::serve_tls;
pub use self::http::{CONFORMANCE_ROUTES, CSRF_HEADER, MAX_BODY_BYTES, PROXMOX_ROUTES, ROUTES, router, serve};
pub use self::limits::{EventRetention, Limits};
pub use self::locks::{FAILURES, LOCK_TIME, TOTP_FAILURES};
pub use self::needed::{AccessPath, Need, Needed};
pub use self::notices::Notice;
pub use self::password::{InvalidPassword, MAX_PASSWORD_BYTES, MIN_PASSWORD_BYTES, PasswordCost, PasswordHash};
pub use self::place::Place;
pub use self::policy::{
    Confirmation, DecidedBy, Difference, FramedLogin, InvalidPolicy, Policy, Preference, SignatureCounter,
    UnknownPolicy, UserHandle,
};
pub use self::printable::printable;
pub use self::privileges::{Privilege, Privileges};
pub use self::property_string::PropertyProblem;
pub use self::qr::{TooLongForQr, qr_svg, qr_terminal};
pub use self::random::{DangerSeeded, Randomness, SystemRandomness, random_password};
pub use self::realm_change::RealmChange;
pub use self::realms::{Realm, RealmError, RealmKind, Requirement};
pub use self::recovery_keys::{
    FEW_RECOVERY_KEYS, NotARecoveryKey, RECOVERY_KEYS, RECOVERY_SECRET_BYTES, RecoveryHash, RecoveryKey, RecoveryKeySet,
};
pub use self::refusal::{Refusal, ReportForUser};
pub use self::relying_party::{Options, RelyingParty, Transport};
pub use self::roles::{AclEntry, NamedRole, RoleError, Subject};
pub use self::sessions::{
    CONFIRMATION_FAILURES, CONFIRMATION_LIFETIME, ENROLMENT_LIFETIME, MAX_SESSIONS_PER_USER, SESSION_LIFETIME,
    SessionEntry, SessionKind,
};
pub use self::settings::{
    AppIdProblem, Attestation, ConfigError, ConfigProblem, MAX_CONFIG_BYTES, OriginProblem, RpIdProblem, Settings,
    SettingsError, Written,
};
pub use self::store::{DATABASE_FILE, Store, StoreError};
#[cfg(feature = "tls")]
pub use self::test_authority::{AuthorityError, TestAuthority};
pub use self::tfa_option::{TfaOptionError, TfaOptionProblem};
pub use self::totp::{AcceptedCode, CodeRefused, TOTP_SECRET_BYTES, TOTP_WINDOW, Totp, TotpAlgorithm, TotpRefused};
pub use self::user_name::{InvalidUserName, UserId, UserName};
pub use self::users::{InvalidRole, Role, Standing, User, UserChange, UserError};
pub use self::webauthn::OriginRefusal;
