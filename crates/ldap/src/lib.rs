//! LDAP version 3 (RFC 4511) as a client that only asks: bind, search, StartTLS.
//!
//! - [`Connection`] is one connection to one server: each answer has a bound in time, in bytes and in entries, and what a server
//!   says never sizes an allocation. What it sends is read without recursion.
//! - [`Filter`] is a filter as a value. A text (RFC 4515) becomes one by parsing, and what a user typed is put into one as bytes: there
//!   is no text in between that it could change.
//! - [`Dn`] is a distinguished name (RFC 4514), to compare with another one.
//!
//! **A bind without a password is not sent** ([`Error::EmptyPassword`]): servers answer it with success, whoever is named (RFC 4513, section
//! 5.1.2). Referrals are never followed: they would take the password elsewhere.

mod ber;
mod connection;
mod dn;
mod filter;
mod message;
#[cfg(feature = "tls")]
mod tls;

pub use self::ber::Malformed;
pub use self::connection::{Connection, Error, Limits, Search, Security, Server};
pub use self::dn::Dn;
pub use self::filter::{Filter, InvalidFilter, MAX_FILTER_BYTES, MAX_FILTER_DEPTH, is_attribute};
pub use self::message::{Answer, Entry, Found, LdapResult, Scope, code, read};
#[cfg(feature = "tls")]
pub use self::tls::{OwnCertificate, TlsClient, TlsClientError};
