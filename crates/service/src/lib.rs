//! A running rack over HTTP, for programs in any language.
//!
//! Under `/v1` are the commands of [`keyrig_control::request`], each at a path of its own, and `client/create` and `client/get`, which
//! do what a page's script asks of `navigator.credentials`, by the rules of a browser, over the rack's keys. Bodies and answers are
//! JSON; what is not a success has one shape, [`ErrorBody`].
//!
//! **Who may ask.** A request with the service's [`Token`] is served, whatever its Host is: a container is reached by a name of its
//! own. Without one, only `GET /v1/ready` is, the files of the panel at `/`, which hold nothing, and, if the Host is a loopback one, what
//! describes the service and the scripts for pages. The panel has a token of its own, for a code that is good once. There are no cookies, and no CORS but for pages that were given a token of their own: it is good for ceremonies of one
//! origin, which their browser vouches for. A page of whatever site else cannot reach what is here, nor does what is here reach a site.
//!
//! **What a request does ends with its connection**, so that a key stops blinking when whoever waited for it is gone.
//!
//! | file | what |
//! |---|---|
//! | `access`, `token`, `token_file`, `page_token`, `pages`, `panel_access` | who may ask, and tokens for pages and panels |
//! | `routes` | which command is where |
//! | `commands` | a command from a request |
//! | `client`, `conditional`, `noted` | ceremonies: over HTTP and for the command line |
//! | `signals` | what a site signals of its credentials |
//! | `service` | what is served |
//! | `events`, `trace` | what happens, and what keys are asked, as streams |
//! | `panel` | the rack to look at: its files, codes, and all that it shows as one stream |
//! | `catalogue` | profiles and faults by name |
//! | `scripts`, `observe` | what is put into pages; what they note of their ceremonies |
//! | `error` | the shape of what is not a success |

mod access;
mod catalogue;
pub mod client;
mod commands;
mod conditional;
mod error;
mod events;
mod metadata;
mod noted;
mod observe;
mod page_token;
mod pages;
mod panel;
mod panel_access;
mod rounds;
mod routes;
mod scripts;
mod service;
mod signals;
mod token;
mod token_file;
mod trace;

use std::io;
use std::sync::Arc;

use keyrig_http::{Connections, Limits};
use tokio::net::TcpListener;

pub use error::{Error, ErrorBody};
pub use keyrig_http::Server;
pub use routes::router;
pub use scripts::PAGE_SCRIPT;
pub use service::{MAX_BODY, Service};
pub use token::{InvalidToken, Token};
pub use token_file::{TokenFile, TokenFileError};

/// Serves on a listener, in a task of the present tokio runtime.
///
/// Who may connect is decided by the address that the listener is bound to.
///
/// # Errors
/// When the listener's address cannot be read.
pub fn serve(listener: TcpListener, service: Arc<Service>) -> io::Result<Server> {
    keyrig_http::serve(listener, router(service), error::of_what_is_no_request, Connections::new(Limits::default()))
}
