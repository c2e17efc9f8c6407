//! Tickets in Proxmox VE's form, `PVE:PAYLOAD:TIME::SIGNATURE`: what is a cookie there, is a session's token here.
//!
//! The payload of a full ticket is the user's name; that of half a ticket, which still needs its second factor, begins with `!tfa!`
//! and says what is asked for. What the form has for a signature carries here the token of the session or login that the store knows,
//! and a MAC over all of it: a ticket is good as long as the store says so, and a changed one is none. No two tickets are alike, and
//! none is longer than [`MAX_TICKET_BYTES`].

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The length of the key under which tickets are made, in bytes.
pub(crate) const TICKET_KEY_BYTES: usize = 32;

/// The longest ticket that is made or looked at, in bytes: half a ticket has the options of a ceremony in it, with 64 credentials.
pub(super) const MAX_TICKET_BYTES: usize = 64 * 1024;

/// The length of a token, as bytes.
const TOKEN: usize = 32;
const MAC: usize = 32;

/// What the payload of half a ticket begins with.
const HALF: &str = "!tfa!";

/// A ticket that was made here, and not changed since.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ticket {
    /// Of a session.
    Full {
        /// The user's name.
        user: String,
        /// The session's token.
        token: String,
        /// When it was made, in seconds since 1970.
        issued: u32,
    },
    /// Of a login whose password was given.
    Half {
        /// The login's token.
        login: String,
        /// The identifier of the ceremony that its payload has the options of.
        challenge: Option<String>,
    },
}

impl Ticket {
    /// The text of a full ticket. `token` is a session's.
    pub(super) fn full(key: &[u8; TICKET_KEY_BYTES], user: &str, token: &str, issued: u32) -> Option<String> {
        seal(key, user, user, issued, &[token])
    }

    /// The text of half a ticket for a user. `offer` is JSON: what can be answered with.
    pub(super) fn half(
        key: &[u8; TICKET_KEY_BYTES],
        user: &str,
        offer: &str,
        login: &str,
        challenge: Option<&str>,
        issued: u32,
    ) -> Option<String> {
        let payload = format!("{HALF}{}", escape(offer));
        let tokens: Vec<&str> = [Some(login), challenge].into_iter().flatten().collect();
        seal(key, user, &payload, issued, &tokens)
    }

    /// Reads a ticket. `user` is whose half a ticket has to be: its name is signed along and does not stand in it. `None` for what was
    /// not made here, or not for that user, or was changed.
    pub(super) fn read(key: &[u8; TICKET_KEY_BYTES], text: &str, user: Option<&str>) -> Option<Self> {
        if text.len() > MAX_TICKET_BYTES {
            return None;
        }
        let (signed, signature) = text.rsplit_once("::")?;
        let (payload, time) = signed.strip_prefix("PVE:")?.rsplit_once(':')?;
        let issued = time.len().eq(&8).then(|| u32::from_str_radix(time, 16).ok())??;
        let signature = STANDARD.decode(signature).ok()?;
        let (tokens, found) = signature.split_at_checked(signature.len().checked_sub(MAC)?)?;
        let is_half = payload.starts_with(HALF);
        let owner = if is_half { user? } else { payload };
        mac(key, owner, signed, tokens).verify_slice(found).ok()?;
        let mut tokens = tokens.chunks(TOKEN).map(|token| URL_SAFE_NO_PAD.encode(token));
        let token = tokens.next()?;
        Some(if is_half {
            Self::Half { login: token, challenge: tokens.next() }
        } else {
            Self::Full { user: payload.to_owned(), token, issued }
        })
    }
}

fn seal(key: &[u8; TICKET_KEY_BYTES], user: &str, payload: &str, issued: u32, tokens: &[&str]) -> Option<String> {
    let signed = format!("PVE:{payload}:{issued:08X}");
    let mut signature = Vec::with_capacity(tokens.len() * TOKEN + MAC);
    for token in tokens {
        // They are tokens of ours.
        signature.extend(URL_SAFE_NO_PAD.decode(token).ok().filter(|token| token.len() == TOKEN)?);
    }
    let mac = mac(key, user, &signed, &signature).finalize().into_bytes();
    signature.extend(mac);
    Some(format!("{signed}::{}", STANDARD.encode(signature)))
}

fn mac(key: &[u8; TICKET_KEY_BYTES], user: &str, signed: &str, tokens: &[u8]) -> Hmac<Sha256> {
    let mut mac = keyed(key);
    for part in [user.as_bytes(), signed.as_bytes(), tokens] {
        // One part cannot be taken for a piece of the next.
        mac.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        mac.update(part);
    }
    mac
}

pub(super) fn keyed(key: &[u8; TICKET_KEY_BYTES]) -> Hmac<Sha256> {
    Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length")
}

/// A colon would end the payload.
fn escape(json: &str) -> String {
    json.replace('%', "%25").replace(':', "%3A")
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; TICKET_KEY_BYTES] = [7; TICKET_KEY_BYTES];

    fn token(byte: u8) -> String {
        URL_SAFE_NO_PAD.encode([byte; TOKEN])
    }

    #[test]
    fn a_ticket_has_proxmox_s_form() {
        let text = Ticket::full(&KEY, "root@pam", &token(1), 0x6b02_016b).unwrap();
        let (head, signature) = text.split_once("::").unwrap();
        assert_eq!(head, "PVE:root@pam:6B02016B");
        STANDARD.decode(signature).unwrap();
        let read = Ticket::read(&KEY, &text, None);
        assert_eq!(read, Some(Ticket::Full { user: "root@pam".to_owned(), token: token(1), issued: 0x6b02_016b }));
    }

    #[test]
    fn half_a_ticket_is_for_its_user_alone_and_says_what_it_asks_for() {
        let offer = r#"{"totp":true,"note":"100%3A"}"#;
        let text = Ticket::half(&KEY, "a@pve", offer, &token(1), Some(&token(2)), 1).unwrap();
        let payload = text.strip_prefix("PVE:!tfa!").unwrap().split(':').next().unwrap();
        assert_eq!(payload.replace("%3A", ":").replace("%25", "%"), offer);
        let half = Ticket::Half { login: token(1), challenge: Some(token(2)) };
        assert_eq!(Ticket::read(&KEY, &text, Some("a@pve")), Some(half));
        assert_eq!(Ticket::read(&KEY, &text, Some("b@pve")), None);
        assert_eq!(Ticket::read(&KEY, &text, None), None);
    }

    #[test]
    fn a_ticket_that_was_changed_is_none() {
        let text = Ticket::full(&KEY, "root@pam", &token(1), 1).unwrap();
        for place in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[place] ^= 1;
            let Ok(changed) = String::from_utf8(bytes) else { continue };
            assert_eq!(Ticket::read(&KEY, &changed, None), None, "{changed}");
        }
        assert_eq!(Ticket::read(&[8; TICKET_KEY_BYTES], &text, None), None);
        for text in [
            "",
            "PVE:",
            "PVE:root@pam:00000001::",
            "PVE:root@pam:1::AAAA",
            "PVE:root@pam",
            "::",
            "PVE:!tfa!:00000001::",
        ] {
            assert_eq!(Ticket::read(&KEY, text, Some("root@pam")), None, "{text}");
        }
    }
}
