//! Which route is where, and what it is: for who asks, and for the description.

use std::sync::Arc;

use axum::Router;
use axum::routing::{MethodFilter, on};

use super::openapi::{Description, gives, lists};
use super::{access, administration, factors, login, openapi, session, site};
use crate::RelyingParty;
use crate::api_tokens::ApiToken;
use crate::audit_log::Event;
use crate::factors::{Factor, FactorChange};
use crate::realms::Realm;
use crate::relying_party::{
    AddUsers, Audit, Ceremony, ChangeGroups, ChangeOthersFactors, ChangeRealms, ChangeUsers, HelpUsers,
    RegistrationWish, ReplaceUsers, SeeReports, SeeUsers, SetPasswords, TotpOffer, TotpWish,
};
use crate::roles::NamedRole;
use crate::sessions::SessionEntry;
use crate::users::{User, UserChange};

macro_rules! routes {
    ($($method:ident $path:literal => $handler:path: $description:expr;)+) => {
        /// Every route of the API: method and path, with the parameters of a path in braces.
        pub const ROUTES: &[(&str, &str)] = &[$((stringify!($method), $path),)+];

        pub(super) fn routes() -> Router<Arc<RelyingParty>> {
            Router::new()$(.route($path, on(MethodFilter::$method, $handler)))+
        }

        /// The same with what each is.
        pub(super) fn descriptions() -> Vec<(&'static str, &'static str, Description)> {
            vec![$((stringify!($method), $path, $description),)+]
        }
    };
}

/// How logins are refused that are under way.
const OF_LOGIN: &[u16] = &[401, 429];
const OF_LOGIN_BY_KEY: &[u16] = &[401, 403, 410, 429];
const UNKNOWN: &[u16] = &[404];
const UNKNOWN_OR_IN_CONFLICT: &[u16] = &[404, 409];
const OF_PASSWORD: &[u16] = &[404, 409, 429];

routes! {
    GET "/api/openapi.json" => openapi::show: gives::<openapi::Document>("This description.").for_anybody();
    GET "/api/site" => site::show: gives::<site::SiteView>(
        "What pages have to know of the settings before anybody is in, and what answers from pages of an origin are refused for.",
    ).for_anybody().asking::<site::SiteQuery>();
    POST "/api/login" => login::password: gives::<login::LoginAnswer>("Log in by a password, or begin to.")
        .for_anybody().taking::<login::Password>().refusing(OF_LOGIN);
    POST "/api/login/totp" => login::totp: gives::<login::LoginAnswer>("End a login under way by a code of an app.")
        .for_anybody().taking::<login::Code>().refusing(OF_LOGIN);
    POST "/api/login/recovery" => login::recovery: gives::<login::LoginAnswer>("End a login under way by a recovery key.")
        .for_anybody().taking::<login::RecoveryKey>().refusing(OF_LOGIN);
    POST "/api/login/webauthn/begin" => login::begin_webauthn: gives::<Ceremony>("Begin another try with a security key.")
        .for_anybody().taking::<login::LoginOnly>().refusing(OF_LOGIN_BY_KEY);
    POST "/api/login/webauthn" => login::webauthn: gives::<login::LoginAnswer>("End a login under way by a security key.")
        .for_anybody().taking::<login::Credential>().refusing(OF_LOGIN_BY_KEY);
    POST "/api/login/passkey/begin" => login::begin_passkey: gives::<login::PasskeyCeremony>("Begin to log in by a passkey alone.")
        .for_anybody().taking::<login::Nothing>().refusing(OF_LOGIN_BY_KEY);
    POST "/api/login/passkey" => login::passkey: gives::<login::LoginAnswer>("End a login by a passkey alone.")
        .for_anybody().taking::<login::Credential>().refusing(OF_LOGIN_BY_KEY);
    GET "/api/session" => session::show: gives::<session::SessionView>("The session that asks.");
    DELETE "/api/session" => session::end: gives::<session::LoggedOut>("End the session that asks.");
    POST "/api/session/confirm" => session::confirm: gives::<session::Confirmed>("Give the password again, to change factors.")
        .taking::<session::Password>().refusing(OF_PASSWORD);
    GET "/api/sessions" => session::list: lists::<session::ListedSession>("The user's own sessions.");
    DELETE "/api/sessions" => session::end_all: gives::<session::LoggedOut>("End all of the user's own sessions.");
    DELETE "/api/sessions/{id}" => session::end_one: gives::<session::Ended>("End one of the user's own sessions.").refusing(UNKNOWN);
    PUT "/api/password" => session::change_password: gives::<session::LoggedOut>(
        "Set another password, which ends all of the user's own sessions.",
    ).taking::<session::PasswordChange>().refusing(OF_PASSWORD);
    GET "/api/factors" => factors::list: lists::<Factor>("The user's own factors.");
    POST "/api/factors/webauthn/begin" => factors::begin_webauthn: gives::<Ceremony>("Begin to register a security key or a passkey.")
        .taking::<RegistrationWish>().refusing(UNKNOWN_OR_IN_CONFLICT);
    POST "/api/factors/webauthn" => factors::finish_webauthn: gives::<factors::AddedView>("Register a security key or a passkey.")
        .taking::<factors::FinishWebauthn>().refusing(&[404, 409, 410]);
    POST "/api/factors/totp/begin" => factors::begin_totp: gives::<TotpOffer>("Begin to add an app that shows codes.")
        .taking::<TotpWish>().refusing(UNKNOWN_OR_IN_CONFLICT);
    POST "/api/factors/totp" => factors::finish_totp: gives::<factors::AddedView>("Add an app, by a code that it shows.")
        .taking::<factors::FinishTotp>().refusing(&[404, 409, 410]);
    POST "/api/factors/recovery" => factors::add_recovery_keys: gives::<factors::AddedView>(
        "Make recovery keys, which are told this once.",
    ).taking::<factors::Described>().refusing(UNKNOWN_OR_IN_CONFLICT);
    PATCH "/api/factors/{id}" => factors::change: gives::<Factor>("Change one of the user's own factors.")
        .taking::<FactorChange>().refusing(UNKNOWN_OR_IN_CONFLICT);
    DELETE "/api/factors/{id}" => factors::delete: lists::<Factor>("Delete one of the user's own factors, which is answered.")
        .refusing(UNKNOWN_OR_IN_CONFLICT);
    GET "/api/users" => administration::users: lists::<administration::UserWithFactors>("Users with their factors, by realm and name.")
        .asking::<administration::UserQuery>().needing::<SeeUsers>();
    POST "/api/users" => administration::add_user: gives::<User>("Add a user; with a role as such it takes Permissions.Modify too.")
        .taking::<administration::NewUser>().refusing(OF_PASSWORD).needing::<AddUsers>();
    PATCH "/api/users/{user}" => administration::change_user: gives::<User>("Change a user; to change the role alone, Permissions.Modify in its place.")
        .taking::<UserChange>().refusing(UNKNOWN_OR_IN_CONFLICT).needing::<ChangeUsers>();
    DELETE "/api/users/{user}" => administration::delete_user: gives::<administration::Deleted>("Delete a user.")
        .refusing(UNKNOWN_OR_IN_CONFLICT).needing::<ReplaceUsers>();
    PUT "/api/users/{user}/password" => administration::set_password: gives::<administration::Changed>(
        "Set a user's password, which ends the user's sessions.",
    ).taking::<administration::NewPassword>().refusing(OF_PASSWORD).needing::<SetPasswords>();
    POST "/api/users/{user}/unlock" => administration::unlock: gives::<administration::Unlocked>("Release a user's locks.")
        .refusing(UNKNOWN).needing::<HelpUsers>();
    GET "/api/users/{user}/sessions" => administration::sessions: lists::<SessionEntry>("A user's sessions; of others with User.Modify or Sys.Audit.").refusing(UNKNOWN);
    DELETE "/api/users/{user}/sessions" => administration::end_sessions: gives::<administration::EndedSessions>(
        "End all of a user's sessions.",
    ).refusing(UNKNOWN).needing::<HelpUsers>();
    DELETE "/api/users/{user}/sessions/{id}" => administration::end_session: gives::<session::Ended>("End one of a user's sessions.")
        .refusing(UNKNOWN).needing::<HelpUsers>();
    GET "/api/users/{user}/factors" => administration::factors: lists::<Factor>("A user's factors; of others with User.Modify or Sys.Audit.").refusing(UNKNOWN);
    DELETE "/api/users/{user}/factors" => administration::delete_factors: lists::<Factor>(
        "Delete all of a user's factors, which are answered.",
    ).asking::<administration::Forced>().refusing(UNKNOWN_OR_IN_CONFLICT).needing::<ChangeOthersFactors>();
    PATCH "/api/users/{user}/factors/{id}" => administration::change_factor: gives::<Factor>("Change one of a user's factors.")
        .asking::<administration::Forced>().taking::<FactorChange>().refusing(UNKNOWN_OR_IN_CONFLICT).needing::<ChangeOthersFactors>();
    DELETE "/api/users/{user}/factors/{id}" => administration::delete_factor: lists::<Factor>(
        "Delete one of a user's factors, which is answered.",
    ).asking::<administration::Forced>().refusing(UNKNOWN_OR_IN_CONFLICT).needing::<ChangeOthersFactors>();
    GET "/api/users/{user}/tokens" => access::tokens: lists::<ApiToken>("A user's tokens for programs; of others with User.Modify or Sys.Audit.").refusing(UNKNOWN);
    POST "/api/users/{user}/tokens" => access::add_token: gives::<access::AddedToken>(
        "Make a token for programs, whose secret is told this once; for others with User.Modify.",
    ).taking::<access::NewToken>().refusing(UNKNOWN_OR_IN_CONFLICT);
    DELETE "/api/users/{user}/tokens/{token}" => access::delete_token: gives::<administration::Deleted>("Delete a token; of others with User.Modify.").refusing(UNKNOWN);
    GET "/api/groups" => access::groups: lists::<access::GroupWithRoles>("Groups, who is in each, and what these may do.");
    POST "/api/groups" => access::add_group: gives::<access::AddedGroup>("Add a group.")
        .taking::<access::NewGroup>().refusing(&[409]).needing::<ChangeGroups>();
    PATCH "/api/groups/{group}" => access::change_group: gives::<administration::Changed>("Change a group; to change its roles alone, Permissions.Modify in its place.")
        .taking::<access::GroupChange>().refusing(UNKNOWN_OR_IN_CONFLICT).needing::<ChangeGroups>();
    DELETE "/api/groups/{group}" => access::delete_group: gives::<administration::Deleted>("Delete a group. Its users stay.")
        .refusing(UNKNOWN_OR_IN_CONFLICT).needing::<ChangeGroups>();
    GET "/api/roles" => access::roles: lists::<NamedRole>("Roles by their names.");
    GET "/api/realms" => administration::realms: lists::<Realm>("The realms.").for_anybody();
    PUT "/api/realms/{realm}" => administration::change_realm: gives::<Realm>("Set which second factor a realm requires.")
        .taking::<administration::RealmChange>().refusing(UNKNOWN_OR_IN_CONFLICT).needing::<ChangeRealms>();
    GET "/api/audit" => administration::audit: lists::<administration::AuditedView>(
        "Users with their factors, and what there is to say of each.",
    ).asking::<administration::UserQuery>().needing::<Audit>();
    GET "/api/events" => administration::events: lists::<Event>("Events, the latest first.").asking::<administration::EventQuery>().needing::<Audit>();
    GET "/api/reports/{id}" => administration::report: gives::<administration::Report>("The report that a refusal named, with its event.")
        .refusing(UNKNOWN).needing::<SeeReports>();
}
