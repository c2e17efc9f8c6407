//! The relying party over its HTTP API, against a client and an authenticator that nobody here wrote (passkey).

#[cfg(test)]
mod login;
#[cfg(test)]
mod realms;
#[cfg(test)]
mod requests;
#[cfg(test)]
mod rig;
#[cfg(test)]
mod serving;
