//! The relying party over its HTTP API, against a client and an authenticator that nobody here wrote (passkey).

#[cfg(test)]
mod access;
#[cfg(test)]
mod administration;
#[cfg(test)]
mod behind_proxy;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod decided_by_webauthn_rs;
#[cfg(test)]
mod directory;
#[cfg(test)]
mod enrolment;
#[cfg(test)]
mod fail_closed;
#[cfg(test)]
mod ldap;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod locks;
#[cfg(test)]
mod login;
#[cfg(test)]
mod page;
#[cfg(test)]
mod passkey;
#[cfg(test)]
mod privileges;
#[cfg(test)]
mod program;
#[cfg(test)]
mod proxmox;
#[cfg(test)]
mod proxmox_realms;
#[cfg(test)]
mod proxmox_shape;
#[cfg(test)]
mod proxmox_steps;
#[cfg(test)]
mod proxmox_words;
#[cfg(test)]
mod realms;
#[cfg(test)]
mod requests;
#[cfg(test)]
mod revoked;
#[cfg(test)]
mod rig;
#[cfg(test)]
mod serving;
#[cfg(test)]
mod session_list;
#[cfg(test)]
mod sessions;
#[cfg(test)]
mod settings_changed;
#[cfg(test)]
mod smuggling;
#[cfg(test)]
mod sources;
#[cfg(test)]
mod strictness;
#[cfg(test)]
mod tasks;
