//! One FIDO2 security key as a pure state machine: the same inputs, seed and clock give the same bytes.
//!
//! # The driving contract
//!
//! Whoever owns an [`Authenticator`] is its *driver*; [`driver`] has one for tests. Time is a parameter: a [`Duration`](core::time::Duration) since
//! an epoch of the driver's choosing, never going back.
//!
//! **start → step → … → respond.** [`Authenticator::start`] takes a CTAP2 message and returns a [`Step`]:
//!
//! - [`Step::Commit`]: **make the changes durable, all or none, then say so** with [`Commit::committed`] or
//!   [`Commit::failed`]. Until then the authenticator's memory is as before. A command may yield several commits. So an answer
//!   that reports success implies that what it promises is durable.
//! - [`Step::Gesture`]: **a user is asked for a touch**, or for one by which the key knows its user. The driver reports what came of
//!   it with [`Gesture::touched`], [`Gesture::missed`], [`Gesture::denied`], [`Gesture::cancelled`] or, once its deadline has passed,
//!   [`Gesture::timed_out`]. Nothing waits inside.
//! - [`Step::Respond`]: **the command is over**, and this is its answer.
//!
//! **CTAP1/U2F waits by being asked again.** [`Authenticator::start_u2f`] takes a U2F message and never yields a gesture: without a
//! touch it answers `SW_CONDITIONS_NOT_SATISFIED` at once, and the client repeats itself. As long as it does,
//! [`Authenticator::u2f_waiting`] says what for, and the driver reports what the user does with [`Authenticator::touch_u2f`] and
//! [`Authenticator::deny_u2f`]. A touch stays for a while, and the next request that wants one takes it.
//!
//! **A step is consumed by what it is told.** Dropping one abandons its command, with nothing changed since its last commit:
//! that is right when a transaction is aborted by CTAPHID_INIT. A step that is told something after the authenticator has
//! started another command or lost its power answers `CTAP1_ERR_OTHER` and changes nothing, but for one thing:
//!
//! **What is durable is said, even late.** A commit that has become durable is told so before the next command is started; if
//! the power was interrupted first, it is still told, and memory follows the disk. Only a commit that is not on disk and will
//! not be may be dropped.
//!
//! **Power is the driver's.** [`Authenticator::power_up`] is called once when the key gets power and again at every power
//! cycle, and forgets all that is not stored.
//!
//! # Where things are
//!
//! One file per command, and one for CTAP1/U2F; `dispatch` starts them, and `step` carries them on. They share no more than the
//! state in `authenticator`: what it keeps ([`store`]) and remembers (`memory`: until the next command on a channel, until
//! power-up); what a request is allowed (`authorization`); and what the two ceremonies have in common (`ceremony`). [`profile`]
//! says which key it is, [`administration`] what its owner does with it beside CTAP, [`attestation`] how it vouches for its credentials.

pub mod administration;
pub mod attestation;
mod authenticator;
mod authorization;
mod bio_enrollment;
mod ceremony;
mod channel;
mod client_pin;
mod config;
pub mod credential;
mod credential_management;
mod crypto;
mod dispatch;
pub mod driver;
pub mod environment;
mod fingerprint;
mod get_assertion;
mod get_info;
mod hmac_secret;
mod large_blobs;
mod make_credential;
mod memory;
mod mistakes;
mod pin;
mod pin_uv_auth_protocol;
mod pin_uv_auth_token;
pub mod portable_crypto;
mod presence;
pub mod private_key;
pub mod profile;
mod progress;
mod reading;
mod reset;
mod sealing;
mod selection;
mod step;
pub mod store;
mod u2f;
mod user_verification;
mod uv_attempts;

pub use authenticator::Authenticator;
pub use channel::Channel;
pub use fingerprint::Fingerprint;
pub use presence::{Asks, Reason, Waiting};
pub use profile::Profile;
pub use step::{Commit, Gesture, Step};
pub use uv_attempts::UvAttempts;
