//! Public keys as people have them, by the examples of the specifications.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use keyrig_verifier::{GivenPublicKey, InvalidPublicKey};

/// RFC 7517, appendix A.1.
const EC_JWK: &str = r#"{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
    "y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","use":"enc","kid":"1"}"#;

/// The same, of which RFC 9053, section 7.1.1, says how it is written.
const EC_COSE: &str = "a50102032620012158\
    2030a0424cd21c2944838a2d75c92b37e76ea20d9f00893a3b4eee8a3c0aafec3e2258\
    20e04b65e92456d9888b52b379bdfbd51ee869ef1f0fc65b6659695b6cce081723";

/// RFC 7517, appendix A.1.
const RSA_JWK: &str = r#"{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}"#;

/// RFC 8410, section 10.1.
const ED25519_PEM: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
";

/// RFC 8410, section 10.3: the other half.
const ED25519_PRIVATE_PEM: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
-----END PRIVATE KEY-----
";

const ED25519_POINT: &str = "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1";

fn read(text: &str) -> GivenPublicKey {
    GivenPublicKey::read(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn a_key_is_the_same_in_every_form() {
    let cose = hex::decode(EC_COSE).unwrap();
    let point = [&[4][..], &cose[10..42], &cose[45..]].concat();
    // RFC 5480: id-ecPublicKey, secp256r1.
    let spki = [&hex::decode("3059301306072a8648ce3d020106082a8648ce3d030107034200").unwrap()[..], &point].concat();
    for (form, text) in [
        ("JWK", EC_JWK.to_owned()),
        ("COSE_Key", EC_COSE.to_owned()),
        ("COSE_Key", URL_SAFE_NO_PAD.encode(&cose)),
        ("COSE_Key", format!("  {}\n", STANDARD.encode(&cose))),
        ("SubjectPublicKeyInfo", STANDARD.encode(&spki)),
        (
            "SubjectPublicKeyInfo",
            format!("-----BEGIN PUBLIC KEY-----\r\n{}\r\n-----END PUBLIC KEY-----", STANDARD.encode(&spki)),
        ),
        ("point on P-256", hex::encode(&point)),
    ] {
        let key = read(&text);
        assert_eq!((key.form, &key.cose, key.assumed), (form, &cose, None), "{text}");
    }
    for (form, bytes) in [("COSE_Key", &cose), ("SubjectPublicKeyInfo", &spki)] {
        let key = GivenPublicKey::read(bytes).unwrap();
        assert_eq!((key.form, &key.cose), (form, &cose));
    }
}

/// RFC 9053, section 7.2, and RFC 8230, section 4.
#[test]
fn keys_of_other_kinds_are_written_as_cose_has_them() {
    let okp = format!("a4010103272006215820{ED25519_POINT}");
    assert_eq!(hex::encode(read(ED25519_PEM).cose), okp);
    // RFC 8037, appendix A.2.
    let jwk = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    let point = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    assert_eq!(hex::encode(read(jwk).cose), format!("a4010103272006215820{point}"));
    let rsa = read(RSA_JWK);
    let modulus = RSA_JWK.split('"').nth(7).unwrap();
    let modulus = hex::encode(URL_SAFE_NO_PAD.decode(modulus).unwrap());
    assert_eq!(hex::encode(&rsa.cose), format!("a401030339010020590100{modulus}2143010001"));
    assert_eq!(rsa.assumed, None);
    let pss = read(&RSA_JWK.replace("RS256", "PS256"));
    assert_eq!(hex::encode(pss.cose), format!("a4010303382420590100{modulus}2143010001"));
    assert!(read(&RSA_JWK.replace(",\"alg\":\"RS256\"", "")).assumed.is_some_and(|text| text.contains("RS256")));
}

#[test]
fn what_is_no_public_key_is_told_why() {
    for (text, expected) in [
        ("", "a public key is a COSE_Key or SubjectPublicKeyInfo"),
        ("hello world", "a public key is a COSE_Key or SubjectPublicKeyInfo"),
        ("AAAA", "a public key is a COSE_Key or SubjectPublicKeyInfo"),
        ("oQEC", "as a COSE_Key it has no alg"),
        ("-----BEGIN PUBLIC KEY-----", "as a PEM text it has no end"),
        (
            "-----BEGIN PUBLIC KEY-----\n*\n-----END PUBLIC KEY-----",
            "as a PEM text it has other characters than base64's",
        ),
        (
            "-----BEGIN PUBLIC KEY-----\nMAA=\n-----END PUBLIC KEY-----",
            "as a SubjectPublicKeyInfo it has no DER of one",
        ),
        (
            "-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n-----END CERTIFICATE REQUEST-----",
            "PEM of \"CERTIFICATE REQUEST\" has no public key",
        ),
        ("{", "as a JWK it has no JSON"),
        ("{}", "as a JWK it has a kty and crv that are not supported here: None, None"),
        (r#"{"kty":"EC","crv":"P-256","x":"AA"}"#, "as a JWK it has no y in base64url"),
        (r#"{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}"#, "as a JWK it has coordinates that are not those of P-256"),
        (
            r#"{"kty":"EC","crv":"secp256k1","x":"AA","y":"AA"}"#,
            "as a JWK it has a kty and crv that are not supported here",
        ),
    ] {
        let refused = GivenPublicKey::read(text.as_bytes()).unwrap_err().to_string();
        assert!(refused.starts_with(expected), "{text}: {refused}");
    }
    let off_its_curve = EC_JWK.replace("4Etl", "5Etl");
    let refused = GivenPublicKey::read(off_its_curve.as_bytes()).unwrap_err();
    assert_eq!(refused.to_string(), "as a JWK it has a point that is not on its curve");
    let private = EC_JWK.replace("\"use\"", "\"d\":\"870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE\",\"use\"");
    for text in [&private[..], ED25519_PRIVATE_PEM] {
        let refused = GivenPublicKey::read(text.as_bytes()).unwrap_err();
        assert_eq!(refused, InvalidPublicKey::Private);
    }
    assert_eq!(GivenPublicKey::read(&[0x30; 1 << 20]), Err(InvalidPublicKey::TooLong));
}
