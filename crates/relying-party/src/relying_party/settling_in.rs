//! What the settings mean for what is enrolled, said when a site begins to be served.

use std::collections::BTreeMap;

use super::state::RelyingParty;
use crate::audit_report::{AuditedUser, Finding};
use crate::factors::FactorDetail;
use crate::site::{self, Site, keys_elsewhere};
use crate::store::StoreError;

impl RelyingParty {
    /// Has the store know the settings, and says what of that which is enrolled cannot be used under them: to be said at the
    /// start. Nothing is done if the settings of WebAuthn are wrong.
    ///
    /// # Errors
    /// [`StoreError`] if the store fails.
    pub fn settle_in(&self) -> Result<Vec<String>, StoreError> {
        let Ok(webauthn) = &self.webauthn else { return Ok(Vec::new()) };
        let site = Site::of(&webauthn.settings);
        if self.store.read(|connection| site::find(connection))? != Some(site.clone()) {
            self.store.write(|transaction| site::save(transaction, &site))?;
        }
        let report = self.store.audit(self.clock.now())?;
        let realms = self.store.realms()?;
        let own = realms.iter().filter(|realm| {
            let option = realm.requirement.tfa_option();
            option.is_some_and(|option| !site.realm_types.iter().any(|of| option.starts_with(&format!("type={of}"))))
        });
        let own: Vec<String> = own
            .map(|realm| {
                format!(
                    "the realm {} requires {}, which no realm can under the policy {}: it goes on doing so until it is changed",
                    realm.name, realm.requirement, site.policy
                )
            })
            .collect();
        let keys = report.users.iter().flat_map(|user| &user.factors).filter_map(|factor| match &factor.detail {
            FactorDetail::Webauthn { rp_id, .. } => Some(rp_id.as_str()),
            _ => None,
        });
        let mut notes: Vec<_> = own.into_iter().chain(keys_elsewhere(&site.rp_id, keys)).collect();
        let mut shut_out = BTreeMap::<&str, Vec<String>>::new();
        for AuditedUser { user, findings, .. } in &report.users {
            if findings.contains(&Finding::KeysNotAccepted) {
                shut_out.entry(user.name.realm()).or_default().push(user.name.to_string());
            }
        }
        notes.extend(shut_out.into_iter().map(|(realm, users)| {
            format!(
                "the realm {realm} requires codes, and the policy {} lets no security key pass there: {} cannot log in",
                site.policy,
                users.join(", ")
            )
        }));
        Ok(notes)
    }
}
