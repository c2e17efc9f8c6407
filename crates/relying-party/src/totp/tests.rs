//! Expected values are those of RFC 6238, appendix B, and of the Key URI format that apps read.

use super::*;

const SHA1_SECRET: &[u8] = b"12345678901234567890";
const SHA256_SECRET: &[u8] = b"12345678901234567890123456789012";
const SHA512_SECRET: &[u8] = b"1234567890123456789012345678901234567890123456789012345678901234";

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn totp(secret: &[u8], algorithm: TotpAlgorithm, digits: u8) -> Totp {
    Totp::new(secret, algorithm, digits, 30, "Example", "root@pam").unwrap()
}

/// RFC 6238, appendix B, with the secrets of its reference implementation (erratum 2866).
#[test]
fn the_vectors_of_rfc_6238() {
    let cases = [
        (59, "94287082", "46119246", "90693936"),
        (1_111_111_109, "07081804", "68084774", "25091201"),
        (1_111_111_111, "14050471", "67062674", "99943326"),
        (1_234_567_890, "89005924", "91819424", "93441116"),
        (2_000_000_000, "69279037", "90698825", "38618901"),
        (20_000_000_000, "65353130", "77737706", "47863826"),
    ];
    for (time, sha1, sha256, sha512) in cases {
        for (secret, algorithm, expected) in [
            (SHA1_SECRET, TotpAlgorithm::Sha1, sha1),
            (SHA256_SECRET, TotpAlgorithm::Sha256, sha256),
            (SHA512_SECRET, TotpAlgorithm::Sha512, sha512),
        ] {
            let totp = totp(secret, algorithm, 8);
            assert_eq!(totp.code(at(time)), expected, "{algorithm:?} at {time}");
            let accepted = totp.check(expected, at(time), None);
            assert_eq!(accepted, Ok(AcceptedCode { step: time / 30, drift: 0 }), "{algorithm:?} at {time}");
        }
    }
}

/// RFC 4226, §5.3: fewer digits are the last ones.
#[test]
fn codes_have_six_to_eight_digits() {
    for (digits, expected) in [(6, "287082"), (7, "4287082"), (8, "94287082")] {
        assert_eq!(totp(SHA1_SECRET, TotpAlgorithm::Sha1, digits).code(at(59)), expected);
    }
    for digits in [0, 5, 9, 255] {
        let refused = Totp::new(SHA1_SECRET, TotpAlgorithm::Sha1, digits, 30, "Example", "root@pam");
        assert_eq!(refused, Err(TotpRefused::Digits { found: digits }));
    }
}

/// The code of step 1 (seconds 30 to 59) is good from the step before to the step after, and the drift says which.
#[test]
fn the_window_is_one_step_to_each_side() {
    let totp = totp(SHA1_SECRET, TotpAlgorithm::Sha1, 8);
    for (now, expected) in [
        (0, Ok(AcceptedCode { step: 1, drift: 1 })),
        (29, Ok(AcceptedCode { step: 1, drift: 1 })),
        (30, Ok(AcceptedCode { step: 1, drift: 0 })),
        (59, Ok(AcceptedCode { step: 1, drift: 0 })),
        (60, Ok(AcceptedCode { step: 1, drift: -1 })),
        (89, Ok(AcceptedCode { step: 1, drift: -1 })),
        (90, Err(CodeRefused::Wrong { step: 30 })),
        (1_111_111_109, Err(CodeRefused::Wrong { step: 30 })),
    ] {
        assert_eq!(totp.check("94287082", at(now), None), expected, "at {now}");
    }
}

/// RFC 6238, §5.2: the verifier must not accept the second attempt of the code.
#[test]
fn no_code_works_twice_nor_one_before_it() {
    let totp = totp(SHA1_SECRET, TotpAlgorithm::Sha1, 8);
    let later = totp.code(at(60));
    assert_eq!(totp.check("94287082", at(59), Some(0)).map(|accepted| accepted.step), Ok(1));
    assert_eq!(totp.check("94287082", at(59), Some(1)), Err(CodeRefused::Reused));
    assert_eq!(totp.check("94287082", at(60), Some(2)), Err(CodeRefused::Reused), "an older code after a newer one");
    assert_eq!(totp.check(&later, at(60), Some(1)).map(|accepted| accepted.step), Ok(2));
}

#[test]
fn what_is_no_code_is_told_apart_from_a_wrong_one() {
    let totp = totp(SHA1_SECRET, TotpAlgorithm::Sha1, 8);
    for code in ["", "9428708", "942870820", "9428708x", "+9428708", "-9428708", "9428 ７082", "94287082\n"] {
        assert_eq!(totp.check(code, at(59), None), Err(CodeRefused::NotACode { digits: 8 }), "{code:?}");
    }
    assert!(totp.check("9428 7082", at(59), None).is_ok(), "as apps show it");
}

#[test]
fn a_uri_and_what_it_says_are_the_same() {
    let made = totp(SHA256_SECRET, TotpAlgorithm::Sha256, 8);
    let uri = made.uri();
    // The Key URI format: label ISSUER:ACCOUNT, the issuer as a parameter too, base32 without padding.
    let parsed = url::Url::parse(&uri).unwrap();
    assert_eq!((parsed.scheme(), parsed.host_str()), ("otpauth", Some("totp")));
    assert_eq!(parsed.path(), "/Example:root%40pam");
    let query: std::collections::HashMap<_, _> = parsed.query_pairs().into_owned().collect();
    assert_eq!(query["secret"], "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZA");
    assert_eq!(
        (query["issuer"].as_str(), query["algorithm"].as_str(), query["digits"].as_str()),
        ("Example", "SHA256", "8")
    );
    assert_eq!(Totp::from_uri(&uri), Ok(made));
}

/// The example of the Key URI format's own text, with a secret of 128 bits, and URIs of other makers.
#[test]
fn uris_of_others_are_read() {
    let uri = "otpauth://totp/ACME%20Co:john.doe@email.com?secret=HXDMVJECJJWSRB3HWIZR4IFUGFTMXBOZ&issuer=ACME%20Co&algorithm=SHA1&digits=6&period=30";
    let read = Totp::from_uri(uri).unwrap();
    assert_eq!((read.algorithm(), read.digits(), read.step()), (TotpAlgorithm::Sha1, 6, 30));
    assert_eq!(read.secret_base32(), "HXDMVJECJJWSRB3HWIZR4IFUGFTMXBOZ");
    let short = Totp::from_uri("otpauth://totp/alice?secret=HXDMVJECJJWSRB3HWIZR4IFUGFTMXBOZ").unwrap();
    assert_eq!((short.algorithm(), short.digits(), short.step()), (TotpAlgorithm::Sha1, 6, 30));
}

#[test]
fn what_is_no_uri_is_refused_with_its_reason() {
    let secret = "HXDMVJECJJWSRB3HWIZR4IFUGFTMXBOZ";
    let cases = [
        (format!("otpauth://hotp/alice?secret={secret}&counter=0"), TotpRefused::Hotp),
        ("otpauth://totp/alice?secret=JBSWY3DPEHPK3PXP".to_owned(), TotpRefused::SecretLength { bytes: 10 }),
        (format!("otpauth://totp/alice?secret={}", secret.repeat(7)), TotpRefused::SecretLength { bytes: 140 }),
        (format!("otpauth://totp/alice?secret={secret}&digits=9"), TotpRefused::Digits { found: 9 }),
        (format!("otpauth://totp/alice?secret={secret}&period=0"), TotpRefused::Step { found: 0 }),
        (format!("otpauth://totp/alice?secret={secret}&period=9"), TotpRefused::Step { found: 9 }),
        (
            format!("otpauth://totp/alice?secret={secret}&period=18446744073709551615"),
            TotpRefused::Step { found: u64::MAX },
        ),
        (format!("otpauth://totp/?secret={secret}"), TotpRefused::Label { which: "account", found: String::new() }),
        (format!("otpauth://totp/{}?secret={secret}", "a".repeat(1024)), TotpRefused::TooLong { found: 1079 }),
    ];
    for (uri, expected) in cases {
        assert_eq!(Totp::from_uri(&uri), Err(expected), "{uri}");
    }
    for uri in [
        "",
        "alice",
        "https://totp/alice?secret=HXDMVJECJJWSRB3HWIZR4IFUGFTMXBOZ",
        "otpauth://steam/alice?secret=HXDMVJECJJWSRB3HWIZR4IFUGFTMXBOZ",
        "otpauth://totp/alice",
        "otpauth://totp/alice?secret=11111111",
        "otpauth://totp/alice?secret=HXDMVJECJJWSRB3HWIZR4IFUGFTMXBOZ&digits=256",
        "otpauth://totp/alice?secret=HXDMVJECJJWSRB3HWIZR4IFUGFTMXBOZ&algorithm=MD5",
        "otpauth://totp/A:alice?secret=HXDMVJECJJWSRB3HWIZR4IFUGFTMXBOZ&issuer=B",
    ] {
        assert!(matches!(Totp::from_uri(uri), Err(TotpRefused::NotAUri { .. })), "{uri}: {:?}", Totp::from_uri(uri));
    }
}

#[test]
fn the_secret_is_not_shown() {
    let shown = format!("{:?}", totp(SHA1_SECRET, TotpAlgorithm::Sha1, 6));
    assert!(!shown.contains("GEZDGNBV") && !shown.contains("49, 50"), "{shown}");
}
