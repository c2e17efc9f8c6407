//! What `keyrig explain` reads: recordings in any form, and the binary structures in them.

#![no_main]

use keyrig_verifier::{Recording, Scrap, Structure};
use libfuzzer_sys::fuzz_target;

/// Whatever is in a structure is within its bytes.
fn take_apart(bytes: &[u8]) {
    for structure in [
        Structure::of_authenticator_data(bytes),
        Structure::of_attestation_object(bytes),
        Structure::of_client_data_json(bytes),
    ] {
        for field in &structure.fields {
            assert!(field.offset + field.length <= bytes.len(), "{field:?}");
        }
        assert!(structure.broken.is_none_or(|broken| broken.offset <= bytes.len()));
    }
}

fuzz_target!(|input: &[u8]| {
    take_apart(input);
    let Ok(recording) = Recording::read(input) else { return };
    for response in &recording.registrations {
        take_apart(&response.attestation_object);
    }
    for response in &recording.authentications {
        take_apart(&response.authenticator_data);
    }
    for scrap in &recording.scraps {
        let (Scrap::ClientDataJson(bytes) | Scrap::AttestationObject(bytes) | Scrap::AuthenticatorData(bytes)) = scrap;
        take_apart(bytes);
    }
});
