//! WebAuthn credentials as they are stored: the credential record of WebAuthn Level 3, §4.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rusqlite::{Connection, ErrorCode, OptionalExtension, params};

use super::{FactorDetail, FactorError, owner_of_credential};
use crate::store::StoreError;
use crate::users::User;

/// A credential record, and the registration it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CredentialRecord {
    pub(crate) credential_id: Vec<u8>,
    /// COSE_Key.
    pub(crate) public_key: Vec<u8>,
    pub(crate) sign_count: u32,
    pub(crate) uv_initialized: bool,
    pub(crate) backup_eligible: bool,
    pub(crate) backup_state: bool,
    pub(crate) transports: Vec<String>,
    pub(crate) rp_id: String,
    /// The user handle that it was registered with.
    pub(crate) user_handle: Vec<u8>,
    pub(crate) aaguid: [u8; 16],
    pub(crate) attestation_format: String,
    pub(crate) client_data: Vec<u8>,
    pub(crate) attestation_object: Vec<u8>,
}

impl CredentialRecord {
    pub(super) fn view(&self) -> FactorDetail {
        let aaguid = u128::from_be_bytes(self.aaguid);
        let hex = format!("{aaguid:032x}");
        let part = |from, to| hex.get(from..to).unwrap_or_default();
        FactorDetail::Webauthn {
            credential_id: URL_SAFE_NO_PAD.encode(&self.credential_id),
            rp_id: self.rp_id.clone(),
            aaguid: [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-"),
            attestation_format: self.attestation_format.clone(),
            counter: self.sign_count,
            backup_eligible: self.backup_eligible,
            backup_state: self.backup_state,
            uv_initialized: self.uv_initialized,
            transports: self.transports.clone(),
        }
    }
}

pub(super) fn load(connection: &Connection, factor: &str) -> Result<Option<CredentialRecord>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT credential_id, public_key, sign_count, uv_initialized, backup_eligible, backup_state, transports, rp_id,
         user_handle, aaguid, attestation_format, client_data, attestation_object
         FROM webauthn_credentials WHERE factor = ?",
    )?;
    let found = statement.query_row([factor], |row| {
        let transports: String = row.get(6)?;
        let record = CredentialRecord {
            credential_id: row.get(0)?,
            public_key: row.get(1)?,
            sign_count: row.get(2)?,
            uv_initialized: row.get(3)?,
            backup_eligible: row.get(4)?,
            backup_state: row.get(5)?,
            transports: Vec::new(),
            rp_id: row.get(7)?,
            user_handle: row.get(8)?,
            aaguid: row.get(9)?,
            attestation_format: row.get(10)?,
            client_data: row.get(11)?,
            attestation_object: row.get(12)?,
        };
        Ok((record, transports))
    });
    let Some((record, transports)) = found.optional()? else {
        return Ok(None);
    };
    let transports = serde_json::from_str(&transports)
        .map_err(|error| StoreError::Damaged { what: format!("webauthn_credentials.transports: {error}") })?;
    Ok(Some(CredentialRecord { transports, ..record }))
}

/// Adds the row of a factor that was just added.
pub(crate) fn insert(
    connection: &Connection,
    user: &User,
    factor: &str,
    record: &CredentialRecord,
) -> Result<(), FactorError> {
    let transports = serde_json::Value::from(record.transports.clone()).to_string();
    let inserted = connection
        .prepare_cached("INSERT INTO webauthn_credentials VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")?
        .execute(params![
            factor,
            record.credential_id,
            record.public_key,
            record.sign_count,
            record.uv_initialized,
            record.backup_eligible,
            record.backup_state,
            transports,
            record.rp_id,
            record.user_handle,
            record.aaguid,
            record.attestation_format,
            record.client_data,
            record.attestation_object,
        ]);
    match inserted {
        Ok(_) => Ok(()),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
            let owner = owner_of_credential(connection, &record.credential_id)?;
            Err(FactorError::CredentialExists { to_same_user: owner == Some(user.id) })
        }
        Err(error) => Err(error.into()),
    }
}

/// Updates the record after a login that was verified (WebAuthn Level 3, §7.2, its last steps).
pub(crate) fn update(
    connection: &Connection,
    factor: &str,
    sign_count: u32,
    backup_state: bool,
    user_verified: bool,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "UPDATE webauthn_credentials SET sign_count = ?, backup_state = ?, uv_initialized = uv_initialized OR ?
             WHERE factor = ?",
        )?
        .execute(params![sign_count, backup_state, user_verified, factor])?;
    Ok(())
}
