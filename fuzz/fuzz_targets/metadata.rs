//! A document of metadata, whatever is in it.
//!
//! What must hold: no panic; what is read and written is read again as the same.

#![no_main]

use keyrig_metadata::{Document, Header, Jwt, signing_input};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(document) = Document::read(data) else {
        return;
    };
    let json = document.blob.to_json();
    assert_eq!(Document::read(json.as_bytes()).expect("what was written").blob, document.blob);
    let header = Header { alg: "ES256".to_owned(), typ: Some("JWT".to_owned()), x5c: Vec::new(), x5u: None };
    let token = Jwt::compact(&signing_input(&header, &json), &[1; 64]);
    assert_eq!(Document::read(token.as_bytes()).expect("what was written").blob, document.blob);
});
