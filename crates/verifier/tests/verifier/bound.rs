//! What tpm, android-key, apple and compound bind to a ceremony: the specification's vectors, changed in one place.

use ciborium::Value;
use keyrig_ctap::cbor::Item;
use keyrig_verifier::{AttestationPolicy, Check, Outcome, RegistrationResponse, Report, verify_registration};

use crate::ceremonies::{Vector, assert_whole, failed, origins, trust_anchors, vector};

fn report(vector: &Vector, attestation_object: Vec<u8>) -> Report {
    let (origins, anchors) = (origins(), trust_anchors());
    let mut expected = vector.expected_registration(&origins);
    expected.attestation = AttestationPolicy::by_root(&anchors);
    let response = RegistrationResponse { attestation_object, ..vector.registration() };
    let report = verify_registration(&response, &expected).report;
    assert_whole(&report);
    report
}

/// An attestation object of another format and statement.
fn with(vector: &Vector, format: &str, statement: Value) -> Vec<u8> {
    let object = Item::parse(&vector.registration.attestation_object).unwrap();
    let data = object.map().unwrap().find(|(key, _)| key.text() == Ok("authData")).unwrap().1.bytes().unwrap();
    let text = |text: &str| Value::Text(text.to_owned());
    let data = Value::Bytes(data.to_vec());
    encoded(&map(vec![(text("fmt"), text(format)), (text("attStmt"), statement), (text("authData"), data)]))
}

fn encoded(value: &Value) -> Vec<u8> {
    let mut encoded = Vec::new();
    ciborium::into_writer(value, &mut encoded).unwrap();
    encoded
}

/// With its members in canonical order.
fn map(mut members: Vec<(Value, Value)>) -> Value {
    members.sort_by_key(|(key, _)| {
        let key = encoded(key);
        (key.len(), key)
    });
    Value::Map(members)
}

fn statement(vector: &Vector) -> Vec<(String, Value)> {
    let object = Item::parse(&vector.registration.attestation_object).unwrap();
    let statement = object.map().unwrap().find(|(key, _)| key.text() == Ok("attStmt")).unwrap().1;
    statement
        .map()
        .unwrap()
        .map(|(key, value)| (key.text().unwrap().to_owned(), ciborium::from_reader(value.encoded()).unwrap()))
        .collect()
}

fn of(members: Vec<(String, Value)>) -> Value {
    map(members.into_iter().map(|(name, value)| (Value::Text(name), value)).collect())
}

/// A byte of a member is another.
fn changed(vector: &Vector, format: &str, member: &str, at: usize) -> Report {
    let mut members = statement(vector);
    let (_, value) = members.iter_mut().find(|(name, _)| name == member).unwrap();
    let Value::Bytes(bytes) = value else { panic!("{member}") };
    bytes[at] ^= 1;
    report(vector, with(vector, format, of(members)))
}

#[test]
fn a_tpms_word_is_on_this_key_and_these_bytes() {
    let vector = vector("tpm-es256");
    for (member, at, said) in [
        // TPM_GENERATED_VALUE, TPM_ST_ATTEST_CERTIFY, extraData, the name of the key.
        ("certInfo", 0, "magic"),
        ("certInfo", 5, "TPM_ST_ATTEST_CERTIFY"),
        ("certInfo", 12, "extraData"),
        ("certInfo", 80, "names another key"),
        // The key's type, its hash, x.
        ("pubArea", 1, "not supported here"),
        ("pubArea", 3, "not supported here"),
        ("pubArea", 25, "not the credential's key"),
        // An attribute: the name is of all of it.
        ("pubArea", 6, "names another key"),
    ] {
        let report = changed(&vector, "tpm", member, at);
        let finding = report.finding(Check::AttestationStatement).unwrap();
        assert_eq!(finding.outcome, Outcome::Fail, "{member} {at}");
        assert!(finding.found.contains(said), "{member} {at}: {}", finding.found);
        // What the certificate's key signed is certInfo.
        assert_eq!(failed(&report).contains(&"attestation-signature"), member == "certInfo", "{member} {at}");
    }
    assert_eq!(failed(&changed(&vector, "tpm", "sig", 20)), ["attestation-signature"]);
    let mut members = statement(&vector);
    members.iter_mut().find(|(name, _)| name == "ver").unwrap().1 = Value::Text("1.2".to_owned());
    let found = report(&vector, with(&vector, "tpm", of(members)));
    assert_eq!(failed(&found), ["attestation-statement"]);
}

/// The certificate of another format, whose key and extensions are not as these have them.
#[test]
fn a_certificate_is_of_the_credentials_key_and_made_for_the_ceremony() {
    let packed = statement(&vector("packed-es256"));
    let chain = packed.iter().find(|(name, _)| name == "x5c").unwrap().clone();
    for (name, format) in [("android-key-es256", "android-key"), ("apple-es256", "apple")] {
        let vector = vector(name);
        let mut members = statement(&vector);
        *members.iter_mut().find(|(name, _)| name == "x5c").unwrap() = chain.clone();
        let found = report(&vector, with(&vector, format, of(members)));
        let finding = found.finding(Check::AttestationStatement).unwrap();
        assert!(finding.found.contains("another key than the credential's"), "{name}: {}", finding.found);
    }
    // Made for another ceremony: the same statement behind another credential id.
    for (name, format, said) in [
        ("android-key-es256", "android-key", "attestationChallenge"),
        ("apple-es256", "apple", "not the hash of authenticator data"),
    ] {
        let vector = vector(name);
        let mut response = vector.registration();
        response.client_data_json.push(b' ');
        let origins = origins();
        let found = verify_registration(&response, &vector.expected_registration(&origins)).report;
        let finding = found.finding(Check::AttestationStatement).unwrap();
        assert_eq!(finding.outcome, Outcome::Fail, "{format}");
        assert!(finding.found.contains(said), "{format}: {}", finding.found);
    }
}

#[test]
fn a_compound_statement_is_good_if_each_in_it_is() {
    let vector = vector("packed-es256");
    let text = |text: &str| Value::Text(text.to_owned());
    let one = |format: &str, statement: Value| map(vec![(text("fmt"), text(format)), (text("attStmt"), statement)]);
    let packed = || one("packed", of(statement(&vector)));
    let good = report(&vector, with(&vector, "compound", Value::Array(vec![packed(), packed()])));
    assert_eq!(failed(&good), [""; 0]);
    assert_eq!(good.finding(Check::AttestationTrust).unwrap().outcome, Outcome::Pass);
    let mut members = statement(&vector);
    let (_, Value::Bytes(signature)) = members.iter_mut().find(|(name, _)| name == "sig").unwrap() else { panic!() };
    signature[20] ^= 1;
    let bad = report(&vector, with(&vector, "compound", Value::Array(vec![packed(), one("packed", of(members))])));
    assert_eq!(failed(&bad), ["attestation-signature"]);
    for (statements, fails) in [
        (vec![packed()], "attestation-statement"),
        (Vec::new(), "attestation-statement"),
        (vec![packed(); 9], "attestation-statement"),
        (vec![packed(), one("compound", Value::Array(Vec::new()))], "attestation-format"),
        (vec![packed(), one("unheard-of", Value::Map(Vec::new()))], "attestation-format"),
    ] {
        let found = report(&vector, with(&vector, "compound", Value::Array(statements)));
        assert_eq!(failed(&found), [fails]);
    }
}

#[test]
fn android_safetynet_is_refused_by_name() {
    let vector = vector("packed-es256");
    let found = report(&vector, with(&vector, "android-safetynet", Value::Map(Vec::new())));
    assert_eq!(failed(&found), ["attestation-format"]);
    let explanation = found.failed().next().unwrap().explanation.clone().unwrap();
    assert!(explanation.contains("was turned off"), "{explanation}");
}
