//! Attestation by a certificate of the credential's own key, which an extension binds to the ceremony: android-key and apple
//! (WebAuthn Level 3, §8.4 and §8.8).

use x509_cert::der::asn1::ObjectIdentifier;

use super::der::{self, CONTEXT, Element, Elements};

/// Android's key attestation (`KeyDescription` in "Verifying hardware-backed key pairs with Key Attestation").
pub(super) const KEY_DESCRIPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.11129.2.1.17");

/// Apple's nonce.
pub(super) const NONCE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113635.100.8.2");

/// Tags of `AuthorizationList`.
const PURPOSE: u32 = 1;
const ALL_APPLICATIONS: u32 = 600;
const ORIGIN: u32 = 702;

/// `KM_PURPOSE_SIGN`.
const SIGN: u32 = 2;

/// `KM_ORIGIN_GENERATED`.
const GENERATED: u32 = 0;

/// What §8.4 finds wrong with a `KeyDescription`. What neither list says is let pass, as it is in the specification's own vector.
pub(super) fn android_problem(extension: &[u8], client_data_hash: &[u8]) -> Option<String> {
    let wrong = || Some("a key description that is not as Android defines it".to_owned());
    let Some(description) = der::whole(extension).filter(|element| element.is_universal(16)) else { return wrong() };
    let mut members = description.children();
    let [version, level, keymaster, keymaster_level] = [(); 4].map(|()| members.next().and_then(|it| it.number()));
    let (Some(_), Some(_), Some(_), Some(_)) = (version, level, keymaster, keymaster_level) else { return wrong() };
    let challenge = members.next().filter(|element| element.is_universal(4));
    let unique_id = members.next().filter(|element| element.is_universal(4));
    let lists = [members.next(), members.next()];
    let (Some(challenge), Some(_), [Some(software), Some(tee)]) = (challenge, unique_id, lists) else { return wrong() };
    if !members.is_over() || !software.is_universal(16) || !tee.is_universal(16) {
        return wrong();
    }
    if challenge.content != client_data_hash {
        return Some("a key description whose attestationChallenge is not the client data hash".to_owned());
    }
    let entries = || [software.children(), tee.children()].into_iter().flatten();
    let of = |tag: u32| entries().filter(move |entry| entry.class == CONTEXT && entry.number == tag);
    if of(ALL_APPLICATIONS).next().is_some() {
        return Some("a key that all applications may use (allApplications), and not the RP ID's alone".to_owned());
    }
    if of(ORIGIN).any(|entry| only(entry).and_then(|it| it.number()) != Some(GENERATED)) {
        return Some("a key that was not generated where it is (origin)".to_owned());
    }
    let signs = |entry: Element<'_>| {
        only(entry).is_some_and(|set| set.is_universal(17) && set.children().any(|it| it.number() == Some(SIGN)))
    };
    if of(PURPOSE).next().is_some() && !of(PURPOSE).any(signs) {
        return Some("a key that is not for signing (purpose)".to_owned());
    }
    None
}

/// What is in an explicit tag.
fn only(entry: Element<'_>) -> Option<Element<'_>> {
    der::whole(entry.content)
}

/// Apple's nonce: an octet string in the context tag 1, in a sequence.
pub(super) fn apple_nonce(extension: &[u8]) -> Option<&[u8]> {
    let sequence = der::whole(extension).filter(|element| element.is_universal(16))?;
    let mut members: Elements<'_> = sequence.children();
    let tagged = members.next().filter(|element| element.class == CONTEXT && element.number == 1)?;
    let nonce = der::whole(tagged.content).filter(|element| element.is_universal(4))?;
    members.is_over().then_some(nonce.content)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn description(software: &str, tee: &str) -> Vec<u8> {
        let list = |hex_text: &str| {
            let inner = hex::decode(hex_text).unwrap();
            [&[0x30, u8::try_from(inner.len()).unwrap()][..], &inner].concat()
        };
        // attestationVersion 3, levels TrustedEnvironment, keymasterVersion 4, a challenge of four bytes, no uniqueId.
        let head = hex::decode("0201030a01010201040a0101040401020304 0400".replace(' ', "")).unwrap();
        let inner = [head, list(software), list(tee)].concat();
        [&[0x30, u8::try_from(inner.len()).unwrap()][..], &inner].concat()
    }

    /// The tags and values of Android's schema: purpose [1] SET OF INTEGER, allApplications [600] NULL, origin [702] INTEGER.
    #[test]
    fn what_android_says_of_a_key_is_looked_at() {
        const CHALLENGE: &[u8] = &[1, 2, 3, 4];
        let purpose_sign = "a1053103020102";
        let purpose_encrypt = "a1053103020100";
        let generated = "bf853e03020100";
        let imported = "bf853e03020102";
        let all = "bf8458020500";
        let good = [purpose_sign, generated].concat();
        for (software, tee, problem) in [
            ("", "", None),
            ("", &good[..], None),
            (generated, purpose_sign, None),
            (all, &good, Some("allApplications")),
            ("", all, Some("allApplications")),
            ("", imported, Some("origin")),
            (imported, generated, Some("origin")),
            ("", purpose_encrypt, Some("purpose")),
        ] {
            let found = android_problem(&description(software, tee), CHALLENGE);
            let matches = match (&found, problem) {
                (None, None) => true,
                (Some(found), Some(problem)) => found.contains(problem),
                _ => false,
            };
            assert!(matches, "{software} {tee}: {found:?}");
        }
        let other = android_problem(&description("", &good), &[4, 3, 2, 1]).unwrap();
        assert!(other.contains("attestationChallenge"), "{other}");
        let whole = description("", &good);
        for end in 0..whole.len() {
            assert!(android_problem(&whole[..end], CHALLENGE).is_some(), "cut at {end}");
        }
    }

    #[test]
    fn apples_nonce_is_where_it_has_to_be() {
        assert_eq!(apple_nonce(&[0x30, 0x06, 0xa1, 0x04, 0x04, 0x02, 7, 8]), Some(&[7, 8][..]));
        for wrong in [
            &[0x30, 0x04, 0x04, 0x02, 7, 8][..],
            &[0x30, 0x06, 0xa2, 0x04, 0x04, 0x02, 7, 8],
            &[0x30, 0x08, 0xa1, 0x04, 0x04, 0x02, 7, 8, 5, 0],
            &[0xa1, 0x04, 0x04, 0x02, 7, 8],
        ] {
            assert_eq!(apple_nonce(wrong), None, "{wrong:x?}");
        }
    }
}
