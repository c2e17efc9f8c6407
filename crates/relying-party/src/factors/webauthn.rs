//! WebAuthn credentials as they are stored: the credential record of WebAuthn Level 3, §4.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keyrig_ctap::Aaguid;
use keyrig_ctap::cose::PublicKey;
use keyrig_verifier::{CredentialRecord, RecordUpdate};
use rusqlite::{Connection, ErrorCode, OptionalExtension, params};

use super::{Factor, FactorDetail, FactorError, FactorKind, owner_of_credential};
use crate::audit_log::By;
use crate::site::Site;
use crate::store::{Store, StoreError};
use crate::user_name::UserName;
use crate::users::User;

/// A credential record, and the registration it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredCredential {
    pub(crate) record: CredentialRecord,
    /// Whether it was registered to log in alone.
    pub(crate) passkey: bool,
    /// What the credential is bound to.
    pub(crate) rp_id: String,
    pub(crate) attestation_format: String,
    pub(crate) client_data: Vec<u8>,
    pub(crate) attestation_object: Vec<u8>,
}

impl StoredCredential {
    pub(super) fn view(&self, site: Option<&Site>) -> FactorDetail {
        let record = &self.record;
        FactorDetail::Webauthn {
            credential_id: URL_SAFE_NO_PAD.encode(&record.id),
            passkey: self.passkey,
            rp_id: self.rp_id.clone(),
            usable: site.is_none_or(|site| site.rp_id == self.rp_id),
            aaguid: record.aaguid.to_string(),
            attestation_format: self.attestation_format.clone(),
            counter: record.sign_count,
            backup_eligible: record.backup_eligible,
            backup_state: record.backup_state,
            uv_initialized: record.uv_initialized,
            transports: record.transports.clone(),
        }
    }
}

impl Store {
    /// Adds a credential that was registered by U2F, under the [AppID](crate::Settings::app_id) of the site that has this RP ID: a second
    /// factor with a counter of zero, as one that was moved here from the database of what checked the registration then.
    ///
    /// # Errors
    /// [`FactorError`]: no such user, a bad description, too many factors, or a credential that is registered already.
    pub fn add_u2f_credential(
        &self,
        user: &UserName,
        description: &str,
        (key_handle, public_key): (&[u8], &PublicKey),
        rp_id: &str,
        by: &By,
    ) -> Result<Factor, FactorError> {
        self.write(|transaction| {
            let user = super::known_user(transaction, user)?;
            let record = CredentialRecord {
                id: key_handle.to_vec(),
                public_key: public_key.to_cose(),
                sign_count: 0,
                uv_initialized: false,
                backup_eligible: false,
                backup_state: false,
                transports: Vec::new(),
                user_handle: user.handle.clone(),
                aaguid: Aaguid::default(),
            };
            let stored = StoredCredential {
                record,
                passkey: false,
                rp_id: rp_id.to_owned(),
                attestation_format: "fido-u2f".to_owned(),
                client_data: Vec::new(),
                attestation_object: Vec::new(),
            };
            let id = super::add(transaction, &user, FactorKind::Webauthn, description, by)?;
            insert(transaction, &user, &id, &stored)?;
            super::added(transaction, &user, &id)
        })
    }
}

pub(super) fn load(connection: &Connection, factor: &str) -> Result<Option<StoredCredential>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT credential_id, public_key, sign_count, uv_initialized, backup_eligible, backup_state, transports, rp_id,
         user_handle, aaguid, attestation_format, client_data, attestation_object, passkey
         FROM webauthn_credentials WHERE factor = ?",
    )?;
    let found = statement.query_row([factor], |row| {
        let transports: String = row.get(6)?;
        let record = CredentialRecord {
            id: row.get(0)?,
            public_key: row.get(1)?,
            sign_count: row.get(2)?,
            uv_initialized: row.get(3)?,
            backup_eligible: row.get(4)?,
            backup_state: row.get(5)?,
            transports: Vec::new(),
            user_handle: row.get(8)?,
            aaguid: Aaguid(row.get(9)?),
        };
        let stored = StoredCredential {
            record,
            passkey: row.get(13)?,
            rp_id: row.get(7)?,
            attestation_format: row.get(10)?,
            client_data: row.get(11)?,
            attestation_object: row.get(12)?,
        };
        Ok((stored, transports))
    });
    let Some((mut stored, transports)) = found.optional()? else {
        return Ok(None);
    };
    stored.record.transports = serde_json::from_str(&transports)
        .map_err(|error| StoreError::Damaged { what: format!("webauthn_credentials.transports: {error}") })?;
    Ok(Some(stored))
}

/// Adds the row of a factor that was just added.
pub(crate) fn insert(
    connection: &Connection,
    user: &User,
    factor: &str,
    stored: &StoredCredential,
) -> Result<(), FactorError> {
    let record = &stored.record;
    let transports = serde_json::Value::from(record.transports.clone()).to_string();
    let inserted = connection
        .prepare_cached("INSERT INTO webauthn_credentials VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")?
        .execute(params![
            factor,
            record.id,
            record.public_key,
            record.sign_count,
            record.uv_initialized,
            record.backup_eligible,
            record.backup_state,
            transports,
            stored.rp_id,
            record.user_handle,
            record.aaguid.0,
            stored.attestation_format,
            stored.client_data,
            stored.attestation_object,
            stored.passkey,
        ]);
    match inserted {
        Ok(_) => Ok(()),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
            let owner = owner_of_credential(connection, &record.id)?;
            Err(FactorError::CredentialExists { to_same_user: owner == Some(user.id) })
        }
        Err(error) => Err(error.into()),
    }
}

/// Updates the record after a login that was verified (WebAuthn Level 3, §7.2, its last steps).
pub(crate) fn update(connection: &Connection, factor: &str, update: RecordUpdate) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "UPDATE webauthn_credentials SET sign_count = ?, backup_state = ?, uv_initialized = ? WHERE factor = ?",
        )?
        .execute(params![update.sign_count, update.backup_state, update.uv_initialized, factor])?;
    Ok(())
}
