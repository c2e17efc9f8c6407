//! What a site's settings mean for what is enrolled. Settings change, and credentials stay with the RP ID that they were
//! made for: no browser uses one on a site of another.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, params};

use crate::settings::Settings;
use crate::store::StoreError;

/// The settings that bear on what is enrolled, as a site was last served with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Site {
    pub(crate) rp_id: String,
    pub(crate) policy: String,
    pub(crate) oath_realm_excludes_webauthn: bool,
    /// The types of second factors that a realm can ask for; none if the site was not served since there are any.
    pub(crate) realm_types: Vec<String>,
}

impl Site {
    pub(crate) fn of(settings: &Settings) -> Self {
        Self {
            rp_id: settings.rp_id.clone(),
            policy: settings.policy.name.clone(),
            oath_realm_excludes_webauthn: settings.policy.oath_realm_excludes_webauthn,
            realm_types: settings.policy.realm_types.clone(),
        }
    }

    /// Whether realms are what they are at Proxmox VE: none of their types is keyrig's own.
    pub(crate) fn has_types_of_proxmox_alone(&self) -> bool {
        !self.realm_types.is_empty() && !self.realm_types.iter().any(|of| ["any", "webauthn"].contains(&of.as_str()))
    }
}

/// The site; `None` if it was never served.
pub(crate) fn find(connection: &Connection) -> Result<Option<Site>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT rp_id, policy, oath_realm_excludes_webauthn, realm_types FROM site")?;
    let site = statement.query_row([], |row| {
        let types: String = row.get(3)?;
        Ok(Site {
            rp_id: row.get(0)?,
            policy: row.get(1)?,
            oath_realm_excludes_webauthn: row.get(2)?,
            realm_types: types.split_whitespace().map(str::to_owned).collect(),
        })
    });
    Ok(site.optional()?)
}

pub(crate) fn save(connection: &Connection, site: &Site) -> Result<(), StoreError> {
    connection.prepare_cached("INSERT OR REPLACE INTO site VALUES (1, ?, ?, ?, ?)")?.execute(params![
        site.rp_id,
        site.policy,
        site.oath_realm_excludes_webauthn,
        site.realm_types.join(" ")
    ])?;
    Ok(())
}

/// Says how many credentials are for other RP IDs than the site's; `None` if none is.
pub(crate) fn keys_elsewhere<'a>(rp_id: &str, keys: impl Iterator<Item = &'a str>) -> Option<String> {
    let (mut all, mut elsewhere) = (0, BTreeMap::<&str, usize>::new());
    for key in keys {
        all += 1;
        if key != rp_id {
            *elsewhere.entry(key).or_default() += 1;
        }
    }
    let (count, others) = (elsewhere.values().sum::<usize>(), elsewhere.keys().copied().collect::<Vec<_>>());
    let of = match (count, all) {
        (0, _) => return None,
        (1, 1) => "the only key is".to_owned(),
        (1, _) => format!("1 of {all} keys is"),
        (count, all) if count == all => format!("all {all} keys are"),
        (count, all) => format!("{count} of {all} keys are"),
    };
    Some(format!(
        "{of} for {}: no browser will use {} here, at {rp_id}",
        others.join(", "),
        if count == 1 { "it" } else { "them" }
    ))
}
