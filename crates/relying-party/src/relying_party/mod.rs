//! A relying party: settings, store and clock, how work that blocks is kept off the threads that serve, and everything that
//! it decides. Faces such as [`http`](crate::http) read requests and write answers; only what is below here gets at the store.

mod account;
mod administration;
mod api_tokens;
mod authorization;
mod enrolment;
mod login;
mod named;
mod realms;
mod rights;
mod settling_in;
mod state;
mod syncing;
mod tickets;

pub(crate) use self::authorization::{
    ChangeOwn, Claim, Credential, Enrol, Own, OwnInPerson, Present, Right, SessionTicket,
};
pub(crate) use self::enrolment::{Added, RegistrationWish, TotpOffer, TotpWish};
pub(crate) use self::login::{Answer, Ceremony, LOGIN_LIFETIME, LoggedIn, Offer, Step};
pub(crate) use self::named::{CONFORMANCE_REALM, NamedRegistration};
pub(crate) use self::rights::{
    AddUsers, Audit, ChangeAcl, ChangeGroups, ChangeOthersFactors, ChangeRealms, ChangeRoles, ChangeUsers, HelpUsers,
    ReplaceUsers, SeeGroups, SeeRealms, SeeReports, SeeUsers, SetPasswords, SyncRealms,
};
pub use self::state::{Options, RelyingParty, Transport};
