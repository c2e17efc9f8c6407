//! What a browser and a platform do with a security key: `navigator.credentials.create()` and `get()`.
//!
//! A [`Client`] stands for one page in one browser. It holds the rules that a page meets before any key is asked (secure
//! context, origin against RP ID), builds clientDataJSON, asks all keys at once and takes the answer of the one that is
//! touched. A [`Key`] is a name and a [`Channel`](channel::Channel), which carries CTAP messages: [`ctap_hid`] is the
//! channel over 64-byte reports.
//!
//! Browsers differ: a client is in a [`Browser`], **Chromium unless told otherwise**. Where that departs from WebAuthn Level 3
//! the item concerned says so. What a server wants or accepts is no concern of this crate.
//!
//! | file | what |
//! |---|---|
//! | `origin`, `rp_id` | where the page is, and which RP IDs it may claim |
//! | `related_origins` | the file by which a site lets pages elsewhere claim its RP ID |
//! | `page`, `permissions` | what a browser asks of a page before any key is asked: context, permissions, frames |
//! | `json` | the options a page gets from its server, the credentials it sends back |
//! | `client_data` | clientDataJSON |
//! | `browser` | where browsers differ |
//! | `channel`, `ctap_hid` | how CTAP messages reach a key |
//! | `randomness` | the operating system's, or what follows from a seed |
//! | `key`, `ceremony` | one key; several keys, of which one is touched |
//! | `weight` | what it means for the others that one key cannot help |
//! | `response` | what a browser makes sure of in an answer |
//! | `credential_list` | exclude and allow lists, cut to what a key takes |
//! | `create`, `get`, `conditional`, `account` | the two ceremonies |
//! | `extensions` | client extensions: inputs for a key, outputs for the page |
//! | `user_verification` | whether a key verifies the user, and how |
//! | `pin`, `client_pin`, `pin_uv_auth_protocol`, `pin_uv_auth_token` | PINs and what they yield |
//! | `u2f`, `app_id` | keys of U2F, and credentials from its time |
//! | `credential_management`, `large_blobs`, `config` | what is on a key, and how it is set up |
//! | `error`, `words` | who refused, and in which words |

pub mod channel;
pub mod client_data;
pub mod ctap_hid;
pub mod error;
pub mod json;
pub mod origin;
pub mod pin;
pub mod related_origins;
pub mod rp_id;

mod account;
mod app_id;
mod base64url;
mod browser;
mod ceremony;
mod client;
mod client_pin;
mod conditional;
mod config;
mod create;
mod credential_list;
pub mod credential_management;
mod dom_exception;
mod extensions;
pub mod fingerprints;
mod get;
mod key;
pub mod large_blobs;
mod page;
mod permissions;
mod pin_uv_auth_protocol;
mod pin_uv_auth_token;
mod public_key;
pub mod randomness;
mod response;
mod u2f;
mod user_verification;
mod weight;
mod words;

#[cfg(test)]
mod testing;

pub use account::{Account, UserChoice};
pub use app_id::AppIdRefusal;
pub use browser::{Browser, UnknownBrowser};
pub use client::{Client, Rules};
pub use client_pin::PinRetries;
pub use config::PinRules;
pub use error::{ClientError, DomException, ExtensionMisuse, RefusedBy};
pub use key::{Exchange, Key, Protocol};
pub use keyrig_ctap::Status;
pub use keyrig_ctap::client_pin::Permissions;
pub use keyrig_ctap::get_info::{OptionId, Response as Info};
pub use origin::Origin;
pub use permissions::Permissions as PagePermissions;
pub use pin::Pin;
pub use pin_uv_auth_token::PinUvAuthToken;
