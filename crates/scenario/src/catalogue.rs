//! The catalogue of misconfigurations: ways to get WebAuthn wrong, who notices each, and in which words, as data in
//! `fixtures/misconfigurations`. What is expected there was written down before anything ran; [`execute`] has a real client, key
//! and relying party do it, and a test compares.
//!
//! The numbers are names that stay the same: [`doctor`](crate::doctor) and reports speak of them.

mod dropping;
mod reading;
mod row;
mod run;
mod site;
mod table;
mod texts;

pub use self::row::{Caught, Detector, Expected, Outcome, Row, Taken, row, rows};
pub use self::run::{Executed, execute, execute_caught, in_the_words_of_webauthn_rs};
pub use self::site::Broken;
pub use self::table::table;
