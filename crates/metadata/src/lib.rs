//! FIDO metadata (FIDO Metadata Service 3.1, FIDO Metadata Statement 3.1): BLOBs and statements, read and written.
//!
//! [`Document::read`] takes what users have: the JWT that the service publishes, its payload as JSON, or one statement as makers
//! publish it. Members that are not known are left out. No signature is looked at here: a [`Jwt`] carries what is needed for that.

mod blob;
mod date;
mod document;
mod get_info;
mod jwt;
mod limits;
mod statement;
mod status;
#[cfg(test)]
mod tests;

pub use self::blob::{Blob, Entry};
pub use self::date::{Date, NotADate};
pub use self::document::{Document, ReadError};
pub use self::get_info::{GetInfo, Parameters};
pub use self::jwt::{Header, Jwt, NotAJwt, signing_input};
pub use self::limits::{MAX_DEPTH, MAX_ENTRIES, MAX_LIST, MAX_SIZE};
pub use self::statement::{
    BiometricDescription, Certificate, PasscodeDescription, Statement, VerificationMethod, Version,
};
pub use self::status::{Status, StatusReport};
