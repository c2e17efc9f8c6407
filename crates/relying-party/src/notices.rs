//! What users are told about their own account once they are in.

use serde::Serialize;
use utoipa::ToSchema;

use crate::factors::webauthn::StoredCredential;
use crate::factors::{Stored, StoredFactor};
use crate::recovery_keys::FEW_RECOVERY_KEYS;
use crate::site;
use crate::users::User;

/// Something to tell a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Notice {
    /// Its stable name.
    pub code: &'static str,
    /// For people.
    pub text: String,
}

/// What there is to tell a user who has these factors, on a site of this RP ID, if it has one.
pub(crate) fn of(user: &User, factors: &[StoredFactor], rp_id: Option<&str>) -> Vec<Notice> {
    let enabled: Vec<&Stored> = factors.iter().filter(|factor| factor.enabled).map(|factor| &factor.secret).collect();
    let is_usable = |key: &StoredCredential| rp_id.is_none_or(|rp_id| rp_id == key.rp_id);
    let security_keys =
        enabled.iter().filter(|factor| matches!(factor, Stored::Webauthn(key) if is_usable(key))).count();
    let mut notices = Vec::new();
    let mut tell = |code, text: String| notices.push(Notice { code, text });
    if enabled.is_empty() {
        tell(
            "no_second_factor",
            "this account has no second factor: the password alone is enough to log in".to_owned(),
        );
    }
    let keys = factors.iter().filter(|factor| factor.enabled).filter_map(StoredFactor::credential);
    let elsewhere = rp_id.and_then(|rp_id| site::keys_elsewhere(rp_id, keys.map(|key| key.rp_id.as_str())));
    if let Some(sentence) = elsewhere {
        tell("keys_unusable", format!("{sentence}; add your keys anew, and delete what they were"));
    }
    if user.privileges.may_change_others() && security_keys == 1 {
        let text =
            "this administrator has a single security key: enrol a second one as a backup, and keep it elsewhere";
        tell("backup_key_missing", text.to_owned());
    }
    let recovery = enabled.iter().find_map(|factor| match factor {
        Stored::Recovery(keys) => Some(keys.remaining()),
        _ => None,
    });
    match recovery {
        None if !enabled.is_empty() => {
            tell("no_recovery_keys", "there are no recovery keys: make them now, and keep them on paper".to_owned());
        }
        Some(left) if left <= FEW_RECOVERY_KEYS => {
            tell("few_recovery_keys", format!("{left} recovery keys are left: delete them and make new ones"));
        }
        _ => {}
    }
    for factor in factors {
        if let Stored::Totp(totp) = &factor.secret
            && let Some(drift) = totp.drift
            && drift != 0
        {
            let direction = if drift < 0 { "behind" } else { "ahead" };
            let text = format!(
                "the clock of {:?} is one step of {} s {direction} of the clock here; one more and its codes fail",
                factor.description,
                totp.totp.step()
            );
            tell("totp_drift", text);
        }
    }
    notices
}
