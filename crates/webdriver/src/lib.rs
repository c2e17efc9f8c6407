//! WebDriver's virtual authenticators (WebAuthn Level 3 §11) in front of any driver, answered with keys of a rack.
//!
//! A client speaks to this as it does to chromedriver or geckodriver. Each session gets a driver of its own, whose browser finds the
//! keys of a rack that no other session reaches; all commands go to that driver, and those below `/session/{id}/webauthn` are answered
//! here: a virtual authenticator is a key.
//!
//! **Loopback only, and no page.** Whoever reaches a driver can do what its user can. What listens elsewhere is refused, and so is each
//! request with an Origin, or with a Host that is not a loopback one with this port, before anything is forwarded.
//!
//! | file | what |
//! |---|---|
//! | `route` | which command a request is |
//! | `access` | who may ask |
//! | `capabilities` | what a session says that it has |
//! | `configuration`, `credential` | what commands are given, and tell |
//! | `authenticators` | the virtual authenticators of a session |
//! | `mode`, `keys` | how pages get their keys, and from where |
//! | `pages`, `bidi` | the script in the place of `navigator.credentials`, where no key reaches a browser |
//! | `driver`, `forward` | drivers, started and asked |
//! | `sessions`, `server` | what is served |
//! | `error` | what is not a success |

mod access;
mod authenticators;
mod bidi;
pub mod capabilities;
pub mod configuration;
pub mod credential;
mod driver;
mod error;
mod forward;
mod keys;
mod mode;
mod pages;
pub mod route;
mod server;
mod sessions;

pub use authenticators::Authenticators;
pub use driver::{Program, Say, Under};
pub use error::{Code, WebDriverError};
pub use keys::{Keys, Refused};
pub use mode::{InvalidMode, Mode};
pub use server::{Drivers, Options, Serving, serve};
