//! TOTP factors as they are stored, and what a code does to them.

use std::time::SystemTime;

use rusqlite::{Connection, OptionalExtension, params};

use super::FactorDetail;
use crate::store::StoreError;
use crate::totp::{AcceptedCode, CodeRefused, Totp, TotpAlgorithm};

pub(crate) struct StoredTotp {
    pub(crate) totp: Totp,
    /// The step of the latest code that was accepted.
    pub(crate) last_step: Option<u64>,
    /// By how many steps that code was away from the clock here.
    pub(crate) drift: Option<i8>,
}

impl StoredTotp {
    pub(super) fn view(&self) -> FactorDetail {
        FactorDetail::Totp {
            algorithm: algorithm_name(self.totp.algorithm()),
            digits: self.totp.digits(),
            step: self.totp.step(),
            drift: self.drift,
        }
    }

    pub(crate) fn check(&self, code: &str, now: SystemTime) -> Result<AcceptedCode, CodeRefused> {
        self.totp.check(code, now, self.last_step)
    }
}

pub(crate) fn algorithm_name(algorithm: TotpAlgorithm) -> &'static str {
    match algorithm {
        TotpAlgorithm::Sha1 => "SHA1",
        TotpAlgorithm::Sha256 => "SHA256",
        TotpAlgorithm::Sha512 => "SHA512",
    }
}

pub(crate) fn algorithm_of(name: &str) -> Option<TotpAlgorithm> {
    [TotpAlgorithm::Sha1, TotpAlgorithm::Sha256, TotpAlgorithm::Sha512]
        .into_iter()
        .find(|algorithm| algorithm_name(*algorithm) == name)
}

pub(super) fn load(connection: &Connection, factor: &str) -> Result<Option<StoredTotp>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT secret, algorithm, digits, step, last_step, drift FROM totp WHERE factor = ?")?;
    type Columns = (Vec<u8>, String, u8, u64, Option<u64>, Option<i8>);
    let found: Option<Columns> = statement
        .query_row([factor], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?)))
        .optional()?;
    let Some((secret, algorithm, digits, step, last_step, drift)) = found else {
        return Ok(None);
    };
    let damaged = |what: String| StoreError::Damaged { what: format!("totp: {what}") };
    let algorithm =
        algorithm_of(&algorithm).ok_or_else(|| damaged(format!("{algorithm:?} is not an algorithm of TOTP")))?;
    // Issuer and account are for otpauth URIs, which stored factors are never shown as.
    let totp = Totp::new(&secret, algorithm, digits, step, "", "stored").map_err(|error| damaged(error.to_string()))?;
    Ok(Some(StoredTotp { totp, last_step, drift }))
}

/// Adds the row of a factor that was just added. `accepted` is the code that confirmed it, which is used up by that.
pub(crate) fn insert(
    connection: &Connection,
    factor: &str,
    totp: &Totp,
    secret: &[u8],
    accepted: AcceptedCode,
) -> Result<(), StoreError> {
    connection.prepare_cached("INSERT INTO totp VALUES (?, ?, ?, ?, ?, ?, ?)")?.execute(params![
        factor,
        secret,
        algorithm_name(totp.algorithm()),
        totp.digits(),
        totp.step(),
        accepted.step,
        accepted.drift,
    ])?;
    Ok(())
}

/// Uses up a code, and all before it.
pub(crate) fn accept(connection: &Connection, factor: &str, accepted: AcceptedCode) -> Result<(), StoreError> {
    connection.prepare_cached("UPDATE totp SET last_step = ?, drift = ? WHERE factor = ?")?.execute(params![
        accepted.step,
        accepted.drift,
        factor
    ])?;
    Ok(())
}
