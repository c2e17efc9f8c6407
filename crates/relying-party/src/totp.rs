//! One-time codes by the clock (RFC 6238): what an authenticator app shows and a login asks for.
//!
//! totp-rs computes. What it leaves to its caller is here: which secrets are taken, which step a code belongs to, that
//! no code works twice, and how far the app's clock is off.

use std::fmt;
use std::time::{Duration, SystemTime};

use thiserror::Error;
use totp_rs::{Builder, TotpError};

/// How many steps before and after the present one are accepted (RFC 6238, §5.2, recommends one).
pub const TOTP_WINDOW: u64 = 1;

/// How many bytes a new secret has: as many as SHA-1 puts out (RFC 4226, §4, R6).
pub const TOTP_SECRET_BYTES: usize = 20;

/// The longest otpauth URI that is read.
const MAX_URI_BYTES: usize = 1024;

/// A longer secret would be hashed down (RFC 2104, §2), for SHA-512 above 128 bytes.
const MAX_SECRET_BYTES: usize = 128;

const STEP_SECONDS: std::ops::RangeInclusive<u64> = 10..=3600;

/// The hash under the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TotpAlgorithm {
    /// HMAC-SHA-1: the one that every app computes. Collisions of SHA-1 do not weaken it (RFC 4226, B.2).
    Sha1,
    /// HMAC-SHA-256. Some apps take it and compute SHA-1 all the same.
    Sha256,
    /// HMAC-SHA-512. Some apps take it and compute SHA-1 all the same.
    Sha512,
}

/// A secret and how codes are made of it. Its `Debug` does not show the secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Totp {
    inner: totp_rs::Totp,
    algorithm: TotpAlgorithm,
}

/// A code that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcceptedCode {
    /// The number of steps since 1970 that the code belongs to. To be stored: neither it nor an earlier one is accepted
    /// again.
    pub step: u64,
    /// By how many steps the app's clock is ahead of ours (negative: behind): -1, 0 or 1.
    pub drift: i8,
}

/// Why a code is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CodeRefused {
    /// It is not of as many digits as codes of this factor have.
    #[error("a code is {digits} digits")]
    NotACode {
        /// The number of digits.
        digits: u8,
    },
    /// It is not the code of the present step, nor of a step beside it.
    #[error("the code is wrong for the present {step} s and for those before and after: check the clock")]
    Wrong {
        /// The length of a step in seconds.
        step: u64,
    },
    /// It is the code of a step that a login has used, or of one before it (RFC 6238, §5.2).
    #[error("the code, or a later one, was used already: wait for the next")]
    Reused,
}

/// Why a secret or an otpauth URI is not taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TotpRefused {
    /// The URI is longer than 1024 bytes.
    #[error("the otpauth URI is {found} bytes long, more than {MAX_URI_BYTES}")]
    TooLong {
        /// Its length in bytes.
        found: usize,
    },
    /// The URI is not one of the form `otpauth://totp/ISSUER:ACCOUNT?secret=BASE32`.
    #[error("this is not an otpauth URI for TOTP: {reason}; its form is otpauth://totp/ISSUER:ACCOUNT?secret=BASE32")]
    NotAUri {
        /// What is wrong with it.
        reason: String,
    },
    /// It asks for HOTP, whose codes go by a counter.
    #[error("this is an otpauth URI for HOTP, whose codes go by a counter; only TOTP is supported here")]
    Hotp,
    /// The secret is shorter than 16 bytes or longer than 128 (RFC 4226, §4, R6).
    #[error("the secret has {} bits; at least 128 and at most 1024 are taken, and 160 are recommended", .bytes * 8)]
    SecretLength {
        /// Its length in bytes.
        bytes: usize,
    },
    /// The number of digits is not 6, 7 or 8.
    #[error("{found} digits are wrong: codes have 6, 7 or 8")]
    Digits {
        /// The number found.
        found: u8,
    },
    /// The step is not 10 s to an hour.
    #[error("a period of {found} s is wrong: it is 10 to 3600 (every app takes 30)")]
    Step {
        /// The step found, in seconds.
        found: u64,
    },
    /// The account or the issuer is empty where it may not be, or contains a colon, which separates the two.
    #[error("the {which} {found:?} cannot stand in an otpauth URI: it is empty, or contains a colon")]
    Label {
        /// `account` or `issuer`.
        which: &'static str,
        /// What was found.
        found: String,
    },
}

impl Totp {
    /// A secret, with how its codes are made and for whom.
    ///
    /// `digits` is 6 to 8, `step` 10 to 3600 s. `issuer` and `account` are what the app shows.
    ///
    /// # Errors
    /// When something is out of bounds.
    pub fn new(
        secret: &[u8],
        algorithm: TotpAlgorithm,
        digits: u8,
        step: u64,
        issuer: &str,
        account: &str,
    ) -> Result<Self, TotpRefused> {
        let algorithm = match algorithm {
            TotpAlgorithm::Sha1 => totp_rs::Algorithm::SHA1,
            TotpAlgorithm::Sha256 => totp_rs::Algorithm::SHA256,
            TotpAlgorithm::Sha512 => totp_rs::Algorithm::SHA512,
        };
        let builder = Builder::new()
            .with_secret(secret.to_vec())
            .with_algorithm(algorithm)
            .with_digits(digits)
            .with_step_duration(step)
            .with_issuer(Some(issuer))
            .with_account_name(account);
        Self::checked(builder.build().map_err(refused)?)
    }

    /// What an otpauth URI says, as an app's QR code carries it. What it leaves out is SHA-1, 6 digits and 30 s.
    ///
    /// # Errors
    /// When it is no URI of that kind, or something is out of bounds.
    pub fn from_uri(uri: &str) -> Result<Self, TotpRefused> {
        if uri.len() > MAX_URI_BYTES {
            return Err(TotpRefused::TooLong { found: uri.len() });
        }
        Self::checked(totp_rs::Totp::from_url(uri).map_err(refused)?)
    }

    fn checked(inner: totp_rs::Totp) -> Result<Self, TotpRefused> {
        let bytes = inner.secret().as_ref().len();
        if bytes > MAX_SECRET_BYTES {
            return Err(TotpRefused::SecretLength { bytes });
        }
        if !STEP_SECONDS.contains(&inner.step()) {
            return Err(TotpRefused::Step { found: inner.step() });
        }
        if inner.account_name().is_empty() {
            return Err(TotpRefused::Label { which: "account", found: String::new() });
        }
        let algorithm = match inner.algorithm() {
            totp_rs::Algorithm::SHA1 => TotpAlgorithm::Sha1,
            totp_rs::Algorithm::SHA256 => TotpAlgorithm::Sha256,
            totp_rs::Algorithm::SHA512 => TotpAlgorithm::Sha512,
            other => return Err(TotpRefused::NotAUri { reason: format!("the algorithm {other} is not supported") }),
        };
        Ok(Self { inner, algorithm })
    }

    /// The otpauth URI that an app reads, and [`Totp::from_uri`]. It contains the secret.
    #[must_use]
    pub fn uri(&self) -> String {
        // The one error is an account that `checked` and `build` have refused.
        self.inner.to_url().unwrap_or_default()
    }

    /// The secret in base32 without padding, for apps that are typed into.
    #[must_use]
    pub fn secret_base32(&self) -> String {
        self.inner.secret().to_base32()
    }

    /// The secret.
    pub(crate) fn secret(&self) -> Vec<u8> {
        self.inner.secret().as_bytes().to_vec()
    }

    /// How many digits a code has.
    #[must_use]
    pub fn digits(&self) -> u8 {
        self.inner.digits()
    }

    /// How long a step is, in seconds.
    #[must_use]
    pub fn step(&self) -> u64 {
        self.inner.step()
    }

    /// The hash under the code.
    #[must_use]
    pub fn algorithm(&self) -> TotpAlgorithm {
        self.algorithm
    }

    /// The code of an instant: what the app shows then.
    #[must_use]
    pub fn code(&self, at: SystemTime) -> String {
        self.inner.generate(unix_seconds(at)).to_string()
    }

    /// Whether a code is good now, and has not been used: `last_step` is the [step](AcceptedCode::step) of the last code
    /// that was accepted.
    ///
    /// # Errors
    /// When it is not accepted. All of these count as failures.
    pub fn check(&self, code: &str, now: SystemTime, last_step: Option<u64>) -> Result<AcceptedCode, CodeRefused> {
        // Apps show the digits in groups, and people copy them so.
        let code: String = code.chars().filter(|character| *character != ' ').collect();
        if code.len() != usize::from(self.digits()) || !code.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err(CodeRefused::NotACode { digits: self.digits() });
        }
        let present = unix_seconds(now) / self.step();
        let matched = self.inner.check(&code, unix_seconds(now));
        let step = matched.ok_or(CodeRefused::Wrong { step: self.step() })?;
        if last_step.is_some_and(|last| step <= last) {
            return Err(CodeRefused::Reused);
        }
        let drift = match step.cmp(&present) {
            std::cmp::Ordering::Less => -1,
            std::cmp::Ordering::Equal => 0,
            std::cmp::Ordering::Greater => 1,
        };
        Ok(AcceptedCode { step, drift })
    }
}

impl fmt::Debug for Totp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Totp")
            .field("algorithm", &self.algorithm())
            .field("digits", &self.digits())
            .field("step", &self.step())
            .finish_non_exhaustive()
    }
}

fn refused(error: TotpError) -> TotpRefused {
    match error {
        TotpError::InvalidDigits { digits } => TotpRefused::Digits { found: digits },
        TotpError::InvalidStepZero => TotpRefused::Step { found: 0 },
        TotpError::SecretTooShort { bits } => TotpRefused::SecretLength { bytes: bits / 8 },
        TotpError::InvalidHost { host } if host == "hotp" => TotpRefused::Hotp,
        TotpError::AccountNameNotSet => TotpRefused::Label { which: "account", found: String::new() },
        TotpError::InvalidAccountName { account_name } | TotpError::AccountNameDecode { account_name } => {
            TotpRefused::Label { which: "account", found: account_name }
        }
        TotpError::InvalidIssuer { issuer } | TotpError::IssuerDecode { issuer } => {
            TotpRefused::Label { which: "issuer", found: issuer }
        }
        other => TotpRefused::NotAUri { reason: other.to_string() },
    }
}

fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).as_ref().map_or(0, Duration::as_secs)
}

#[cfg(test)]
mod tests;
