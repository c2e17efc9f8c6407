//! What the tables of a site come to: what is not written is as in a site that has nothing written, or as it was.

use core::fmt::Display;
use std::collections::BTreeMap;

use keyrig_relying_party::{Policy, Requirement};

use super::at::At;
use super::directory;
use super::plan::{AttestationPlan, SitePlan};
use super::problem::Problem;
use super::site::{AcceptedAttestation, AttestationRoot, SiteTable};
use super::words::{one_of, word};

/// The RP ID of a site that has none written.
const RP_ID: &str = "login.example.com";

impl Default for SitePlan {
    fn default() -> Self {
        Self {
            policy: Policy::strict(),
            rp_id: RP_ID.to_owned(),
            origins: None,
            app_origins: Vec::new(),
            related_origins: Vec::new(),
            app_id: None,
            allow_subdomains: false,
            passkey_login: false,
            attestation: AttestationPlan {
                accept: AcceptedAttestation::None,
                models: Vec::new(),
                root: AttestationRoot::OfTheKeys,
                enterprise: false,
            },
            directories: BTreeMap::new(),
            realms: BTreeMap::new(),
            listens: false,
        }
    }
}

impl SitePlan {
    /// It, with what a table says otherwise.
    pub(super) fn with(mut self, table: &SiteTable) -> Result<Self, Problem> {
        let texts = |list: &[At<String>]| list.iter().map(|text| text.value.clone()).collect::<Vec<_>>();
        if let Some(written) = &table.policy {
            self.policy = one_of(written, "policy", Policy::built_in_names(), |name| Policy::built_in(name).ok())?;
        }
        if let Some(fields) = &table.policy_fields {
            self.policy = changed(&self.policy, fields)?;
        }
        if let Some(rp_id) = &table.rp_id {
            self.rp_id.clone_from(&rp_id.value);
        }
        if let Some(origins) = &table.origins {
            self.origins = Some(texts(origins));
        }
        if let Some(origins) = &table.app_origins {
            self.app_origins = texts(origins);
        }
        if let Some(origins) = &table.related_origins {
            self.related_origins = texts(origins);
        }
        if let Some(app_id) = &table.app_id {
            self.app_id = Some(app_id.value.clone());
        }
        self.allow_subdomains = table.allow_subdomains.unwrap_or(self.allow_subdomains);
        self.passkey_login = table.passkey_login.unwrap_or(self.passkey_login);
        if let Some(attestation) = &table.attestation {
            self.attestation = AttestationPlan::of(attestation)?;
        }
        for (realm, options) in &table.directory {
            self.directories.insert(realm.clone(), directory::settings(realm, options)?);
        }
        for (realm, written) in &table.realm {
            if !self.has_realm(realm) {
                return Err(self.no_realm(realm, &written.at));
            }
            let requirement = match written.value.as_str() {
                "none" => Requirement::None,
                _ => word(written)?,
            };
            self.realms.insert(realm.clone(), requirement);
        }
        if let Some(listens) = &table.listens {
            self.listens = listens.value;
            if listens.value && table.rp_id.is_none() {
                "localhost".clone_into(&mut self.rp_id);
            }
        }
        if let Some(origin) = table.related_origins.iter().flatten().next().filter(|_| self.listens) {
            let problem =
                Problem::new(origin.at.clone(), "a site that listens is at localhost, where no page elsewhere looks");
            return Err(problem.with_help("leave listens out"));
        }
        Ok(self)
    }
}

/// A policy with other values in some of its fields.
fn changed(policy: &Policy, fields: &At<toml::Table>) -> Result<Policy, Problem> {
    let wrong = |error: &dyn Display| Problem::new(fields.at.clone(), error.to_string());
    let mut table = toml::Table::try_from(policy).map_err(|error| wrong(&error))?;
    // It is the name of the policy, and no field of it.
    table.remove("name");
    for (field, value) in &fields.value {
        let Some(known) = table.get(field) else {
            let problem = Problem::new(fields.at.clone(), format!("a policy has no field {field:?}"));
            return Err(problem.with_nearest(field, table.keys().map(String::as_str)));
        };
        let value = match (known, value) {
            (toml::Value::Table(known), toml::Value::Table(value)) => {
                let mut merged = known.clone();
                merged.extend(value.clone());
                toml::Value::Table(merged)
            }
            _ => value.clone(),
        };
        table.insert(field.clone(), value);
    }
    Policy::parse(&policy.name, &table.to_string()).map_err(|error| {
        let reason = error.reason.lines().last().unwrap_or_default().to_owned();
        wrong(&reason)
    })
}
