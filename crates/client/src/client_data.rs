//! clientDataJSON: what the browser says the page is, under the authenticator's signature (WebAuthn Level 3 §5.8.1).

use core::fmt::Write;

use sha2::{Digest, Sha256};

use crate::base64url::Base64Url;

/// `CollectedClientData`.
///
/// Everything is written as it is given: a rig may state an origin that no browser would.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientData {
    /// `type`: [`ClientData::CREATE`] or [`ClientData::GET`].
    pub kind: String,
    /// `challenge`, decoded: it is written in base64url.
    pub challenge: Vec<u8>,
    /// `origin`, serialised.
    pub origin: String,
    /// `crossOrigin`: the page is a frame in a page of another origin.
    pub cross_origin: bool,
    /// `topOrigin`, serialised: of the page that holds the frame.
    pub top_origin: Option<String>,
    /// More members, after the standard ones. A verifier must ignore what it does not know; Chromium now and then adds one
    /// to see to that.
    pub extra: serde_json::Map<String, serde_json::Value>,
}

impl ClientData {
    /// The type of a registration.
    pub const CREATE: &str = "webauthn.create";
    /// The type of an authentication.
    pub const GET: &str = "webauthn.get";

    /// The bytes: `type`, `challenge`, `origin`, `crossOrigin` and `topOrigin` in this order and without spaces
    /// (§5.8.1.1), so that a verifier can compare them without a JSON parser (§5.8.1.2).
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let mut json = String::with_capacity(256);
        json.push_str(r#"{"type":"#);
        push_string(&mut json, &self.kind);
        json.push_str(r#","challenge":"#);
        push_string(&mut json, &Base64Url(self.challenge.clone()).to_string());
        json.push_str(r#","origin":"#);
        push_string(&mut json, &self.origin);
        json.push_str(r#","crossOrigin":"#);
        json.push_str(if self.cross_origin { "true" } else { "false" });
        if let Some(top_origin) = &self.top_origin {
            json.push_str(r#","topOrigin":"#);
            push_string(&mut json, top_origin);
        }
        for (name, value) in &self.extra {
            json.push(',');
            push_string(&mut json, name);
            json.push(':');
            json.push_str(&value.to_string());
        }
        json.push('}');
        json.into_bytes()
    }
}

/// The hash of clientDataJSON, which is what an authenticator gets to see of it.
#[must_use]
pub fn hash(client_data_json: &[u8]) -> [u8; 32] {
    Sha256::digest(client_data_json).into()
}

/// `CCDToString` (§5.8.1.1).
fn push_string(json: &mut String, text: &str) {
    json.push('"');
    for character in text.chars() {
        match character {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\0'..='\u{1f}' => {
                // A String takes whatever is written to it.
                let _ = write!(json, "\\u{:04x}", u32::from(character));
            }
            other => json.push(other),
        }
    }
    json.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client_data(kind: &str, challenge: &str) -> ClientData {
        ClientData {
            kind: kind.to_owned(),
            challenge: hex::decode(challenge).unwrap(),
            origin: "https://example.org".to_owned(),
            cross_origin: false,
            top_origin: None,
            extra: serde_json::Map::new(),
        }
    }

    /// WebAuthn Level 3 §16.2, "ES256 Credential with No Attestation": the assertion's clientDataJSON.
    #[test]
    fn is_byte_for_byte_the_specifications_vector() {
        let data = client_data(ClientData::GET, "39c0e7521417ba54d43e8dc95174f423dee9bf3cd804ff6d65c857c9abf4d408");
        let expected = "7b2274797065223a22776562617574686e2e676574222c226368616c6c656e6765223a224f63446e55685158756c5455506\
                        f334a5558543049393770767a7a59425039745a63685879617630314167222c226f726967696e223a2268747470733a2f2f\
                        6578616d706c652e6f7267222c2263726f73734f726967696e223a66616c73657d";
        assert_eq!(hex::encode(data.to_json()), expected);
    }

    /// The same section's registration, which has a member that nobody knows.
    #[test]
    fn further_members_follow_the_standard_ones() {
        let mut data =
            client_data(ClientData::CREATE, "00c30fb78531c464d2b6771dab8d7b603c01162f2fa486bea70f283ae556e130");
        let extra = "clientDataJSON may be extended with additional fields in the future, such as this: \
                     BkQeDjdcTBrXBiAwJTLE5Q";
        data.extra.insert("extraData".to_owned(), extra.into());
        let expected = "7b2274797065223a22776562617574686e2e637265617465222c226368616c6c656e6765223a22414d4d507434557878475\
                        453746e63647134313759447742466938767049612d7077386f4f755657345441222c226f726967696e223a226874747073\
                        3a2f2f6578616d706c652e6f7267222c2263726f73734f726967696e223a66616c73652c22657874726144617461223a226\
                        36c69656e74446174614a534f4e206d617920626520657874656e6465642077697468206164646974696f6e616c20666965\
                        6c647320696e20746865206675747572652c207375636820617320746869733a20426b5165446a646354427258426941774\
                        a544c453551227d";
        assert_eq!(hex::encode(data.to_json()), expected);
    }

    #[test]
    fn a_frame_states_both_origins() {
        let mut data = client_data(ClientData::GET, "ff");
        data.cross_origin = true;
        data.top_origin = Some("https://top.example".to_owned());
        assert_eq!(
            String::from_utf8(data.to_json()).unwrap(),
            r#"{"type":"webauthn.get","challenge":"_w","origin":"https://example.org","crossOrigin":true,"topOrigin":"https://top.example"}"#
        );
    }

    /// §5.8.1.1: only the quotation mark, the backslash and control characters are escaped.
    #[test]
    fn strings_are_escaped_as_ccd_to_string_defines() {
        let mut json = String::new();
        push_string(&mut json, "a\"b\\c\u{0}\n\u{1f}\u{7f}/ü\u{2028}");
        assert_eq!(json, "\"a\\\"b\\\\c\\u0000\\u000a\\u001f\u{7f}/ü\u{2028}\"");
    }

    /// RFC 6234's example.
    #[test]
    fn the_hash_is_sha_256() {
        assert_eq!(hex::encode(hash(b"abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
